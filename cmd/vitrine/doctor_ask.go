package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/image"
	"github.com/vitrine-dev/vitrine/internal/store"
)

// toolExamination is that of `vitrine doctor`: it asks a daemon where one runs,
// and runs the runtimes' probes itself, in a directory of its own.
func toolExamination(ctx context.Context, set settings, say func(string)) *examination {
	e := &examination{set: set, say: say}
	e.audit = func(ctx context.Context) (api.Collection, error) { return audit(ctx, set) }
	e.runtimes = func(ctx context.Context) []vitrine.RuntimeStatus { return probeAll(ctx, set, say) }
	e.askDaemon(ctx)
	return e
}

// askDaemon learns what a running daemon knows, or else the store.
func (e *examination) askDaemon(ctx context.Context) {
	ctx, cancel := shortContext(ctx)
	defer cancel()
	none := vitrine.Finding{Check: "daemon", Result: vitrine.VerdictWarn, Detail: "none is running over " + e.set.DataDir, Remedy: "vitrine serve"}
	api, err := localDaemon(ctx, e.set)
	if err != nil {
		e.daemon = fromError("daemon", err)
		return
	}
	if api == nil {
		if e.daemon = none; isLocked(e.set.DataDir + "/lock") {
			e.running = true
			e.daemon = vitrine.Finding{Check: "daemon", Result: vitrine.VerdictFail, Detail: "one holds " + e.set.DataDir + " and does not answer", Remedy: "look at its log, then restart it: machines go on"}
		}
		e.newest = newestSession(ctx, e.set)
		return
	}
	e.running = true
	h, err := api.Health(ctx)
	if err != nil {
		e.daemon = fromError("daemon", err)
		return
	}
	e.daemon = vitrine.Finding{Check: "daemon", Result: vitrine.VerdictPass, Detail: "running, version " + h.Version}
	var bad []string
	for _, c := range h.Checks {
		if !c.OK {
			bad = append(bad, c.Name+": "+c.Message)
		}
	}
	if len(bad) > 0 {
		e.daemon.Result, e.daemon.Detail, e.daemon.Remedy = vitrine.VerdictFail, "running, but "+strings.Join(bad, "; "), "see its log"
	}
	if h.Version != version {
		e.daemon.Detail += "; this program is " + version
	}
	if st, err := api.Status(ctx); err == nil {
		e.held = st.Reserved.MemoryMB
	}
	e.newest = newestSession(ctx, e.set)
}

// newestSession is when the newest session was made, by the clock of then.
func newestSession(ctx context.Context, set settings) time.Time {
	db, err := store.OpenReadOnly(ctx, set.DatabaseURL)
	if err != nil {
		return time.Time{}
	}
	defer func() { _ = db.Close() }()
	list, _, err := db.Sessions(ctx, vitrine.SessionFilter{Limit: 1})
	if err != nil || len(list) == 0 {
		return time.Time{}
	}
	return list[0].CreatedAt
}

// probeAll lets each runtime run something real.
func probeAll(ctx context.Context, set settings, say func(string)) []vitrine.RuntimeStatus {
	failed := func(err error) []vitrine.RuntimeStatus {
		f := fromError("", err)
		return []vitrine.RuntimeStatus{{Name: "all", Probe: vitrine.Probe{Reason: f.Detail, Remedy: f.Remedy}}}
	}
	dir, err := os.MkdirTemp("", "vitrine-doctor-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	// Held as long as we are at work there: a sweep spares it (package host).
	held, err := os.Open(dir)
	if err != nil {
		return failed(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return failed(fmt.Errorf("locking %s: %w", dir, err))
	}
	runtimes, err := newRuntimes(set, dir, image.NewStore(set.ImageDir), slog.New(slog.DiscardHandler))
	if err != nil {
		return failed(err)
	}
	var all []vitrine.RuntimeStatus
	for _, rt := range runtimes {
		say("runtime " + rt.Name())
		pctx, cancel := context.WithTimeout(ctx, 3*checkLimit)
		all = append(all, vitrine.RuntimeStatus{Name: rt.Name(), Isolation: rt.Isolation(), Probe: rt.Probe(pctx)})
		cancel()
	}
	return all
}

// reports keeps the daemon's last report: it takes a second or so of a core, and
// pages ask for it more often than hosts change.
type reports struct {
	mu   sync.Mutex
	at   time.Time
	last []vitrine.Finding
}

const reportAge = 10 * time.Second

// doctor is the daemon's own examination: of its runtimes it tells what their
// last probes found.
func (a *app) doctor(ctx context.Context) []vitrine.Finding {
	r := &a.reports
	r.mu.Lock() // whoever waits gets the same report
	defer r.mu.Unlock()
	if time.Since(r.at) < reportAge {
		return r.last
	}
	st := a.sessions.Status(ctx)
	e := &examination{
		set: a.set, say: func(string) {}, running: true, held: st.Reserved.MemoryMB,
		daemon:   vitrine.Finding{Check: "daemon", Result: vitrine.VerdictPass, Detail: "running, version " + version},
		runtimes: func(context.Context) []vitrine.RuntimeStatus { return st.Runtimes },
		audit: func(ctx context.Context) (api.Collection, error) {
			c, err := a.sessions.Sweeper().Audit(ctx)
			return api.NewCollection(c), err
		},
	}
	if list, _, err := a.store.Sessions(ctx, vitrine.SessionFilter{Limit: 1}); err == nil && len(list) > 0 {
		e.newest = list[0].CreatedAt
	}
	findings := e.run(ctx)
	if ctx.Err() == nil {
		r.at, r.last = time.Now(), findings
	}
	return findings
}
