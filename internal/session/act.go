package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/diagnose"
)

// act does one step. Each may be done again after a crash at any point of it.
func (w *worker) act(ctx context.Context, s *vitrine.Session, a action) error {
	switch a.do {
	case doDrop:
		return w.drop(ctx, a.reason)
	case doQueue:
		return w.queue(ctx, s, a.until)
	case doGiveUp:
		return w.giveUp(ctx, s)
	case doStart:
		return w.start(ctx, s, a.until)
	case doBoot:
		return w.bootUntilOvertaken(ctx, s, a.until)
	case doLook:
		return w.look(ctx, s)
	case doWatch:
		return w.watch(ctx, s, a.until)
	case doStop:
		return w.stop(ctx, s, a.reason)
	case doFail:
		return w.fail(ctx, s, a.failure)
	case doClean:
		return w.clean(ctx, s)
	}
	return fmt.Errorf("plan named %q, which nobody can do", a.do)
}

func (w *worker) update(ctx context.Context, change func(*vitrine.Session)) (vitrine.Session, error) {
	return w.cfg.Store.UpdateSession(ctx, w.id, time.Now(), func(s *vitrine.Session) error { change(s); return nil })
}

// drop ends a session that was never begun: its row was all there was.
func (w *worker) drop(ctx context.Context, reason vitrine.EndedReason) error {
	w.closeLines(ctx, "given up: "+string(reason))
	_, err := w.update(ctx, func(s *vitrine.Session) {
		s.State, s.EndedReason, s.EndedAt, s.Released = vitrine.StateEnded, reason, time.Now(), true
	})
	if err == nil {
		w.over()
		w.r.room()
	}
	return err
}

// start waits for a turn and begins. While it waits the session is pending, and
// nothing of it exists.
func (w *worker) start(ctx context.Context, s *vitrine.Session, until time.Time) error {
	line := vitrine.Phase{Name: vitrine.PhaseAdmission, StartedAt: s.CreatedAt, Outcome: vitrine.OutcomeRunning}
	select {
	case w.r.turns <- struct{}{}:
	default:
		line.Detail = "waits for a turn: as many starts as this host does at once are under way"
		if err := w.cfg.Store.PutPhase(ctx, s.ID, line); err != nil {
			return err
		}
		timer, stop := timerAt(until)
		defer stop()
		select {
		case w.r.turns <- struct{}{}:
		case <-w.wake:
			return nil
		case <-timer:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	release := sync.OnceFunc(func() { <-w.r.turns })
	begun, err := w.update(ctx, func(s *vitrine.Session) {
		s.State, s.Node, s.BootID = vitrine.StateStarting, w.cfg.Node, w.cfg.BootID
	})
	if err != nil {
		release()
		return err
	}
	w.fresh, w.turn = true, release
	line.Outcome, line.Duration = vitrine.OutcomeOK, time.Since(s.CreatedAt)
	line.Detail = fmt.Sprintf("%d vCPU, %d MiB, slot %d", begun.VCPU, begun.MemoryMB, begun.Slot)
	return w.cfg.Store.PutPhase(ctx, s.ID, line)
}

// errOvertaken ends a start that is not wanted any more.
var errOvertaken = errors.New("the session was ended while it started")

// bootUntilOvertaken runs the start, and ends it as soon as the plan is another.
func (w *worker) bootUntilOvertaken(ctx context.Context, s *vitrine.Session, until time.Time) error {
	if w.turn != nil {
		defer time.AfterFunc(w.cfg.Turn, w.turn).Stop()
		defer w.turn()
	}
	bctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	woken := false
	watching.Go(func() {
		timer, stop := timerAt(until)
		defer stop()
		for {
			select {
			case <-bctx.Done():
				return
			case <-w.wake:
				woken = true
			case <-timer:
			}
			now, err := w.cfg.Store.Session(bctx, s.ID)
			if err != nil {
				continue
			}
			if a := plan(&now, seen{bootID: w.cfg.BootID, runtime: true}, time.Now()); a.do != doBoot {
				cancel(errOvertaken)
				return
			}
			stop()
			timer, stop = timerAt(now.ExpiresAt())
		}
	})
	failure, err := w.boot(bctx, s)
	cancel(nil)
	watching.Wait()
	if woken {
		w.nudge() // it may have been meant for the next step
	}
	if w.failure = failure; errors.Is(context.Cause(bctx), errOvertaken) {
		return nil
	}
	return err
}

// stop begins to end a session: from here on it only goes to its end.
func (w *worker) stop(ctx context.Context, s *vitrine.Session, reason vitrine.EndedReason) error {
	if s.State == vitrine.StateStarting {
		w.closeLines(ctx, "given up: "+string(reason))
	}
	_, err := w.update(ctx, func(s *vitrine.Session) {
		s.State, s.EndedReason = vitrine.StateStopping, reason
	})
	return err
}

// fail says why a session failed, at once; its machine is removed after that.
func (w *worker) fail(ctx context.Context, s *vitrine.Session, f *vitrine.Failure) error {
	w.log.Warn("the session failed", "code", f.Code, "phase", f.Phase, "message", f.Message)
	if s.State == vitrine.StateStarting {
		w.closeLines(ctx, string(f.Code)+": "+f.Message)
	}
	_, err := w.update(ctx, func(s *vitrine.Session) {
		s.EndedReason = diagnose.Reason(f, s.State == vitrine.StateReady)
		s.State, s.Failure, s.EndedAt = vitrine.StateFailed, f, time.Now()
	})
	if err == nil {
		w.over()
	}
	return err
}

// closeLines ends the lines of the boot ledger that a start left open.
func (w *worker) closeLines(ctx context.Context, why string) {
	l, err := w.cfg.Store.Ledger(ctx, w.id)
	for _, p := range l.Phases {
		if p.Outcome == vitrine.OutcomeRunning && err == nil {
			p.Outcome, p.Duration, p.Detail = vitrine.OutcomeFailed, time.Since(p.StartedAt), why
			err = w.cfg.Store.PutPhase(ctx, w.id, p)
		}
	}
	if err != nil {
		w.log.Warn("the boot ledger could not be closed", "error", err)
	}
}

func (w *worker) over() {
	if w.cfg.OnOver != nil {
		w.cfg.OnOver(w.id)
	}
}

// timerAt fires at a time, never for the zero time.
func timerAt(at time.Time) (<-chan time.Time, func() bool) {
	if at.IsZero() {
		return nil, func() bool { return false }
	}
	t := time.NewTimer(time.Until(at))
	return t.C, t.Stop
}
