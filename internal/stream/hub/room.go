package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

var errRoomClosed = errors.New("the room has closed")

// Room is one session that is looked at.
type Room struct {
	hub     *Hub
	id      string
	ctx     context.Context // ends with the room
	cancel  context.CancelFunc
	created time.Time

	mu         sync.Mutex
	closed     bool
	members    map[string]*Member
	order      []*Member // in the order they came
	controller string
	auto       bool // control came by itself, not by somebody's act or claim
	sources    map[vitrine.Codec]*media.Source
	link       link
	desktop    vitrine.Viewport
	cursor     *Cursor
	state      State
	idle       *time.Timer // closes the control channel when nobody looks
	lastActive time.Time
}

func newRoom(h *Hub, id string) *Room {
	r := &Room{
		hub: h, id: id, created: time.Now(), members: map[string]*Member{},
		sources: map[vitrine.Codec]*media.Source{}, desktop: vitrine.DefaultViewport,
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.link.wake = make(chan struct{}, 1)
	return r
}

func (r *Room) join(v vitrine.Viewer, resume string, sink Sink) (*Member, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errRoomClosed
	}
	id, claims, resumed := r.hub.readResume(v, resume, now)
	m := r.members[id]
	if m == nil {
		if len(r.members) >= maxMembers {
			return nil, vitrine.Errorf(vitrine.ClassRateLimited, "too_many_viewers", "the session has %d viewers, the most there may be", maxMembers).
				WithRemedy("close a viewer's tab")
		}
		if !resumed {
			id = vitrine.NewID(vitrine.PrefixViewer, now)
		}
		m = &Member{room: r, id: id, viewer: v, path: "none"}
		r.members[id] = m
		r.order = append(r.order, m)
	} else if m.sink != nil {
		m.sink.Shut("the viewer came back on another connection")
	}
	m.back(sink)
	r.give(m, claims, resumed, now)
	if sink == nil {
		r.startLocked() // else when it was greeted: what is over is told after hello
	}
	r.tellViewers()
	return m, nil
}

// give decides whether somebody who comes in gets control. A claim counts after
// a restart of the daemon, when the room has forgotten, and goes before control
// that somebody got by being first; one who was here and not in control gets
// none by coming back.
func (r *Room) give(m *Member, claims, resumed bool, now time.Time) {
	if m.viewer.Scope != vitrine.ScopeControl || r.controller == m.id {
		return
	}
	restarted := now.Sub(r.hub.started) < r.hub.cfg.Away
	switch {
	case claims && restarted && (r.controller == "" || r.auto):
		r.setController(m.id, false)
	case r.controller == "" && (!resumed || claims || !restarted):
		r.setController(m.id, true)
	case !resumed && r.abandoned(m.viewer.UserID):
		r.setController(m.id, true)
	}
}

// abandoned says whether the one in control has gone, so that a newcomer need
// not wait out the away time: somebody who closed the tab and opened another
// expects to type at once. Whose media still comes has lost a socket only, and
// keeps control from others, though not from the same person's new tab.
func (r *Room) abandoned(newcomer string) bool {
	c := r.members[r.controller]
	return c != nil && c.away && (c.media == nil || c.viewer.UserID == newcomer)
}

// setController hands control over. What the one before held down is let go.
// Called with the lock held.
func (r *Room) setController(id string, auto bool) {
	r.auto = auto
	if r.controller == id {
		return
	}
	before := r.members[r.controller]
	r.controller = id
	r.link.push(vitrine.Input{Type: vitrine.InputRelease})
	now := time.Now()
	for _, m := range []*Member{before, r.members[id]} {
		if m == nil {
			continue
		}
		m.buttons = 0
		m.deliver(Resume{Type: "resume", Resume: r.hub.mintResume(m.viewer, m.id, m.id == id, now)})
		for _, f := range m.onControl {
			go f(m.id == id)
		}
	}
}

// tellViewers tells everybody who is here. Called with the lock held.
func (r *Room) tellViewers() {
	msg := Viewers{Type: "viewers", Viewers: []ViewerInfo{}, Controller: r.controller}
	for _, m := range r.order {
		msg.Viewers = append(msg.Viewers, ViewerInfo{
			ID: m.id, UserID: m.viewer.UserID, Scope: m.viewer.Scope, Path: m.path, Why: m.why, Away: m.away,
		})
	}
	r.broadcast(msg)
}

func (r *Room) broadcast(message any) {
	for _, m := range r.order {
		m.deliver(message)
	}
}

// remove takes a member out for good. Called with the lock held.
func (r *Room) remove(m *Member) {
	if r.members[m.id] != m {
		return
	}
	delete(r.members, m.id)
	for i, o := range r.order {
		if o == m {
			r.order = append(r.order[:i], r.order[i+1:]...)
			break
		}
	}
	m.end("the viewer left")
	if r.controller == m.id {
		r.setController("", false)
	}
	r.tellViewers()
	r.stopIfIdle()
}

func (r *Room) present() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.presentLocked()
}

// presentLocked counts those who look: also one whose signal socket dropped
// while its media goes on.
func (r *Room) presentLocked() int {
	n := 0
	for _, m := range r.order {
		if !m.away || m.media != nil {
			n++
		}
	}
	return n
}

func (r *Room) closeTicket(ticketID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range append([]*Member(nil), r.order...) {
		if m.viewer.TicketID == ticketID {
			if m.sink != nil {
				m.sink.Shut("the ticket was revoked")
			}
			r.remove(m)
		}
	}
}

// close ends everybody. The room is not used again.
func (r *Room) close(why string) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	if r.idle != nil {
		r.idle.Stop()
	}
	for _, m := range r.order {
		if m.sink != nil {
			m.sink.Shut(why)
		}
		m.end(why)
	}
	r.members, r.order = map[string]*Member{}, nil
	sources := r.sources
	r.link.stop()
	r.mu.Unlock()
	r.cancel()
	r.hub.forget(r)
	for _, s := range sources {
		r.hub.wg.Add(1)
		go func() { defer r.hub.wg.Done(); s.Close() }() // a blocked write may take seconds
	}
}

func (r *Room) addStats(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.order {
		if !m.away {
			s.ByPath[m.path]++
		}
	}
	for codec, src := range r.sources {
		s.add(codec, src.Stats())
	}
}

func (r *Room) videoStats() map[vitrine.Codec]media.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[vitrine.Codec]media.Stats{}
	for codec, src := range r.sources {
		out[codec] = src.Stats()
	}
	return out
}
