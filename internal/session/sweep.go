package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
)

const (
	listLimit  = 20 * time.Second
	pruneEvery = time.Hour
)

// SweepConfig is what a Sweeper needs: the daemon's own, or that of a tool which
// works while no daemon does.
type SweepConfig struct {
	Store SweepStore // nil: it cannot be read, and Unreadable says why
	// Unreadable is why there is no Store.
	Unreadable string
	Runtimes   []vitrine.Runtime // may be empty where Host is set
	Network    vitrine.Network   // likewise
	Host       vitrine.Host      // nil: only what Runtimes and Network list is seen
	BootID     string
	AgeGuard   time.Duration
	Budget     int  // deeds a run; 0: leftover.DefaultBudget
	Daemon     bool // a daemon works over Store
	Log        *slog.Logger
}

// SweepStore is what a sweep asks of the store.
type SweepStore interface {
	Unsettled(ctx context.Context) ([]vitrine.Session, error)
	UpdateSession(ctx context.Context, id string, now time.Time, change func(*vitrine.Session) error) (vitrine.Session, error)
}

// machineFinder is a store that knows machines of sessions that are released:
// what is found of those is ours for sure, and is removed at once.
type machineFinder interface {
	SessionOfMachine(ctx context.Context, machineID string) (vitrine.Session, error)
}

// ticketKeeper is a store that can find tickets which still let in to a session
// that is gone.
type ticketKeeper interface {
	LooseTickets(ctx context.Context, now time.Time) ([]vitrine.Ticket, error)
	RevokeTicket(ctx context.Context, id string, now time.Time) error
}

// Sweeper finds what belongs to no live session, and removes it: what a crash,
// or a call that ended too late, has left. It implements vitrine.Keeper.
type Sweeper struct {
	cfg   SweepConfig
	calls calls
	turn  chan struct{}        // holds one: one look or collection at a time
	first map[string]time.Time // when a thing was first seen, by kind and name
	tally tally
}

var _ vitrine.Keeper = (*Sweeper)(nil)

// NewSweeper makes a sweeper. It does nothing by itself.
func NewSweeper(cfg SweepConfig) *Sweeper {
	if cfg.AgeGuard < 0 {
		cfg.AgeGuard = 0
	}
	if cfg.Budget <= 0 {
		cfg.Budget = leftover.DefaultBudget
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Sweeper{cfg: cfg, turn: make(chan struct{}, 1), first: map[string]time.Time{}}
}

// Audit implements vitrine.Keeper.
func (w *Sweeper) Audit(ctx context.Context) (vitrine.Collection, error) {
	if err := w.take(ctx); err != nil {
		return vitrine.Collection{}, err
	}
	defer w.give()
	// A host moves while it is looked at: what was half-made a moment ago is made
	// or gone a moment later, and no leftover. No budget: an audit lists all.
	c, err := w.plan(ctx, false, 0)
	for try := 0; try < auditTries && err == nil && slices.ContainsFunc(c.Leftovers, func(l vitrine.Leftover) bool { return l.Young }); try++ {
		select {
		case <-ctx.Done():
			return c, nil
		case <-time.After(auditPause):
		}
		c, err = w.plan(ctx, false, 0)
	}
	return c, err
}

// An audit that sees something in the making looks again: a machine is made, or
// removed, within some 200 ms.
const (
	auditTries = 3
	auditPause = 300 * time.Millisecond
)

// Collect implements vitrine.Keeper.
func (w *Sweeper) Collect(ctx context.Context, dryRun bool, budget int) (vitrine.Collection, error) {
	if err := w.take(ctx); err != nil {
		return vitrine.Collection{}, err
	}
	defer w.give()
	return w.collect(ctx, dryRun, budget, false)
}

func (w *Sweeper) take(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return vitrine.Errorf(vitrine.ClassUnavailable, "sweep_running", "another sweep of the host is at work").
			WithRemedy("try again in a moment").WithCause(ctx.Err())
	}
}

func (w *Sweeper) give() { <-w.turn }

