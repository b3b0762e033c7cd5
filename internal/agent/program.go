package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// How often a program is started again: three crashes within a minute are bad
// luck or a bad page, a fourth is a program that does not run here.
const (
	maxRestarts   = 3
	restartWindow = time.Minute
	// firstBackoff doubles with each restart inside the window.
	firstBackoff = 50 * time.Millisecond
	// livedLong is how long a program must have run for its exit with status 0
	// to be somebody's wish (a closed last window) and not a failed start.
	livedLong = 10 * time.Second
)

// instance is one run of a program.
type instance interface {
	// pid is the process's id, 0 when it is not known.
	pid() int
	// done is closed when it has ended; exit says how, and whether with
	// status 0.
	done() <-chan struct{}
	exit() (how string, clean bool)
	// stop asks it to end, kills it after grace, and returns when it is gone.
	stop(grace time.Duration)
}

// program is one supervised program. Fields above mu are set before run.
type program struct {
	name  string
	log   *slog.Logger
	lines *ring
	grace time.Duration
	// start makes one run; it may wait, until ctx is done, for what it needs.
	start func(ctx context.Context, restart int) (instance, error)
	// gaveUp, when not nil, is told of a program that would not run.
	gaveUp func(agentproto.Problem)

	mu       sync.Mutex
	pid      int
	running  bool
	restarts int
	lastExit string
}

// run keeps the program running until ctx is done or it would not run.
func (p *program) run(ctx context.Context) {
	var crashes []time.Time
	for {
		began := time.Now()
		inst, err := p.start(ctx, len(crashes))
		if ctx.Err() != nil {
			if err == nil {
				inst.stop(p.grace)
			}
			return
		}
		clean, how := false, ""
		if err == nil {
			began = time.Now()
			p.note(func() { p.pid, p.running = inst.pid(), true })
			select {
			case <-inst.done():
			case <-ctx.Done():
				inst.stop(p.grace)
			}
			how, clean = inst.exit()
		} else {
			how = err.Error()
		}
		p.note(func() {
			p.running, p.pid = false, 0
			p.lastExit = fmt.Sprintf("%s at %s", how, time.Now().UTC().Format(time.RFC3339))
		})
		if ctx.Err() != nil {
			return
		}
		if clean && time.Since(began) >= livedLong {
			crashes = nil
		} else {
			crashes = recent(append(crashes, time.Now()))
		}
		p.log.Warn("a program ended", "program", p.name, "how", how, "ran", time.Since(began).Round(time.Millisecond))
		if len(crashes) > maxRestarts {
			p.fail(how)
			return
		}
		if !pause(ctx, firstBackoff<<len(crashes)) {
			return
		}
		p.note(func() { p.restarts++ })
	}
}

func (p *program) fail(how string) {
	p.log.Error("a program would not run", "program", p.name, "how", how)
	if p.gaveUp == nil {
		return
	}
	p.gaveUp(agentproto.Problem{
		Program: p.name,
		Message: fmt.Sprintf("%s ended %d times within %s, the last time with %s", p.name, maxRestarts+1, restartWindow, how),
		Log:     p.lines.last(maxProblemLines),
	})
}

// maxProblemLines is how many lines a Problem quotes; the node shows 20.
const maxProblemLines = 40

func (p *program) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *program) status() agentproto.Program {
	p.mu.Lock()
	defer p.mu.Unlock()
	return agentproto.Program{Name: p.name, PID: p.pid, Running: p.running, Restarts: p.restarts, LastExit: p.lastExit}
}

// recent leaves the crashes of the last window.
func recent(crashes []time.Time) []time.Time {
	for len(crashes) > 0 && time.Since(crashes[0]) > restartWindow {
		crashes = crashes[1:]
	}
	return crashes
}

// pause waits d, or less and false when ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
