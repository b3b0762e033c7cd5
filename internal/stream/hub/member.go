package hub

import (
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

// Media is a member's media connection: closed when it is replaced or the
// member ends. Close must not block.
type Media interface{ Close(why string) }

// Member is one viewer of a room. All fields are under room.mu but the first
// three, which never change.
type Member struct {
	room   *Room
	id     string
	viewer vitrine.Viewer

	sink      Sink
	greeted   bool // hello was sent on this sink
	away      bool
	awayTimer *time.Timer
	ended     bool
	path, why string
	said      bool // the path is the viewer's own word
	buttons   int
	media     Media
	onControl []func(bool)
}

// ID is the viewer's id; Viewer who it is.
func (m *Member) ID() string { return m.id }

// Viewer is who the member is.
func (m *Member) Viewer() vitrine.Viewer { return m.viewer }

// Greet sends hello, which is made from the desktop's size and the resume
// secret, and after it what the others know already. Nothing is delivered to a
// member before. It says false when the session is over, which the viewer has
// then been told.
func (m *Member) Greet(hello func(desktop vitrine.Viewport, resume string) any) bool {
	r := m.room
	_, isOver := r.refresh() // so that hello tells the truth
	r.mu.Lock()
	m.greeted = true
	m.deliver(hello(r.desktop, r.hub.mintResume(m.viewer, m.id, r.controller == m.id, time.Now())))
	r.tellViewers()
	if r.state.State != "" {
		m.deliver(r.state)
	}
	if r.cursor != nil {
		m.deliver(*r.cursor)
	}
	r.startLocked()
	r.mu.Unlock()
	if isOver {
		r.close("session over")
	}
	return !isOver
}

// Tell delivers one message to this member alone.
func (m *Member) Tell(message any) {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.deliver(message)
}

func (m *Member) deliver(message any) {
	if m.sink != nil && m.greeted {
		m.sink.Deliver(message)
	}
}

func (m *Member) back(sink Sink) {
	m.sink, m.away, m.greeted = sink, false, false
	if m.awayTimer != nil {
		m.awayTimer.Stop()
		m.awayTimer = nil
	}
}

// Leave says that the connection behind sink is gone. The member stays for the
// away time, unless another connection has taken its place meanwhile.
func (m *Member) Leave(sink Sink) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.ended || m.sink != sink || m.away {
		return
	}
	m.sink, m.away = nil, true
	if r.controller == m.id {
		r.link.push(vitrine.Input{Type: vitrine.InputRelease}) // the keyup will not come
		m.buttons = 0
	}
	m.awayTimer = time.AfterFunc(r.hub.cfg.Away, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if m.away {
			r.remove(m)
		}
	})
	r.tellViewers()
	r.stopIfIdle()
}

// Depart says that the viewer closed the connection behind sink of its own will
// and does not come back: it is removed, unless another connection has taken
// its place meanwhile.
func (m *Member) Depart(sink Sink) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.ended || m.sink != sink {
		return
	}
	m.sink = nil
	r.remove(m)
}

// Remove takes the member out at once.
func (m *Member) Remove() {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.room.remove(m)
}

// end lets go of what the member holds. Called with the lock held.
func (m *Member) end(why string) {
	m.ended = true
	if m.awayTimer != nil {
		m.awayTimer.Stop()
	}
	if m.media != nil {
		go m.media.Close(why)
		m.media = nil
	}
	for _, f := range m.onControl {
		go f(false)
	}
	m.onControl = nil
}

// SetMedia makes x the member's media connection and closes the one before. It
// says false when the member has ended: x is then the caller's to close.
func (m *Member) SetMedia(x Media) bool {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	if m.ended {
		return false
	}
	if m.media != nil {
		go m.media.Close("replaced by a new offer")
	}
	m.media = x
	return true
}

// CurrentMedia is the media connection in force, nil when there is none.
func (m *Member) CurrentMedia() Media {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	return m.media
}

// DropMedia notes that a media connection has ended by itself. It says whether
// it was the one in force.
func (m *Member) DropMedia(x Media) bool {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	if m.media != x {
		return false
	}
	m.media = nil
	m.room.stopIfIdle()
	return true
}

// Video gives the room's source of a codec, for Attach.
func (m *Member) Video(codec vitrine.Codec) *media.Source { return m.room.source(codec) }

// OnControl has f told, from a goroutine of its own, when the member gets or
// loses control, and of its end as a loss. The returned func takes it back.
func (m *Member) OnControl(f func(inControl bool)) (forget func()) {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.onControl = append(m.onControl, f)
	i := len(m.onControl) - 1
	return func() {
		m.room.mu.Lock()
		defer m.room.mu.Unlock()
		if i < len(m.onControl) {
			m.onControl[i] = func(bool) {}
		}
	}
}

// SetPath notes which way the viewer sees the desktop; said is the viewer's own
// word, which goes before what the node can tell.
func (m *Member) SetPath(path, why string, said bool) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.ended || m.said && !said || m.path == path && m.why == why {
		return
	}
	m.path, m.why, m.said = path, why, said
	r.tellViewers()
}
