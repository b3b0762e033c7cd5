package session

import (
	"context"
	"fmt"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// queueLook is how often the first of the queue looks for room though nobody
// told it of any: a disk that is free again tells nobody.
const queueLook = 5 * time.Second

// queue waits for room. Who is first in the queue asks the store to be admitted
// whenever something is released; nobody else asks, and the store would not let
// them pass.
func (w *worker) queue(ctx context.Context, s *vitrine.Session, until time.Time) error {
	// First be heard of, then look: no release falls between the two.
	if !w.queues.Swap(true) {
		return w.cfg.Store.PutPhase(ctx, s.ID, vitrine.Phase{Name: vitrine.PhaseAdmission, StartedAt: s.CreatedAt,
			Outcome: vitrine.OutcomeRunning, Detail: "waits for room on the host"})
	}
	timer, stop := timerAt(until)
	defer stop()
	var look <-chan time.Time
	if s.Queue.Position == 1 {
		refusal, err := w.admit(ctx, s)
		switch {
		case err != nil:
			return err
		case refusal == nil:
			return nil
		case !refusal.Retryable:
			return w.turnAway(ctx, refusal)
		}
		t := time.NewTimer(queueLook)
		defer t.Stop()
		look = t.C
	}
	select {
	case <-w.wake:
	case <-timer:
	case <-look:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// admit asks for the session's lease: nil when it has it, else why not.
func (w *worker) admit(ctx context.Context, s *vitrine.Session) (refusal *vitrine.Failure, err error) {
	if w.cfg.Admit != nil {
		if err = w.cfg.Admit(ctx); err != nil {
			if refusal = failureOf(err); refusal != nil {
				return refusal, nil
			}
			return nil, err
		}
	}
	_, err = w.cfg.Store.AdmitSession(ctx, vitrine.AdmitSession{ID: s.ID, Now: time.Now(), Capacity: w.cfg.Capacity, Addresses: w.cfg.Pool})
	if vitrine.ClassOf(err) == vitrine.ClassNoCapacity {
		if refusal = failureOf(err); refusal != nil {
			return refusal, nil
		}
	}
	if err != nil {
		return nil, err
	}
	w.queues.Store(false)
	w.log.Info("there is room for the session", "waited", time.Since(s.CreatedAt))
	w.r.room() // there may be room for the next one too
	return nil, nil
}

// giveUp ends the wait at its deadline: with one more look, which also says what
// stands in the way.
func (w *worker) giveUp(ctx context.Context, s *vitrine.Session) error {
	refusal, err := w.admit(ctx, s)
	if err != nil || refusal == nil {
		return err
	}
	f := *refusal
	f.Message = fmt.Sprintf("no room within %s: %s", s.Queue.Deadline.Sub(s.CreatedAt).Round(time.Second), f.Message)
	return w.turnAway(ctx, &f)
}

// turnAway fails a session of which nothing was made: its row was all there was.
func (w *worker) turnAway(ctx context.Context, f *vitrine.Failure) error {
	named := *f
	named.Phase = vitrine.PhaseAdmission
	w.log.Warn("there was no room for the session", "code", named.Code, "message", named.Message)
	w.closeLines(ctx, string(named.Code)+": "+named.Message)
	_, err := w.update(ctx, func(s *vitrine.Session) {
		s.State, s.EndedReason, s.Failure = vitrine.StateFailed, vitrine.EndedFailedToStart, &named
		s.EndedAt, s.Released = time.Now(), true
	})
	if err == nil {
		w.over()
		w.r.room()
	}
	return err
}
