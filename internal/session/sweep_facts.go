package session

import (
	"context"
	"maps"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
)

// plan looks at host and store and lists what belongs to nobody.
func (w *Sweeper) plan(ctx context.Context, adopt bool, budget int) (vitrine.Collection, error) {
	f, err := w.facts(ctx, adopt)
	if err != nil {
		return vitrine.Collection{}, err
	}
	c := vitrine.Collection{
		Blind:     f.Blind,
		Leftovers: leftover.Plan(f, leftover.Rules{AgeGuard: w.cfg.AgeGuard, Budget: budget}),
	}
	w.tally.found.Store(int64(len(c.Leftovers)))
	return c, nil
}

// facts sees the host first and the store after: a session's row is there before
// its machine, so a machine seen here without a row below has none.
func (w *Sweeper) facts(ctx context.Context, adopt bool) (leftover.Facts, error) {
	f := leftover.Facts{BootID: w.cfg.BootID, Daemon: w.cfg.Daemon, Unreadable: w.cfg.Unreadable, Released: map[string]string{}}
	err := w.things(ctx, &f, adopt)
	if err != nil {
		return f, err
	}
	if w.cfg.Store != nil {
		if f.Sessions, err = w.cfg.Store.Unsettled(ctx); err != nil {
			return f, err
		}
	}
	f.Now = time.Now()
	w.age(&f)
	if err := w.journal(ctx, &f); err != nil {
		return f, err
	}
	return f, nil
}

// things lists what is on the host. If one list cannot be had, nothing is swept:
// an attachment whose machine we cannot see might be in use.
func (w *Sweeper) things(ctx context.Context, f *leftover.Facts, adopt bool) error {
	if w.cfg.Host != nil {
		err := w.call(ctx, "looking at the host", func(ctx context.Context) (err error) {
			f.Things, f.Blind, err = w.cfg.Host.Things(ctx)
			return err
		})
		if err != nil || !adopt {
			return err
		}
	}
	seen := map[vitrine.Thing]bool{}
	for _, t := range f.Things {
		seen[vitrine.Thing{Kind: t.Kind, Machine: t.Machine, Runtime: t.Runtime}] = true
	}
	add := func(t vitrine.Thing) {
		if key := (vitrine.Thing{Kind: t.Kind, Machine: t.Machine, Runtime: t.Runtime}); !seen[key] {
			seen[key] = true
			f.Things = append(f.Things, t)
		}
	}
	for _, rt := range w.cfg.Runtimes {
		var list []vitrine.MachineStatus
		err := w.call(ctx, "listing machines of "+rt.Name(), func(ctx context.Context) (err error) {
			list, err = rt.List(ctx)
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range list {
			add(vitrine.Thing{Kind: vitrine.ThingMachine, Name: rt.Name() + "/" + m.ID, Machine: m.ID, Runtime: rt.Name()})
		}
	}
	if w.cfg.Network == nil || w.cfg.Host != nil {
		return nil
	}
	return w.call(ctx, "listing attachments", func(ctx context.Context) error {
		attached, err := w.cfg.Network.List(ctx)
		for _, id := range attached {
			add(vitrine.Thing{Kind: vitrine.ThingNetNS, Name: id, Machine: id})
		}
		return err
	})
}

// age says since when a thing has been there where the thing itself does not,
// or says it by a clock that was set back since: from when it was first seen,
// by a clock that only goes forward.
func (w *Sweeper) age(f *leftover.Facts) {
	here := map[string]bool{}
	for i := range f.Things {
		t := &f.Things[i]
		key := string(t.Kind) + " " + t.Name
		here[key] = true
		first, known := w.first[key]
		if !known {
			first = f.Now
			w.first[key] = first
		}
		// A tool looks once: what has no age is old to it.
		if w.cfg.Daemon && (t.Since.IsZero() || t.Since.After(f.Now)) {
			t.Since = first
		}
	}
	maps.DeleteFunc(w.first, func(key string, _ time.Time) bool { return !here[key] })
}

// journal asks the store whose the machines were that no session has now, and
// for tickets of sessions that are gone.
func (w *Sweeper) journal(ctx context.Context, f *leftover.Facts) error {
	live := map[string]bool{}
	for _, s := range f.Sessions {
		live[s.MachineID] = true
	}
	if finder, ok := w.cfg.Store.(machineFinder); ok {
		for _, t := range f.Things {
			if t.Machine == "" || live[t.Machine] || f.Released[t.Machine] != "" {
				continue
			}
			s, err := finder.SessionOfMachine(ctx, t.Machine)
			switch {
			case err == nil && s.Released:
				f.Released[t.Machine] = s.ID
			case err != nil && vitrine.ClassOf(err) != vitrine.ClassNotFound:
				return err
			}
		}
	}
	keeper, ok := w.cfg.Store.(ticketKeeper)
	if !ok {
		return nil
	}
	tickets, err := keeper.LooseTickets(ctx, f.Now)
	for _, t := range tickets {
		f.Things = append(f.Things, vitrine.Thing{
			Kind: vitrine.ThingTicket, Name: t.ID, Since: t.CreatedAt, Detail: "of session " + t.SessionID + ", which is over",
		})
	}
	return err
}
