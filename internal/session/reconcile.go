package session

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// reconciler makes what is wanted so: one worker a session, and a turn for each
// start, of which there are Config.Parallel.
type reconciler struct {
	cfg   *Config
	uses  *uses
	turns chan struct{}
	work  work

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before it
	workers map[string]*worker
	running sync.WaitGroup
}

func newReconciler(cfg *Config, u *uses) *reconciler {
	return &reconciler{cfg: cfg, uses: u, turns: make(chan struct{}, cfg.Parallel), workers: map[string]*worker{}}
}

// begin lets workers run until ctx is done.
func (r *reconciler) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
}

// kick makes the session's worker plan again, and starts one when there is
// none. It never blocks. Before begin it does nothing: Run finds what there is.
func (r *reconciler) kick(id string) { r.rouse(id, true) }

// ensure sees to it that the session has a worker, and leaves one alone.
func (r *reconciler) ensure(id string) { r.rouse(id, false) }

func (r *reconciler) rouse(id string, nudge bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	w := r.workers[id]
	if w == nil {
		ctx, cancel := context.WithCancel(r.ctx)
		w = &worker{r: r, cfg: r.cfg, id: id, log: r.cfg.Log.With("session", id), wake: make(chan struct{}, 1), life: ctx, end: cancel}
		w.makes.ended = w.nudge
		r.workers[id] = w
		r.running.Go(func() { w.run(ctx) })
		return
	}
	if nudge {
		w.nudge()
	}
}

// works says whether a session has a worker.
func (r *reconciler) works(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[id] != nil
}

// room tells those who wait for room that there may be some now.
func (r *reconciler) room() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if w.queues.Load() {
			w.nudge()
		}
	}
}

// idle forgets a worker whose session needs none any more.
func (r *reconciler) idle(w *worker) {
	r.mu.Lock()
	delete(r.workers, w.id)
	r.mu.Unlock()
	r.uses.forget(w.id) // not under the lock: sweeps take the two the other way round
}

// shutdownLimit is how long Run waits for workers that are stuck in a call.
const shutdownLimit = 5 * time.Second

func (r *reconciler) wait() {
	done := make(chan struct{})
	go func() { r.running.Wait(); close(done) }()
	limit := time.NewTimer(shutdownLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		r.cfg.Log.Warn("some sessions were in calls that do not end; the next start goes on with them")
	}
}

// worker does all that is done to one session. Its fields are its goroutine's
// own, but for wake, queues and calls.
type worker struct {
	r    *reconciler
	cfg  *Config
	id   string
	log  *slog.Logger
	wake chan struct{}
	life context.Context // until the session needs no worker, or the daemon stops
	end  context.CancelFunc

	makes calls // Create, Start, Attach, Delete, Detach: what is left behind may still make something
	asks  calls // Inspect, Console, Health: what is left behind is harmless

	queues atomic.Bool // it waits for room, and wants to hear of any

	named   bool   // the log names the machine
	fresh   bool   // this process began the start: nothing can be there from before
	turn    func() // gives the turn back; nil when it has none
	looked  bool
	failure *vitrine.Failure
	machine machineSigns
	applied vitrine.Viewport
	saved   bool // the console
	// recorded says that the flight recorder was told, or did not need to be.
	recorded bool
}

// nudge wakes the worker; many nudges are one.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Waits after a step that did not work: the first is short, because what stands
// in the way is mostly a process that is about to be gone.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 30 * time.Second
)

func (w *worker) run(ctx context.Context) {
	defer w.end()
	retry := firstRetry
	for ctx.Err() == nil {
		over, err := w.step(ctx)
		switch {
		case over:
			w.r.idle(w)
			return
		case err == nil:
			retry = firstRetry
			continue
		case ctx.Err() != nil:
			return
		}
		w.r.work.retries.Add(1)
		w.log.Warn("a step did not work and is tried again", "error", err, "in", retry)
		w.pause(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// step reads the session, plans, and does one thing.
func (w *worker) step(ctx context.Context) (over bool, err error) {
	s, err := w.cfg.Store.Session(ctx, w.id)
	if err != nil {
		return vitrine.ClassOf(err) == vitrine.ClassNotFound, err
	}
	if !w.named {
		w.log, w.named = w.log.With("machine", s.MachineID), true
	}
	a := plan(&s, w.sight(&s), time.Now())
	if a.do == doNothing {
		return true, nil
	}
	return false, w.act(ctx, &s, a)
}

func (w *worker) sight(s *vitrine.Session) seen {
	if w.cfg.Viewers != nil && s.State == vitrine.StateReady && w.cfg.Viewers(s.ID) > 0 {
		w.r.uses.touch(s.ID, time.Now())
	}
	return seen{
		bootID: w.cfg.BootID, runtime: w.cfg.runtime(s.Runtime) != nil,
		looked: w.looked, failure: w.failure, lastUse: w.r.uses.last(s.ID),
	}
}

// pause waits until it is woken, or until the time is over.
func (w *worker) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-t.C:
	}
}

// uses knows when sessions were last used.
type uses struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (u *uses) touch(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = map[string]time.Time{}
	}
	u.at[id] = now
}

func (u *uses) last(id string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id]
}

func (u *uses) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.at, id)
}

// only forgets all but those that are kept.
func (u *uses) only(keep func(id string) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.at, func(id string, _ time.Time) bool { return !keep(id) })
}

// failureOf finds a named failure in an error: one that carries it, or one whose
// code is of the catalogue.
func failureOf(err error) *vitrine.Failure {
	var f *vitrine.Failure
	if errors.As(err, &f) {
		return f
	}
	var e *vitrine.Error
	if !errors.As(err, &e) {
		return nil
	}
	if e.Failure != nil {
		return e.Failure
	}
	if _, ok := vitrine.FailureInfoOf(vitrine.FailureCode(e.Code)); !ok {
		return nil
	}
	f = vitrine.NewFailure(vitrine.FailureCode(e.Code), nil, "%s", e.Message)
	if e.Remedy != "" {
		f.Remedy = e.Remedy
	}
	return f
}
