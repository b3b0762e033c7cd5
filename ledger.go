package vitrine

import "time"

// PhaseName is one step of a start, in the order of Phases.
type PhaseName string

// The phases of a start (failures.md).
const (
	PhaseAdmission PhaseName = "admission"
	PhasePlacement PhaseName = "placement"
	PhaseImage     PhaseName = "image"
	PhaseNetwork   PhaseName = "network"
	PhaseMachine   PhaseName = "machine"
	PhaseKernel    PhaseName = "kernel"
	PhaseInit      PhaseName = "init"
	PhaseAgent     PhaseName = "agent"
	PhaseDisplay   PhaseName = "display"
	PhaseBrowser   PhaseName = "browser"
)

// Phases is every phase in order. A runtime without a kernel of its own leaves
// kernel and init out of its ledger; a terminal leaves display and browser out.
var Phases = []PhaseName{
	PhaseAdmission, PhasePlacement, PhaseImage, PhaseNetwork, PhaseMachine,
	PhaseKernel, PhaseInit, PhaseAgent, PhaseDisplay, PhaseBrowser,
}

// Outcome is how a phase ended.
type Outcome string

// The outcomes. A phase that is still open is OutcomeRunning.
const (
	OutcomeRunning Outcome = "running"
	OutcomeOK      Outcome = "ok"
	OutcomeFailed  Outcome = "failed"
)

// Phase is one timed line of the boot ledger. Duration is 0 while it runs.
type Phase struct {
	Name      PhaseName
	StartedAt time.Time
	Duration  time.Duration
	Outcome   Outcome
	Detail    string // one line for a person, e.g. "container, 2 vCPU, 2048 MiB"
}

// Ledger is the boot ledger of one session: kept after the session has ended.
type Ledger struct {
	SessionID string
	Phases    []Phase
	Failure   *Failure
}

// Total is the time from the first phase's start to the last phase's end.
func (l Ledger) Total() time.Duration {
	if len(l.Phases) == 0 {
		return 0
	}
	first := l.Phases[0].StartedAt
	var end time.Time
	for _, p := range l.Phases {
		if e := p.StartedAt.Add(p.Duration); e.After(end) {
			end = e
		}
	}
	return end.Sub(first)
}
