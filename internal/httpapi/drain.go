package httpapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// drainRetry is when a caller who is sent away by a daemon that stops is to come
// back: a restart takes about a second.
const drainRetry = 3 * time.Second

// waitsEnd is how long calls that wait for a session may take to answer once
// they are told to stop waiting.
const waitsEnd = time.Second

// drain is what the server knows of its own end.
type drain struct {
	waits     context.Context // of ?wait=true; ends when a drain's time is over
	stopWaits context.CancelFunc

	mu    sync.Mutex
	begun bool
	calls int           // plain calls under way
	none  chan struct{} // closed when there is none any more; nil: nobody asks
}

func newDrain() *drain {
	d := &drain{}
	d.waits, d.stopWaits = context.WithCancel(context.Background())
	return d
}

// enter counts a call; leave must be called at its end.
func (d *drain) enter() (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls--
		d.tellLocked()
	}
}

func (d *drain) tellLocked() {
	if d.calls == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

func (d *drain) is() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

func (d *drain) underWay() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// empty gives a channel that is closed once no call is under way.
func (d *drain) empty() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.none == nil {
		d.none = make(chan struct{})
	}
	none := d.none
	d.tellLocked()
	return none
}

// Drain readies the server for its end. From its first moment on what would
// begin something new (a session, a stream, a socket) is refused with 503 and
// Retry-After, event streams and sockets are ended with a reason, and /health
// says so; other calls are answered as ever. It returns when no call is under
// way, or a moment after ctx is done: calls that wait for a session are then
// answered with the session as it is.
func (s *Server) Drain(ctx context.Context) {
	s.drain.mu.Lock()
	s.drain.begun = true
	s.drain.mu.Unlock()
	s.live.closeAll()
	none := s.drain.empty()
	select {
	case <-none:
		return
	case <-ctx.Done():
	}
	s.drain.stopWaits()
	last := time.NewTimer(waitsEnd)
	defer last.Stop()
	select {
	case <-none:
	case <-last.C:
		s.log.Warn("calls are cut off by the daemon's end", "count", s.drain.underWay())
	}
}

const codeDraining = "shutting_down"

// errDraining sends a caller away who would begin something.
func errDraining() error {
	e := vitrine.Errorf(vitrine.ClassUnavailable, codeDraining, "the daemon is shutting down; sessions go on").
		WithRemedy("try again in a few seconds: a restart takes about one")
	e.RetryAfter, e.Retryable = drainRetry, true
	return e
}

// errPutOut is why a stream of a caller ends whose credential was taken away.
var errPutOut = errors.New("the caller may not be here any more")

// waiting is a context for a call that waits for a session; it ends with the
// request, after the longest wait, or with the daemon's drain.
func (s *Server) waiting(ctx context.Context) (context.Context, func()) {
	stateOf(ctx).waited = true
	ctx, cancel := context.WithTimeout(ctx, s.waitMax)
	stop := context.AfterFunc(s.drain.waits, cancel)
	return ctx, func() { stop(); cancel() }
}
