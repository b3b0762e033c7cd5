package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// clean removes what is left of a session that is over or stopping: console
// saved, machine deleted, network detached, lease given back, in that order. It
// is tried again until all of it worked.
//
// The machine is not asked to leave first: it is disposable, and whoever ended
// it waits.
func (w *worker) clean(ctx context.Context, s *vitrine.Session) error {
	if w.turn != nil {
		w.turn()
	}
	rt := w.cfg.runtime(s.Runtime)
	lost := s.BootID != w.cfg.BootID
	if rt == nil && !lost {
		return fmt.Errorf("machine %s was made by the runtime %s, which this daemon does not offer: start it once with that runtime", s.MachineID, s.Runtime)
	}
	if rt != nil {
		w.saveConsole(ctx, rt, s)
	}
	w.record(ctx, rt, s)
	if rt != nil {
		if err := w.remove(ctx, "deleting the machine", func(ctx context.Context) error { return rt.Delete(ctx, s.MachineID) }); err != nil {
			return err
		}
	}
	// After the machine: its address must not be lent while its process lives.
	if rt == nil || rt.Isolation() != vitrine.IsolationNone {
		if err := w.remove(ctx, "detaching the network", func(ctx context.Context) error { return w.cfg.Network.Detach(ctx, s.MachineID) }); err != nil {
			return err
		}
	}
	if w.makes.stuck() {
		return fmt.Errorf("a call that may still make something of machine %s: %w", s.MachineID, errStuck)
	}
	_, err := w.update(ctx, func(s *vitrine.Session) {
		if s.Released = true; s.State == vitrine.StateStopping {
			s.State, s.EndedAt = vitrine.StateEnded, time.Now()
		}
	})
	if err != nil {
		return err
	}
	w.r.room()
	w.log.Info("nothing of the session is left", "reason", s.EndedReason)
	if s.State == vitrine.StateStopping {
		w.over()
	}
	return nil
}

func (w *worker) remove(ctx context.Context, what string, f func(context.Context) error) error {
	rctx, cancel := context.WithTimeout(ctx, w.cfg.Deadlines.Teardown)
	defer cancel()
	if err := w.makes.do(rctx, what, f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// saveConsole keeps the console for those who come later; once, and a teardown
// does not wait for one that cannot be had.
func (w *worker) saveConsole(ctx context.Context, rt vitrine.Runtime, s *vitrine.Session) {
	if w.saved {
		return
	}
	w.saved = true
	w.readConsole(ctx, rt, s.MachineID)
	if w.machine.console == nil {
		return
	}
	sctx, cancel := within(ctx, askLimit)
	defer cancel()
	if err := w.cfg.Store.SaveConsole(sctx, s.ID, w.machine.console); err != nil && !errors.Is(err, context.Canceled) {
		w.log.Warn("the console could not be saved", "error", err)
	}
}
