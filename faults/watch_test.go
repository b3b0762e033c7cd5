package faults

import (
	"context"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/client"
)

// The API must not wait for a machine in trouble: the list of sessions is asked
// for all the while, this often, and must come within the limit.
const (
	askEvery = 50 * time.Millisecond
	askLimit = time.Second
)

// watch asks a daemon for its sessions as long as it is there.
type watch struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	took  []time.Duration
	wrong error
}

func (w *world) watchAPI() *watch {
	ctx, cancel := context.WithCancel(context.Background())
	a := &watch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		tick := time.NewTicker(askEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			began := time.Now()
			_, err := w.api.ListSessions(ctx, client.ListOptions{})
			took := time.Since(began)
			if ctx.Err() != nil {
				return
			}
			a.mu.Lock()
			a.took = append(a.took, took)
			if err != nil && a.wrong == nil {
				a.wrong = err
			}
			a.mu.Unlock()
		}
	}()
	return a
}

// stop ends the asking; the daemon is about to.
func (a *watch) stop() {
	a.cancel()
	<-a.done
}

// seen gives the longest answer so far, all of them, and the first error.
func (a *watch) seen() (worst time.Duration, all []time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.took {
		worst = max(worst, d)
	}
	return worst, append([]time.Duration{}, a.took...), a.wrong
}
