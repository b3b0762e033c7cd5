package session

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// tally counts for metrics.
type tally struct {
	found           atomic.Int64 // at the last look
	removed, failed atomic.Int64 // since the process began
}

// SweepCounts is what a sweeper has found and done.
type SweepCounts struct{ Found, Removed, Failed int64 }

// Counts gives the figures for metrics.
func (w *Sweeper) Counts() SweepCounts {
	return SweepCounts{w.tally.found.Load(), w.tally.removed.Load(), w.tally.failed.Load()}
}

// Sweeper gives the service's own sweeper: whoever else collects goes through
// it, so that two never race.
func (s *Service) Sweeper() *Sweeper { return s.sweep }

// sweeping is the daemon's ticker: at the start, and every half age guard.
func (s *Service) sweeping(ctx context.Context) {
	every := time.NewTicker(s.cfg.AgeGuard / 2)
	defer every.Stop()
	var pruned time.Time
	for {
		err := s.tick(ctx)
		if ctx.Err() == nil {
			s.rec.work.swept(err, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("the sweep for what is left over did not work", "error", err)
		}
		if now := time.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			n, err := s.cfg.Store.Prune(ctx, now.Add(-s.cfg.Keep))
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("old sessions could not be pruned", "error", err)
			} else if n > 0 {
				s.cfg.Log.Info("old sessions pruned", "count", n)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// tick sees to it that every session that needs a worker has one, and sweeps.
func (s *Service) tick(ctx context.Context) error {
	live, err := s.cfg.Store.Unsettled(ctx)
	if err != nil {
		return err
	}
	for _, one := range live {
		s.rec.ensure(one.ID)
	}
	s.uses.only(s.rec.works)
	if err := s.sweep.take(ctx); err != nil {
		return err
	}
	defer s.sweep.give()
	c, err := s.sweep.collect(ctx, false, 0, true)
	if err != nil {
		return err
	}
	for _, l := range c.Leftovers {
		if l.Deed == vitrine.DeedNone && l.Keep != "" {
			s.cfg.Log.Debug("a leftover is left alone", "machine", l.Machine, "what", nameOf(l), "why", l.Why, "keep", l.Keep)
		}
	}
	return nil
}