// collect plans and does. adopt lets the runtimes list their machines too, which
// gives a machine whose supervisor was killed another.
func (w *Sweeper) collect(ctx context.Context, dryRun bool, budget int, adopt bool) (vitrine.Collection, error) {
	if budget <= 0 {
		budget = w.cfg.Budget
	}
	c, err := w.plan(ctx, adopt, budget)
	if c.DryRun = dryRun; err != nil || dryRun {
		return c, err
	}
	stuck := map[string]bool{} // machines of which a deed did not work
	for i := range c.Leftovers {
		l := &c.Leftovers[i]
		if l.Deed == vitrine.DeedNone {
			continue
		}
		if l.Machine != "" && stuck[l.Machine] {
			// Its network and its address must not be free while it may live.
			l.Err = "what had to be done before it did not work"
			continue
		}
		if err := w.call(ctx, string(l.Deed)+" "+nameOf(*l), func(ctx context.Context) error { return w.do(ctx, *l) }); err != nil {
			l.Err, stuck[l.Machine] = err.Error(), true
			w.tally.failed.Add(1)
			w.cfg.Log.Warn("a leftover could not be removed", "machine", l.Machine, "deed", l.Deed, "what", nameOf(*l), "error", err)
			continue
		}
		l.Done = true
		w.tally.removed.Add(1)
		w.cfg.Log.Info("removed a leftover", "machine", l.Machine, "session", l.Session, "deed", l.Deed, "what", nameOf(*l), "why", l.Why)
	}
	return c, nil
}

// nameOf is a leftover in a few words.
func nameOf(l vitrine.Leftover) string {
	if len(l.Things) == 0 {
		return l.Machine
	}
	return fmt.Sprintf("%s %s", l.Things[0].Kind, l.Things[0].Name)
}

// do does one deed, by whoever can.
func (w *Sweeper) do(ctx context.Context, l vitrine.Leftover) error {
	switch l.Deed {
	case vitrine.DeedDeleteMachine:
		return w.deleteMachine(ctx, l)
	case vitrine.DeedDetach:
		if w.cfg.Network != nil {
			return w.cfg.Network.Detach(ctx, l.Machine)
		}
	case vitrine.DeedRelease:
		return w.release(ctx, l)
	case vitrine.DeedRevoke:
		keeper, ok := w.cfg.Store.(ticketKeeper)
		if !ok {
			return errors.New("this store keeps no tickets")
		}
		for _, t := range l.Things {
			if err := keeper.RevokeTicket(ctx, t.Name, time.Now()); err != nil && vitrine.ClassOf(err) != vitrine.ClassNotFound {
				return err
			}
		}
		return nil
	}
	if w.cfg.Host == nil {
		return errors.New("nobody here can do that")
	}
	return w.cfg.Host.Remove(ctx, l)
}

// deleteMachine leaves a machine to its runtime; one whose runtime this daemon
// does not offer is the host's to remove.
func (w *Sweeper) deleteMachine(ctx context.Context, l vitrine.Leftover) error {
	rest := l
	rest.Things = nil
	for _, t := range l.Things {
		if rt := w.runtime(t.Runtime); t.Kind == vitrine.ThingMachine && rt != nil {
			if err := rt.Delete(ctx, t.Machine); err != nil {
				return err
			}
			continue
		}
		if t.Kind == vitrine.ThingMachine {
			rest.Things = append(rest.Things, t)
		}
	}
	if len(rest.Things) == 0 {
		return nil
	}
	if w.cfg.Host == nil {
		return fmt.Errorf("machine %s was made by the runtime %s, which is not offered here", l.Machine, rest.Things[0].Runtime)
	}
	return w.cfg.Host.Remove(ctx, rest)
}

func (w *Sweeper) runtime(name string) vitrine.Runtime {
	for _, rt := range w.cfg.Runtimes {
		if rt.Name() == name {
			return rt
		}
	}
	return nil
}

// release gives back what a session that is over still holds.
func (w *Sweeper) release(ctx context.Context, l vitrine.Leftover) error {
	_, err := w.cfg.Store.UpdateSession(ctx, l.Session, time.Now(), func(s *vitrine.Session) error {
		if !s.State.Over() {
			return fmt.Errorf("session %s is %s", s.ID, s.State)
		}
		s.Released = true
		return nil
	})
	return err
}

func (w *Sweeper) call(ctx context.Context, what string, f func(context.Context) error) error {
	cctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	if err := w.calls.do(cctx, what, f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
