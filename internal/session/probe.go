package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

const (
	auto = "auto"
	// probeLimit is for all probes together; each runs a machine, which takes
	// a second or so.
	probeLimit = 20 * time.Second
	// probeAgain is how old a probe's "no" must be before it is asked again.
	probeAgain = 15 * time.Second
)

// probes knows which runtimes work here. Each is asked once when the service
// starts, and again when somebody wants one that did not work.
type probes struct {
	cfg   *Config
	calls calls
	busy  sync.WaitGroup // probes, also those that were given up on

	mu     sync.Mutex
	over   bool // no probe begins any more
	cancel context.CancelFunc
	result map[string]vitrine.Probe
	at     time.Time     // of the last full round
	round  chan struct{} // closed when the round that runs is over; nil: none runs
}

// ask starts a round unless one runs, and gives the channel of its end.
func (p *probes) ask() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round != nil {
		return p.round
	}
	done := make(chan struct{})
	if p.over {
		close(done)
		return done
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	p.round, p.cancel = done, cancel
	go func() {
		defer cancel()
		var all sync.WaitGroup
		for _, rt := range p.cfg.Runtimes {
			all.Go(func() { p.one(ctx, rt) })
		}
		all.Wait()
		p.mu.Lock()
		p.at, p.round = time.Now(), nil
		p.mu.Unlock()
		close(done)
	}()
	return done
}

// stop waits until the probes that run are over and their machines gone: a
// daemon that is stopped a moment after its start would else leave them. Most
// end by themselves in half the limit; the others are ended then.
func (p *probes) stop(limit time.Duration) {
	p.mu.Lock()
	p.over = true
	round, cancel := p.round, p.cancel
	p.mu.Unlock()
	if round != nil {
		defer time.AfterFunc(limit/2, cancel).Stop()
	}
	gone := make(chan struct{})
	go func() {
		if round != nil {
			<-round
		}
		p.busy.Wait()
		close(gone)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		p.cfg.Log.Warn("a probe's machine is left to the next start, which removes it")
	}
}

func (p *probes) one(ctx context.Context, rt vitrine.Runtime) {
	answer := make(chan vitrine.Probe, 1)
	err := p.calls.do(ctx, "probing "+rt.Name(), func(ctx context.Context) error {
		p.busy.Add(1)
		defer p.busy.Done()
		answer <- rt.Probe(ctx)
		return nil
	})
	result := vitrine.Probe{Reason: fmt.Sprintf("the probe did not end within %s", probeLimit), Remedy: "run `vitrine doctor`"}
	if err == nil {
		result = <-answer
	}
	p.mu.Lock()
	if p.result == nil {
		p.result = map[string]vitrine.Probe{}
	}
	p.result[rt.Name()] = result
	p.mu.Unlock()
	p.cfg.Log.Info("runtime probed", "runtime", rt.Name(), "ok", result.OK, "reason", result.Reason, "took", result.Took)
}

// settled waits until every runtime was asked at least once; stale also asks
// again when the last round is older than probeAgain.
func (p *probes) settled(ctx context.Context, stale bool) error {
	p.mu.Lock()
	asked := !p.at.IsZero() && (!stale || time.Since(p.at) < probeAgain)
	p.mu.Unlock()
	if asked {
		return nil
	}
	select {
	case <-p.ask():
		return nil
	case <-ctx.Done():
		return vitrine.Errorf(vitrine.ClassUnavailable, "starting", "the runtimes of this host are still being probed").
			WithRemedy("try again in a few seconds").WithCause(ctx.Err())
	}
}

func (p *probes) status() []vitrine.RuntimeStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []vitrine.RuntimeStatus
	for _, rt := range p.cfg.Runtimes {
		probe, ok := p.result[rt.Name()]
		if !ok {
			probe = vitrine.Probe{Reason: vitrine.ProbePending}
		}
		list = append(list, vitrine.RuntimeStatus{Name: rt.Name(), Isolation: rt.Isolation(), Probe: probe})
	}
	return list
}

// pick chooses the runtime for a wish: the one that is named, or the strongest
// that works. It never goes below min.
func (p *probes) pick(ctx context.Context, name string, min vitrine.Isolation) (vitrine.Runtime, error) {
	if name == "" || name == auto {
		name = p.cfg.Runtime
	}
	if name != auto {
		rt := p.cfg.runtime(name)
		if rt == nil {
			return nil, wrong("unknown_runtime", "runtime", name, "auto, "+p.cfg.names())
		}
		if rt.Isolation().Rank() < min.Rank() {
			return nil, tooWeak(min, fmt.Sprintf("the runtime %s gives %s", name, rt.Isolation()))
		}
	}
	for _, stale := range []bool{false, true} {
		if err := p.settled(ctx, stale); err != nil {
			return nil, err
		}
		if rt := choose(p.cfg, p.status(), name, min); rt != nil {
			return rt, nil
		}
	}
	return nil, p.refusal(name, min)
}

// ForPeople says whether auto may take a runtime: one that isolates nothing, or
// emulates a processor and is slow, must be asked for by name.
func ForPeople(i vitrine.Isolation) bool {
	return i != vitrine.IsolationNone && i != vitrine.IsolationEmulatedVM
}

// choose is the pick itself.
func choose(cfg *Config, status []vitrine.RuntimeStatus, name string, min vitrine.Isolation) vitrine.Runtime {
	for _, st := range status {
		byName := name == st.Name
		byItself := name == auto && ForPeople(st.Isolation)
		if st.Probe.OK && (byName || byItself) && st.Isolation.Rank() >= min.Rank() {
			return cfg.runtime(st.Name)
		}
	}
	return nil
}

// refusal says why no runtime does: none works, or those that do are too weak.
func (p *probes) refusal(name string, min vitrine.Isolation) error {
	var why []string
	var best vitrine.Isolation
	remedy, code := "", vitrine.FailRuntimeMissing
	for _, st := range p.status() {
		if st.Probe.OK && ForPeople(st.Isolation) && st.Isolation.Rank() > best.Rank() {
			best = st.Isolation
		}
		if !st.Probe.OK && (name == auto || name == st.Name) {
			why = append(why, st.Name+": "+st.Probe.Reason)
			if remedy == "" {
				remedy = st.Probe.Remedy
			}
			if name != auto && st.Probe.Code != "" {
				code = st.Probe.Code
			}
		}
	}
	if name == auto && best != "" {
		return tooWeak(min, fmt.Sprintf("the strongest runtime that works on this host gives %s", best))
	}
	f := vitrine.NewFailure(code, why, "no runtime works on this host")
	if name != auto {
		f.Message = fmt.Sprintf("the runtime %s does not work on this host", name)
	}
	if len(why) > 0 {
		f.Message += ": " + strings.Join(why, "; ")
	}
	if remedy != "" {
		f.Remedy = remedy
	}
	return f.AsError()
}

func tooWeak(min vitrine.Isolation, gives string) error {
	return vitrine.Errorf(vitrine.ClassInvalid, "isolation_not_available", "min_isolation is %q and %s", min, gives).
		WithRemedy("ask for less isolation, or use a host that gives it (`vitrine doctor` says what this one lacks)")
}

func (c *Config) names() string {
	var list []string
	for _, rt := range c.Runtimes {
		list = append(list, rt.Name())
	}
	return strings.Join(list, ", ")
}
