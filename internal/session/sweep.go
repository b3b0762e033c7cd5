package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// machineFinder is a store that knows machines of sessions that are released:
// what is found of those is ours for sure, and is removed at once.
type machineFinder interface {
	SessionOfMachine(ctx context.Context, machineID string) (vitrine.Session, error)
}

const (
	listLimit  = 20 * time.Second
	pruneEvery = time.Hour
)

// sweeper finds machines and attachments that belong to no session, and removes
// them: what a crash, or a call that ended too late, has left.
type sweeper struct {
	cfg   *Config
	r     *reconciler
	calls calls
	first map[string]time.Time // when an unknown one was first seen
}

// run sweeps and prunes until ctx is done.
func (w *sweeper) run(ctx context.Context) {
	every := time.NewTicker(w.cfg.AgeGuard / 2)
	defer every.Stop()
	var pruned time.Time
	for {
		if err := w.sweep(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Log.Warn("the sweep for what is left over did not work", "error", err)
		}
		if now := time.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			n, err := w.cfg.Store.Prune(ctx, now.Add(-w.cfg.Keep))
			if err != nil && ctx.Err() == nil {
				w.cfg.Log.Warn("old sessions could not be pruned", "error", err)
			} else if n > 0 {
				w.cfg.Log.Info("old sessions pruned", "count", n)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// found is where something of a machine was found.
type found struct {
	runtimes []vitrine.Runtime
	attached bool
}

func (w *sweeper) sweep(ctx context.Context) error {
	// The host first, the store after: a session's row is there before its
	// machine, so a machine seen here without a row below has none.
	things, err := w.list(ctx)
	if err != nil {
		return err
	}
	live, err := w.cfg.Store.Unsettled(ctx)
	if err != nil {
		return err
	}
	for _, s := range live {
		delete(things, s.MachineID)
		w.r.ensure(s.ID)
	}
	w.r.uses.only(w.r.works)
	now := time.Now()
	maps.DeleteFunc(w.first, func(id string, _ time.Time) bool { _, there := things[id]; return !there })
	for _, id := range slices.Sorted(maps.Keys(things)) {
		if !w.ours(ctx, id) {
			seen, known := w.first[id]
			if !known {
				w.first[id] = now
			}
			if !known || now.Sub(seen) < w.cfg.AgeGuard {
				continue
			}
		}
		if err := w.remove(ctx, id, things[id]); err != nil {
			w.cfg.Log.Warn("a machine of no session could not be removed", "machine", id, "error", err)
			continue
		}
		w.cfg.Log.Info("removed a machine of no session", "machine", id)
		delete(w.first, id)
	}
	return nil
}

// list sees all machines and attachments. If one list cannot be had, nothing is
// swept: an attachment whose machine we cannot see might be in use.
func (w *sweeper) list(ctx context.Context) (map[string]*found, error) {
	things := map[string]*found{}
	at := func(id string) *found {
		if things[id] == nil {
			things[id] = &found{}
		}
		return things[id]
	}
	for _, rt := range w.cfg.Runtimes {
		var list []vitrine.MachineStatus
		err := w.call(ctx, "listing machines of "+rt.Name(), func(ctx context.Context) (err error) {
			list, err = rt.List(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			f := at(m.ID)
			f.runtimes = append(f.runtimes, rt)
		}
	}
	var attached []string
	err := w.call(ctx, "listing attachments", func(ctx context.Context) (err error) {
		attached, err = w.cfg.Network.List(ctx)
		return err
	})
	for _, id := range attached {
		at(id).attached = true
	}
	return things, err
}

func (w *sweeper) ours(ctx context.Context, machineID string) bool {
	finder, ok := w.cfg.Store.(machineFinder)
	if !ok {
		return false
	}
	s, err := finder.SessionOfMachine(ctx, machineID)
	return err == nil && s.Released
}

func (w *sweeper) remove(ctx context.Context, id string, f *found) error {
	for _, rt := range f.runtimes {
		if err := w.call(ctx, "deleting machine "+id, func(ctx context.Context) error { return rt.Delete(ctx, id) }); err != nil {
			return err
		}
	}
	if !f.attached {
		return nil
	}
	return w.call(ctx, "detaching machine "+id, func(ctx context.Context) error { return w.cfg.Network.Detach(ctx, id) })
}

func (w *sweeper) call(ctx context.Context, what string, f func(context.Context) error) error {
	cctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	if err := w.calls.do(cctx, what, f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
