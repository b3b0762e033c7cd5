package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/client"
)

// budgets of a cold start on an idle two-core machine, by runtime.
var startBudget = map[string]string{"container": "p50 ≤ 1400", "gvisor": "p50 ≤ 4800"}

// together is how many sessions start at once for the figures of the API and of
// the daemon's memory.
const together = 10

// measureStarts times cold starts one after the other, then the API while ten
// start at once.
func (b *bench) measureStarts(ctx context.Context) ([]figure, error) {
	var all []figure
	desktops := slices.DeleteFunc(slices.Clone(b.runtimes), func(rt string) bool { return b.emulated[rt] })
	if len(desktops) == 0 {
		return nil, nil // minutes each: measureVMs has terminals
	}
	for _, rt := range desktops {
		var totals, ends []float64
		phases := map[string][]float64{}
		var order []string
		// The first start reads the image from the disk and is not counted.
		for i := range b.starts + 1 {
			b.say.step(fmt.Sprintf("%s: cold start %d of %d", rt, i, b.starts), i*100/(b.starts+1))
			s, err := b.create(ctx, rt, "about:blank")
			if err != nil {
				return all, err
			}
			boot, err := b.api.Boot(ctx, s.ID)
			if err != nil {
				return all, err
			}
			began := time.Now()
			if err := b.end(ctx, s.ID); err != nil {
				return all, err
			}
			if i == 0 {
				for _, p := range boot.Phases {
					order = append(order, string(p.Name))
				}
				continue
			}
			totals = append(totals, float64(s.ReadyAt.Sub(s.CreatedAt).Milliseconds()))
			ends = append(ends, float64(time.Since(began).Milliseconds()))
			for _, p := range boot.Phases {
				phases[string(p.Name)] = append(phases[string(p.Name)], p.DurationMS)
			}
		}
		all = append(all, newFigure("create → ready, cold", rt, "ms", startBudget[rt], totals))
		for _, name := range order {
			all = append(all, newFigure("  of which "+name, rt, "ms", "", phases[name]))
		}
		all = append(all, newFigure("delete → nothing left", rt, "ms", "", ends))
	}
	more, err := b.measureTogether(ctx, desktops[len(desktops)-1])
	return append(all, more...), err
}

// measureTogether starts ten sessions at once and lists meanwhile.
func (b *bench) measureTogether(ctx context.Context, rt string) ([]figure, error) {
	b.say.step(fmt.Sprintf("%s: %d starts at once", rt, together), -1)
	var wg sync.WaitGroup
	sessions := make([]client.Session, together)
	errs := make([]error, together)
	for i := range together {
		wg.Go(func() { sessions[i], errs[i] = b.create(ctx, rt, "about:blank") })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var lists []float64
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for starting := true; starting; {
		select {
		case <-done:
			starting = false
		case <-tick.C:
			began := time.Now()
			if _, err := b.api.ListSessions(ctx, client.ListOptions{Limit: 50}); err != nil {
				return nil, err
			}
			lists = append(lists, float64(time.Since(began).Microseconds())/1000)
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	list := newFigure(fmt.Sprintf("GET /v1/sessions while %d start", together), rt, "ms", "p99 ≤ 10", lists)
	list.Name += fmt.Sprintf(" (p99 %s)", short(list.P99))
	rss := newFigure(fmt.Sprintf("daemon's memory with %d sessions", together), rt, "MB", "≤ 100", []float64{rssMB(b.daemon.PID)})
	for _, s := range sessions {
		if err := b.end(ctx, s.ID); err != nil {
			return nil, err
		}
	}
	return []figure{list, rss}, nil
}
