package session

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/diagnose"
)

const (
	healthEvery = 5 * time.Second // of a ready machine
	healthLimit = 2 * time.Second // of one question
	askLimit    = 2 * time.Second // of Inspect and Console when something is wrong
	resizeLimit = 5 * time.Second
	consoleLook = 2 * time.Second // how often a starting VM's console is read for a panic
	maxConsole  = 256 << 10       // bytes kept and judged, from the end
)

// machineSigns is what a worker has learnt of its machine.
type machineSigns struct {
	agent   vitrine.Agent
	health  *vitrine.AgentHealth
	heard   time.Time // when it said so, or when we began to listen
	asked   time.Time // when it was asked last
	thrash  time.Time // since when nearly all work waits for memory; zero: it does not
	offline time.Time // since when it has no address or route
	exit    <-chan exitNote
	exited  bool
	gone    bool
	status  *vitrine.MachineStatus
	console []byte
}

type exitNote struct {
	status *vitrine.MachineStatus
	gone   bool
}

// listen prepares to hear from the machine: its agent, and its end.
func (w *worker) listen(ctx context.Context, s *vitrine.Session) {
	m := &w.machine
	if m.exit != nil {
		return
	}
	rt := w.cfg.runtime(s.Runtime)
	m.agent, m.heard, m.asked = w.cfg.NewAgent(rt, s.MachineID), time.Now(), time.Now()
	note := make(chan exitNote, 1)
	m.exit = note
	go func() {
		if n, ok := awaitExit(ctx, rt, s.MachineID); ok {
			note <- n
		}
	}()
}

// awaitExit blocks until the machine has left; ok is false when ctx ended first.
func awaitExit(ctx context.Context, rt vitrine.Runtime, id string) (n exitNote, ok bool) {
	watcher, watches := rt.(vitrine.Watcher)
	for {
		var st vitrine.MachineStatus
		var err error
		if watches {
			st, err = watcher.Wait(ctx, id)
		} else {
			st, err = rt.Inspect(ctx, id)
		}
		switch {
		case ctx.Err() != nil:
			return exitNote{}, false
		case err == nil && st.State != vitrine.MachineRunning:
			return exitNote{status: &st}, true
		case vitrine.ClassOf(err) == vitrine.ClassNotFound:
			return exitNote{gone: true}, true
		}
		select {
		case <-ctx.Done():
			return exitNote{}, false
		case <-time.After(time.Second):
		}
	}
}

func (w *worker) left(n exitNote) {
	w.machine.exited, w.machine.gone, w.machine.status = n.status != nil, n.gone, n.status
}

// ask has the agent's health and keeps what follows from it.
func (w *worker) ask(ctx context.Context) error {
	var h vitrine.AgentHealth
	hctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	agent := w.machine.agent
	w.machine.asked = time.Now()
	err := w.asks.do(hctx, "asking the agent", func(ctx context.Context) (err error) {
		h, err = agent.Health(ctx)
		return err
	})
	if err != nil {
		return err
	}
	m, now := &w.machine, time.Now()
	m.health, m.heard = &h, now
	since(&m.thrash, h.Memory.FullAvg10 >= diagnose.ThrashPressure, now)
	since(&m.offline, h.Step == vitrine.AgentStepReady && (h.Network.Address == "" || !h.Network.Route), now)
	return nil
}

// since keeps from when on something holds.
func since(at *time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*at = time.Time{}
	case at.IsZero():
		*at = now
	}
}

func lasted(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return now.Sub(at)
}

// signs is what is known without asking anybody.
func (w *worker) signs(s *vitrine.Session, phase vitrine.PhaseName) diagnose.Signs {
	m, now := &w.machine, time.Now()
	return diagnose.Signs{
		Phase: phase, Kind: s.Kind, MemoryMB: s.MemoryMB, Protocol: w.cfg.Protocol,
		Attached: s.Address.IsValid() && s.Isolation != vitrine.IsolationNone,
		VM:       s.Isolation.OwnKernel(),
		Exited:   m.exited, Gone: m.gone, Status: m.status, Health: m.health,
		Silent: lasted(m.heard, now), Thrash: lasted(m.thrash, now), Offline: lasted(m.offline, now),
	}
}

