package session

import (
	"context"
	"fmt"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/diagnose"
)

// stepRank orders the steps of an agent's start; 0 for none or an unknown one.
func stepRank(step vitrine.AgentStep) int {
	switch step {
	case vitrine.AgentStepAgent:
		return 1
	case vitrine.AgentStepDisplay:
		return 2
	case vitrine.AgentStepBrowser:
		return 3
	case vitrine.AgentStepReady:
		return 4
	}
	return 0
}

func (b *boot) awaitAgent(ctx context.Context) (string, error) {
	need := vitrine.AgentStepAgent
	if b.s.Kind == vitrine.KindTerminal {
		need = vitrine.AgentStepReady
	}
	err := b.await(ctx, vitrine.PhaseAgent, need)
	if err != nil {
		return "", err
	}
	return "version " + clip(b.w.machine.health.Version), nil
}

func (b *boot) awaitDisplay(ctx context.Context) (string, error) {
	return fmt.Sprintf("%dx%d", b.s.Viewport.Width, b.s.Viewport.Height), b.await(ctx, vitrine.PhaseDisplay, vitrine.AgentStepDisplay)
}

func (b *boot) awaitBrowser(ctx context.Context) (string, error) {
	return "Chromium has painted", b.await(ctx, vitrine.PhaseBrowser, vitrine.AgentStepReady)
}

// clip bounds a word of the machine's that goes into the ledger.
func clip(s string) string { return fmt.Sprintf("%.20q", s) }

// pauseBefore is how long to wait before the n-th question: the first come fast,
// because a start is waited for by a person; a unix socket that nobody listens
// on answers in microseconds.
func pauseBefore(n int) time.Duration {
	switch {
	case n < 100:
		return 10 * time.Millisecond
	case n < 300:
		return 25 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// await asks the agent until it has come as far as is needed; it ends at once
// when the machine leaves or something is proved to be wrong.
func (b *boot) await(ctx context.Context, phase vitrine.PhaseName, need vitrine.AgentStep) error {
	w := b.w
	// The watch of the machine's end outlives this phase: it hangs on the worker.
	w.listen(w.life, b.s)
	m := &w.machine
	virtual := b.rt.Isolation().OwnKernel()
	looked := time.Now()
	for n := 0; ; n++ {
		if err := w.ask(ctx); err != nil && ctx.Err() == nil {
			// One question that was answered late proves nothing: an emulated or
			// crowded machine stalls for seconds. The phase has its own deadline.
			if f := failureOf(err); f != nil && f.Code != vitrine.FailAgentTimeout {
				return f
			}
		}
		if m.health != nil && stepRank(m.health.Step) >= stepRank(need) {
			// A problem belongs to the phase that it keeps from ending, not to this one.
			well := need != vitrine.AgentStepReady || m.health.Problem == nil && (!b.networked() || m.offline.IsZero())
			if well && (w.cfg.Protocol == "" || m.health.Version == w.cfg.Protocol) {
				return nil
			}
		}
		f := diagnose.Diagnose(w.signs(b.s, phase))
		if virtual && f == nil && time.Since(looked) >= consoleLook {
			looked = time.Now()
			w.readConsole(ctx, b.rt, b.s.MachineID)
			signs := w.signs(b.s, phase)
			signs.Console = m.console
			f = diagnose.Diagnose(signs)
		}
		if f != nil {
			return b.sharper(ctx, phase, f)
		}
		pause := time.NewTimer(pauseBefore(n))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case note := <-m.exit:
			pause.Stop()
			w.left(note)
		case <-pause.C:
		}
	}
}

// sharper judges once more with all that the runtime can tell.
func (b *boot) sharper(ctx context.Context, phase vitrine.PhaseName, f *vitrine.Failure) *vitrine.Failure {
	if better := diagnose.Diagnose(b.w.gather(ctx, b.s, phase)); better != nil {
		return better
	}
	return f
}
