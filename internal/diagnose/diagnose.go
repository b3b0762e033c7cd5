// Package diagnose turns the signs of a machine in trouble into a named failure
// with its evidence: what the runtime saw, what the agent last said, what the
// console printed, how long a phase has run.
//
// It is pure: no clock, no file, no call; the same signs give the same failure.
// It imports the domain and nothing else. Console, programs' logs and the
// agent's words come from inside the machine and are hostile: they are bounded
// and cleaned before they are quoted, and none of them can make it do more than
// choose among the codes of the catalogue.
//
// What is proved is named, sharpest first: a machine that ran out of memory
// also shows a browser that died, so memory is looked at before the browser.
// What is not proved is start_timeout, never a guess.
package diagnose

import (
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Signs is everything that is known when something seems wrong. Zero fields are
// not known.
type Signs struct {
	Phase    vitrine.PhaseName // the phase of the start; "" when the session was ready
	Kind     vitrine.Kind
	MemoryMB int
	Exited   bool                   // the machine's outermost process has left
	Gone     bool                   // the runtime knows no such machine any more
	Status   *vitrine.MachineStatus // the runtime's last word
	Console  []byte                 // the last bytes
	Health   *vitrine.AgentHealth   // the agent's last word; nil: it never answered
	Silent   time.Duration          // since that word, or since the phase began
	Deadline time.Duration          // the phase's, when it has passed
	Thrash   time.Duration          // for how long most work has waited for memory
	Offline  time.Duration          // for how long a ready machine had no address or route
	Protocol string                 // the agent's version that we need; "" for any
	Attached bool                   // the machine was given an address
	VM       bool                   // the machine has a kernel of its own
}

// Bounds of what counts as trouble. Pressure is the share of 10 s in which all
// work waited for memory (PSI "full"): a healthy start stays under 5, the
// thrashing 256 MiB desktop was measured above 60.
const (
	ThrashPressure = 60.0
	latePressure   = 20.0
	latePartial    = 40.0 // PSI "some"
	lateAvailable  = 0.03 // of all memory
	thrashLimit    = 15 * time.Second
	offlineLimit   = 5 * time.Second
	silenceLimit   = 60 * time.Second // of a ready machine's agent
)

// Diagnose names what went wrong, or gives nil when nothing is proved and no
// deadline has passed.
func Diagnose(s Signs) *vitrine.Failure {
	for _, look := range []func(*Signs) *vitrine.Failure{
		consoleSigns, memorySigns, exitSigns, agentSigns, lateSigns,
	} {
		if f := look(&s); f != nil {
			if s.Phase != "" {
				f.Phase = s.Phase
			}
			return f
		}
	}
	return nil
}

// Reason is why a session that failed with f is over.
func Reason(f *vitrine.Failure, wasReady bool) vitrine.EndedReason {
	switch {
	case f.Code == vitrine.FailNodeLost:
		return vitrine.EndedNodeLost
	case !wasReady:
		return vitrine.EndedFailedToStart
	case f.Code == vitrine.FailGuestOOM:
		return vitrine.EndedGuestOOM
	case f.Code == vitrine.FailBrowserCrashed, f.Code == vitrine.FailBrowserUnresponsive:
		return vitrine.EndedBrowserCrashed
	}
	return vitrine.EndedMachineExited
}

func memorySigns(s *Signs) *vitrine.Failure {
	troubled := s.Exited || s.Deadline > 0 || problem(s) != nil || s.Phase == "" && s.Silent >= silenceLimit
	kills := 0
	if s.Status != nil {
		kills = s.Status.OOMKills
	}
	if s.Health != nil {
		kills = max(kills, int(min(max(s.Health.Memory.OOMKills, 0), 1<<20)))
	}
	if kills > 0 && troubled {
		return outOfMemory(s, evidence(s), "the machine has %s and %d of its processes were killed for want of more", s.memory(), kills)
	}
	if s.Thrash >= thrashLimit {
		return outOfMemory(s, evidence(s), "the machine has %s, and for %s nearly all its work has waited for memory", s.memory(), s.Thrash.Round(time.Second))
	}
	if s.Deadline > 0 && s.Health != nil {
		m := s.Health.Memory
		short := m.TotalBytes > 0 && m.AvailableBytes >= 0 && float64(m.AvailableBytes) < lateAvailable*float64(m.TotalBytes)
		if m.FullAvg10 >= latePressure || m.SomeAvg10 >= latePartial || short {
			lines := append(evidence(s), fmt.Sprintf("memory: %d of %d MiB available, some %.1f full %.1f",
				m.AvailableBytes>>20, m.TotalBytes>>20, m.SomeAvg10, m.FullAvg10))
			return outOfMemory(s, lines, "the machine has %s and came no further than %q within %s: its work waits for memory",
				s.memory(), word(string(s.Health.Step)), s.Deadline)
		}
	}
	return nil
}

func outOfMemory(s *Signs, lines []string, format string, args ...any) *vitrine.Failure {
	f := vitrine.NewFailure(vitrine.FailGuestOOM, lines, format, args...)
	if s.MemoryMB > 0 {
		f.Remedy = fmt.Sprintf("give it more than %d MiB: memory_mb, or BROWSER_VM_MEMORY_MB / CLI_VM_MEMORY_MB", s.MemoryMB)
	}
	return f
}

func (s *Signs) memory() string {
	if s.MemoryMB > 0 {
		return fmt.Sprintf("%d MiB", s.MemoryMB)
	}
	return "too little memory"
}

func exitSigns(s *Signs) *vitrine.Failure {
	how := "left"
	if s.Status != nil && s.Exited {
		how = fmt.Sprintf("left with exit status %d", s.Status.ExitCode)
	}
	switch {
	case !s.Exited && !s.Gone:
		return nil
	case s.Gone && !s.Exited:
		return vitrine.NewFailure(vitrine.FailVMMFailed, evidence(s), "the machine is gone, and not by our doing")
	case s.VM && s.Health == nil && s.Phase != "" && s.Status != nil && s.Status.ExitCode == 0:
		// A VMM that leaves in order does so because its guest's kernel asked for a
		// restart. One start is one boot: it is not let go round.
		return vitrine.NewFailure(vitrine.FailGuestBootLoop, evidence(s), "the machine wanted to boot a second time before its agent had answered")
	case s.Health == nil && s.Phase != "":
		return vitrine.NewFailure(vitrine.FailVMMFailed, evidence(s), "the machine %s before its agent answered", how)
	}
	return vitrine.NewFailure(vitrine.FailAgentCrashed, evidence(s), "the agent, the machine's first process, %s", how)
}

func agentSigns(s *Signs) *vitrine.Failure {
	h := s.Health
	if h == nil {
		return nil
	}
	if s.Protocol != "" && h.Version != s.Protocol {
		return vitrine.NewFailure(vitrine.FailAgentVersionMismatch, nil, "the agent speaks version %q and this daemon %q", word(h.Version), s.Protocol)
	}
	if p := problem(s); p != nil {
		lines := tail(p.Log)
		if len(lines) == 0 {
			lines = evidence(s)
		}
		code := vitrine.FailDisplayFailed // X server, window manager, capture
		if browser(p.Program) {
			code = vitrine.FailBrowserCrashed
		}
		return vitrine.NewFailure(code, lines, "%s: %s", word(p.Program), line(p.Message))
	}
	if s.Attached && s.Offline >= offlineLimit {
		at := "no address"
		if h.Network.Address != "" {
			at = "the address " + word(h.Network.Address) + " and no default route"
		}
		return vitrine.NewFailure(vitrine.FailGuestNetworkDown, evidence(s), "the machine has %s", at)
	}
	return nil
}

func problem(s *Signs) *vitrine.AgentProblem {
	if s.Health == nil {
		return nil
	}
	return s.Health.Problem
}

func browser(program string) bool { return strings.Contains(strings.ToLower(program), "chrom") }

// lateSigns is about deadlines that passed with nothing sharper proved.
func lateSigns(s *Signs) *vitrine.Failure {
	if s.Phase == "" {
		if s.Silent < silenceLimit {
			return nil
		}
		return vitrine.NewFailure(vitrine.FailAgentTimeout, evidence(s), "the agent has not answered for %s", s.Silent.Round(time.Second))
	}
	if s.Deadline == 0 {
		return nil
	}
	switch {
	case s.Phase == vitrine.PhaseAgent && s.Health == nil:
		return vitrine.NewFailure(vitrine.FailAgentTimeout, evidence(s), "the machine runs, but its agent did not answer within %s", s.Deadline)
	case s.Phase == vitrine.PhaseBrowser && s.Health != nil && running(s.Health, browser):
		return vitrine.NewFailure(vitrine.FailBrowserUnresponsive, evidence(s), "Chromium runs but painted nothing within %s", s.Deadline)
	case s.Health != nil:
		return vitrine.NewFailure(vitrine.FailStartTimeout, evidence(s), "%s was not done within %s; the agent's last word, %s ago, was %q",
			s.Phase, s.Deadline, s.Silent.Round(time.Millisecond), word(string(s.Health.Step)))
	}
	return vitrine.NewFailure(vitrine.FailStartTimeout, evidence(s), "%s was not done within %s", s.Phase, s.Deadline)
}

func running(h *vitrine.AgentHealth, which func(string) bool) bool {
	for _, p := range h.Programs {
		if p.Running && which(p.Name) {
			return true
		}
	}
	return false
}
