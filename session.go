package vitrine

import (
	"net/netip"
	"time"
)

// Kind is what a session shows: a desktop with a browser, or a terminal.
type Kind string

// The kinds.
const (
	KindDesktop  Kind = "desktop"
	KindTerminal Kind = "terminal"
)

// State is where a session is. It is written by the reconciler only, through
// SessionStore.UpdateSession, which holds every change to Transitions.
type State string

// The states, in the order of a life.
const (
	StatePending  State = "pending"
	StateStarting State = "starting"
	StateReady    State = "ready"
	StateStopping State = "stopping"
	StateEnded    State = "ended"
	StateFailed   State = "failed"
)

// Desired is what the user wants of a session. It is written by the API only.
type Desired string

// What can be wanted.
const (
	DesiredRunning Desired = "running"
	DesiredEnded   Desired = "ended"
)

// transitions is the whole table; what is not in it is refused. A failed
// session is torn down in place: its state stays failed, and Released says that
// nothing of its machine is left.
var transitions = map[State][]State{
	StatePending:  {StateStarting, StateStopping, StateEnded, StateFailed},
	StateStarting: {StateReady, StateStopping, StateFailed},
	StateReady:    {StateStopping, StateFailed},
	StateStopping: {StateEnded, StateFailed},
	StateFailed:   {},
	StateEnded:    {},
}

// CanMove says whether a session may go from one state to the next. Staying is
// always allowed.
func CanMove(from, to State) bool {
	if from == to {
		return true
	}
	for _, s := range transitions[from] {
		if s == to {
			return true
		}
	}
	return false
}

// Over says whether the state is one that nothing follows.
func (s State) Over() bool { return s == StateEnded || s == StateFailed }

// EndedReason is why a session is over.
type EndedReason string

// The reasons (api.md).
const (
	EndedByUser         EndedReason = "stopped_by_user"
	EndedExpired        EndedReason = "expired"
	EndedIdle           EndedReason = "idle"
	EndedFailedToStart  EndedReason = "failed_to_start"
	EndedGuestOOM       EndedReason = "guest_oom"
	EndedMachineExited  EndedReason = "machine_exited"
	EndedBrowserCrashed EndedReason = "browser_crashed"
	EndedNodeLost       EndedReason = "node_lost"
	EndedQuota          EndedReason = "quota"
)

// Viewport is a screen size in pixels.
type Viewport struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Bounds of a viewport: the least that a window manager copes with, and the
// most that one software encoder keeps up with (8 Mpx, 4K UHD).
const (
	MinViewportWidth  = 320
	MaxViewportWidth  = 3840
	MinViewportHeight = 240
	MaxViewportHeight = 2160
)

// DefaultViewport is 1280x720, the size all published figures are for.
var DefaultViewport = Viewport{Width: 1280, Height: 720}

// Valid says whether the viewport is within bounds.
func (v Viewport) Valid() bool {
	return v.Width >= MinViewportWidth && v.Width <= MaxViewportWidth &&
		v.Height >= MinViewportHeight && v.Height <= MaxViewportHeight
}

// Session is what a user asked for and what became of it. Fields are grouped by
// their one writer: the API (wish), the store at creation (lease), the
// reconciler (course).
type Session struct {
	ID        string
	CreatedAt time.Time

	// The wish: written at creation and by PATCH.
	Kind         Kind
	UserID       string
	Image        string // the reference asked for, e.g. "desktop"
	Runtime      string // resolved at creation: never "auto"
	Isolation    Isolation
	MinIsolation Isolation
	VCPU         int
	MemoryMB     int
	Viewport     Viewport
	StartURL     string
	Timeout      time.Duration // 0: none
	IdleTimeout  time.Duration // 0: none
	Metadata     map[string]string
	Desired      Desired
	StopReason   EndedReason // why Desired became DesiredEnded

	// The lease: written by the store in the transaction that makes the row,
	// given back when Released is set.
	MachineID string
	Address   netip.Addr
	Slot      int // 1..253, unique among live sessions; uid ranges and names derive from it
	// OverheadBytes is what its runtime takes of the host beside MemoryMB; both
	// are reserved.
	OverheadBytes int64
	// Queue is its place among those that wait for room; it then has neither
	// address nor slot and holds nothing. nil: it does not wait.
	Queue *QueuePlace

	// The course: written by the reconciler.
	State       State
	ImageDigest string
	ReadyAt     time.Time
	EndedAt     time.Time
	EndedReason EndedReason
	Failure     *Failure
	Node        string
	BootID      string // the host's boot in which the machine was started
	Released    bool   // nothing of the machine is left on the host

	UpdatedAt time.Time
	Version   int64 // grows by one at each write
}

// QueuePlace is where a pending session stands among those that wait for room.
type QueuePlace struct {
	Position int       // 1 is the next
	Deadline time.Time // when it fails, unless room came before
}

// Bounds of the queue.
const (
	MinQueue     = time.Second
	MaxQueue     = time.Hour
	QueueLength  = 100 // sessions that wait on one host
	QueueForUser = 20  // of those, one user's
)

// MayBecome holds a session's next state to CanMove, and to one rule more: who
// waits for room can only go on waiting, or come to an end.
func (s *Session) MayBecome(next State) bool {
	if s.Queue != nil && next != s.State && !next.Over() {
		return false
	}
	return CanMove(s.State, next)
}

// ReservedBytes is what the session takes of the host's memory.
func (s *Session) ReservedBytes() int64 { return int64(s.MemoryMB)<<20 + s.OverheadBytes }

// ExpiresAt is when the session's timeout ends it; zero when it has none.
func (s *Session) ExpiresAt() time.Time {
	if s.Timeout == 0 {
		return time.Time{}
	}
	return s.CreatedAt.Add(s.Timeout)
}

// SessionPatch is what PATCH may change; nil leaves a field alone.
type SessionPatch struct {
	Viewport    *Viewport
	Timeout     *time.Duration
	IdleTimeout *time.Duration
	Metadata    map[string]string // replaces all when not nil
}
