package agentclient

import (
	"math"
	"net/netip"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of what is believed of a health report.
const (
	maxPrograms   = 32
	maxName       = 64
	maxLines      = 200
	maxLine       = 4 << 10
	maxMessage    = 1 << 10
	maxMemoryByte = 1 << 50
)

// healthOf checks and converts an agent's report.
func healthOf(h agentproto.Health) (vitrine.AgentHealth, error) {
	if h.Protocol != agentproto.Version {
		return vitrine.AgentHealth{}, mismatch(h.Protocol)
	}
	out := vitrine.AgentHealth{
		Version: h.Protocol,
		Step:    vitrine.AgentStep(h.Step),
		Network: vitrine.AgentNetwork{Address: address(h.Address), Route: h.Route},
		Memory: vitrine.AgentMemory{
			TotalBytes:     clamp(h.Memory.TotalBytes, maxMemoryByte),
			AvailableBytes: clamp(h.Memory.AvailableBytes, maxMemoryByte),
			SomeAvg10:      percent(h.Memory.SomeAvg10),
			FullAvg10:      percent(h.Memory.FullAvg10),
			OOMKills:       clamp(h.Memory.OOMKills, math.MaxInt32),
		},
	}
	switch out.Step {
	case vitrine.AgentStepAgent, vitrine.AgentStepDisplay, vitrine.AgentStepBrowser, vitrine.AgentStepReady:
	default:
		return vitrine.AgentHealth{}, malformed("a health report with an unknown step")
	}
	for _, p := range h.Programs[:min(len(h.Programs), maxPrograms)] {
		out.Programs = append(out.Programs, vitrine.AgentProgram{
			Name: clean(p.Name, maxName), PID: int(clamp(int64(p.PID), math.MaxInt32)), Running: p.Running,
			Restarts: int(clamp(int64(p.Restarts), math.MaxInt32)), LastExit: clean(p.LastExit, maxMessage),
		})
	}
	if h.Problem != nil {
		problem := &vitrine.AgentProblem{Program: clean(h.Problem.Program, maxName), Message: clean(h.Problem.Message, maxMessage)}
		lines := h.Problem.Log
		for _, line := range lines[max(0, len(lines)-maxLines):] {
			problem.Log = append(problem.Log, clean(line, maxLine))
		}
		out.Problem = problem
	}
	return out, nil
}

func execOf(r agentproto.ExecResult) vitrine.ExecResult {
	out := vitrine.ExecResult{
		ExitCode: r.ExitCode, TimedOut: r.TimedOut,
		StdoutTruncated: r.StdoutTruncated, StderrTruncated: r.StderrTruncated,
		Duration: time.Duration(clamp(r.DurationMS, int64(48*time.Hour/time.Millisecond))) * time.Millisecond,
	}
	cut := func(b []byte, flag *bool) []byte {
		if len(b) > vitrine.MaxExecOutput {
			*flag = true
			return b[:vitrine.MaxExecOutput]
		}
		return b
	}
	out.Stdout = cut(r.Stdout, &out.StdoutTruncated)
	out.Stderr = cut(r.Stderr, &out.StderrTruncated)
	return out
}

func clamp(n, most int64) int64 { return min(max(n, 0), most) }

// percent keeps "the kernel does not tell" and bounds the rest.
func percent(f float64) float64 {
	if f < 0 || math.IsNaN(f) {
		return -1
	}
	return min(f, 100)
}

// address keeps a guest's address only when it is one.
func address(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return ""
}
