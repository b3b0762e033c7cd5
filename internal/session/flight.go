package session

import (
	"context"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// A teardown waits this long for a machine's last words, and this long for them
// to be written; deletion is promised within 5 s.
const (
	wordsLimit = 700 * time.Millisecond
	writeLimit = 300 * time.Millisecond
	// giveUpLimit is how long a record waits for its turn behind a disk that does
	// not answer: records are large, and must not pile up.
	giveUpLimit = 30 * time.Second
)

// record hands all that is known of a failed session to the flight recorder,
// once, before its machine goes. What cannot be had in time is left out, and a
// disk that is slow is not waited for: the record is then written by itself.
func (w *worker) record(ctx context.Context, rt vitrine.Runtime, s *vitrine.Session) {
	rec := w.cfg.Recorder
	if rec == nil || w.recorded || s.State != vitrine.StateFailed {
		return
	}
	w.recorded = true
	if _, there := rec.Bundle(s.ID); there {
		return // an earlier daemon's, which saw more
	}
	r := w.lastWords(ctx, rt, s)
	done := make(chan struct{})
	w.r.running.Go(func() { // an orderly stop of the daemon waits for it
		defer close(done)
		rctx, cancel := within(ctx, giveUpLimit)
		defer cancel()
		if err := rec.Record(rctx, r); err != nil {
			w.log.Warn("no bundle of the failed session is kept", "error", err)
		}
	})
	patience := time.NewTimer(writeLimit)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		w.log.Info("the bundle of the failed session is still being written; the teardown goes on")
	}
}

// lastWords gathers what is known, and asks runtime and agent once more, all at
// the same time.
func (w *worker) lastWords(ctx context.Context, rt vitrine.Runtime, s *vitrine.Session) vitrine.FlightRecord {
	m := &w.machine
	r := vitrine.FlightRecord{Session: *s, Console: m.console, Health: m.health, HeardAt: m.heard, Status: m.status}
	if m.console == nil {
		r.Missing = append(r.Missing, "console: there was none to read")
	}
	ctx, cancel := within(ctx, wordsLimit)
	defer cancel()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	keep := func(what string, err error, set func()) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			r.Missing = append(r.Missing, what+": "+err.Error())
			return
		}
		set()
	}
	all.Go(func() {
		v, err := asked(ctx, w, "ledger", func(ctx context.Context) (vitrine.Ledger, error) { return w.cfg.Store.Ledger(ctx, s.ID) })
		keep("ledger", err, func() { r.Ledger = v })
	})
	if rt != nil && m.status == nil && !m.gone {
		all.Go(func() {
			v, err := asked(ctx, w, "machine", func(ctx context.Context) (vitrine.MachineStatus, error) { return rt.Inspect(ctx, s.MachineID) })
			keep("machine", err, func() { r.Status = &v })
		})
	}
	if logs, ok := rt.(vitrine.LogReader); ok && !m.gone {
		all.Go(func() {
			v, err := asked(ctx, w, "logs", func(ctx context.Context) ([]vitrine.MachineLog, error) { return logs.Logs(ctx, s.MachineID) })
			keep("logs", err, func() { r.Logs = v })
		})
	}
	if m.agent != nil && s.Kind == vitrine.KindDesktop && m.health != nil && !m.exited && !m.gone {
		all.Go(func() {
			v, err := asked(ctx, w, "screenshot", m.agent.Screenshot)
			keep("screenshot", err, func() { r.Screenshot = v })
		})
	}
	all.Wait()
	return r
}

// asked makes a call that may be stuck. What it gives too late is nobody's.
func asked[T any](ctx context.Context, w *worker, what string, f func(context.Context) (T, error)) (T, error) {
	got := make(chan T, 1)
	err := w.asks.do(ctx, "asking for the last words: "+what, func(ctx context.Context) error {
		v, err := f(ctx)
		if err == nil {
			got <- v
		}
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return <-got, nil
}
