package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

// Times and bounds of rooms.
const (
	// DefaultAway is how long a viewer whose socket dropped keeps its id and
	// control; also how long after a daemon's start a claim of control counts.
	DefaultAway = 30 * time.Second
	// maxMembers bounds the viewers of one session, those away included.
	maxMembers = 64

	stateTimeout   = 3 * time.Second
	activityEvery  = time.Second
	resizeDebounce = 200 * time.Millisecond
)

// Config makes a Hub.
type Config struct {
	Agents       vitrine.Agents
	SessionState func(ctx context.Context, id string) (vitrine.Session, error)
	ResumeKey    []byte
	OnActivity   func(sessionID string) // at most once a second per session
	Away         time.Duration          // 0: DefaultAway
	Grace        time.Duration          // of video and control, 0: media.DefaultGrace
	Log          *slog.Logger
}

// Hub is every room of a node. It is safe for concurrent use.
type Hub struct {
	cfg     Config
	started time.Time
	wg      sync.WaitGroup // rooms' goroutines

	mu     sync.Mutex
	rooms  map[string]*Room
	past   Stats // of the video of rooms that have closed
	closed bool
}

// New makes a hub.
func New(cfg Config) *Hub {
	if cfg.Away == 0 {
		cfg.Away = DefaultAway
	}
	if cfg.Grace == 0 {
		cfg.Grace = media.DefaultGrace
	}
	return &Hub{cfg: cfg, started: time.Now(), rooms: map[string]*Room{}}
}

// Join lets a viewer in; resume is the secret it was given before, or "". sink
// may be nil for one that is told nothing.
func (h *Hub) Join(v vitrine.Viewer, resume string, sink Sink) (*Member, error) {
	for {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, vitrine.Errorf(vitrine.ClassUnavailable, "stopping", "the node is stopping")
		}
		r := h.rooms[v.SessionID]
		if r == nil {
			r = newRoom(h, v.SessionID)
			h.rooms[v.SessionID] = r
		}
		h.mu.Unlock()
		m, err := r.join(v, resume, sink)
		if !errors.Is(err, errRoomClosed) {
			return m, err
		}
		h.forget(r)
	}
}

// forget drops a room that has closed; what its video came to is kept.
func (h *Hub) forget(r *Room) {
	sent := r.videoStats()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.id] != r {
		return
	}
	delete(h.rooms, r.id)
	for codec, v := range sent {
		v.Viewers = 0
		h.past.add(codec, v)
	}
}

func (h *Hub) room(id string) *Room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms[id]
}

func (h *Hub) all() []*Room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.allLocked()
}

func (h *Hub) allLocked() []*Room {
	out := make([]*Room, 0, len(h.rooms))
	for _, r := range h.rooms {
		out = append(out, r)
	}
	return out
}

// Find gives a present or away member of a session by id, nil when there is
// none.
func (h *Hub) Find(sessionID, viewerID string) *Member {
	r := h.room(sessionID)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members[viewerID]
}

// CloseSession tells a session's viewers its state and ends them all.
func (h *Hub) CloseSession(id string) {
	if r := h.room(id); r != nil {
		r.observe(true)
		r.close("session closed")
	}
}

// CloseTicket ends every viewer that came in by the ticket.
func (h *Hub) CloseTicket(ticketID string) {
	for _, r := range h.all() {
		r.closeTicket(ticketID)
	}
}

// Viewers counts those attached to a session now, not those away.
func (h *Hub) Viewers(sessionID string) int {
	if r := h.room(sessionID); r != nil {
		return r.present()
	}
	return 0
}

// Stats are figures over all rooms; of video also over those that have closed.
type Stats struct {
	ByPath map[string]int // viewers now, by the path they are on
	Video  map[vitrine.Codec]media.Stats
}

func (s *Stats) add(codec vitrine.Codec, b media.Stats) {
	if s.Video == nil {
		s.Video = map[vitrine.Codec]media.Stats{}
	}
	a := s.Video[codec]
	a.Viewers += b.Viewers
	a.Frames += b.Frames
	a.Bytes += b.Bytes
	a.Dropped += b.Dropped
	a.Keyframes += b.Keyframes
	a.Opened += b.Opened
	s.Video[codec] = a
}

// Stats gives the figures now.
func (h *Hub) Stats() Stats {
	// The rooms and the past in one look: a room that closes now is counted once.
	h.mu.Lock()
	rooms := h.allLocked()
	s := Stats{ByPath: map[string]int{}, Video: map[vitrine.Codec]media.Stats{}}
	for codec, v := range h.past.Video {
		s.add(codec, v)
	}
	h.mu.Unlock()
	for _, r := range rooms {
		r.addStats(&s)
	}
	return s
}

// Close ends every room and waits.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, r := range h.all() {
		r.close("node stopping")
	}
	h.wg.Wait()
}