// gather asks the runtime for all it can tell, briefly: when something is wrong,
// so may the runtime be.
func (w *worker) gather(ctx context.Context, s *vitrine.Session, phase vitrine.PhaseName) diagnose.Signs {
	rt := w.cfg.runtime(s.Runtime)
	ictx, cancel := within(ctx, askLimit)
	defer cancel()
	if st, err := w.inspect(ictx, rt, s.MachineID); err == nil {
		w.machine.status = &st
		w.machine.exited = w.machine.exited || st.State == vitrine.MachineExited
	}
	w.readConsole(ctx, rt, s.MachineID)
	signs := w.signs(s, phase)
	signs.Console = w.machine.console
	return signs
}

func (w *worker) inspect(ctx context.Context, rt vitrine.Runtime, id string) (st vitrine.MachineStatus, err error) {
	var got vitrine.MachineStatus
	err = w.asks.do(ctx, "looking at the machine", func(ctx context.Context) (err error) {
		got, err = rt.Inspect(ctx, id)
		return err
	})
	if err == nil {
		st = got
	}
	return st, err
}

// readConsole keeps the last of the machine's console, if it can be had.
func (w *worker) readConsole(ctx context.Context, rt vitrine.Runtime, id string) {
	cctx, cancel := within(ctx, askLimit)
	defer cancel()
	var text []byte
	err := w.asks.do(cctx, "reading the console", func(ctx context.Context) (err error) {
		text, err = consoleOf(ctx, rt, id)
		return err
	})
	if err == nil {
		w.machine.console = text
	}
}

// consoleOf reads a machine's console: the last maxConsole bytes of the mebibyte
// that a runtime gives at most.
func consoleOf(ctx context.Context, rt vitrine.Runtime, id string) ([]byte, error) {
	r, err := rt.Console(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return text[max(0, len(text)-maxConsole):], err
}

// look takes over the machine of an earlier daemon's ready session.
func (w *worker) look(ctx context.Context, s *vitrine.Session) error {
	ictx, cancel := context.WithTimeout(ctx, w.cfg.Deadlines.Teardown)
	defer cancel()
	st, err := w.inspect(ictx, w.cfg.runtime(s.Runtime), s.MachineID)
	switch {
	case vitrine.ClassOf(err) == vitrine.ClassNotFound:
		w.machine.gone = true
	case err != nil:
		return fmt.Errorf("looking for machine %s: %w", s.MachineID, err)
	case st.State != vitrine.MachineRunning:
		w.machine.exited, w.machine.status = true, &st
	default:
		w.looked, w.applied = true, s.Viewport
		// Nobody could use it while there was no daemon.
		w.r.uses.touch(s.ID, time.Now())
		w.log.Info("adopted a running machine", "runtime", s.Runtime)
		return nil
	}
	w.failure = diagnose.Diagnose(w.gather(ctx, s, ""))
	return nil
}

// watch waits for the next thing that concerns a ready session, and judges it.
func (w *worker) watch(ctx context.Context, s *vitrine.Session, until time.Time) error {
	w.listen(ctx, s)
	next := w.machine.asked.Add(healthEvery)
	if until.IsZero() || next.Before(until) {
		until = next
	}
	if s.Viewport != w.applied {
		w.resize(ctx, s.Viewport)
	}
	timer, stop := timerAt(until)
	defer stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.wake:
		return nil
	case n := <-w.machine.exit:
		w.left(n)
	case <-timer:
		if err := w.ask(ctx); err != nil {
			w.log.Debug("the agent did not answer", "error", err)
			// Of an earlier daemon's machine: it will never speak our protocol.
			if f := failureOf(err); f != nil && f.Code == vitrine.FailAgentVersionMismatch {
				w.failure = f
				return nil
			}
		}
	}
	f := diagnose.Diagnose(w.signs(s, ""))
	if f == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if w.failure = diagnose.Diagnose(w.gather(ctx, s, "")); w.failure == nil {
		w.failure = f
	}
	return nil
}

// resize sets the desktop to the size that was wished by PATCH. When it does not
// work it is tried again at the next health check.
func (w *worker) resize(ctx context.Context, v vitrine.Viewport) {
	rctx, cancel := context.WithTimeout(ctx, resizeLimit)
	defer cancel()
	agent := w.machine.agent
	err := w.asks.do(rctx, "resizing the desktop", func(ctx context.Context) error { return agent.Resize(ctx, v) })
	if err != nil {
		w.log.Warn("the desktop could not be resized", "error", err)
		return
	}
	w.applied = v
}
