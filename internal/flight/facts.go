package flight

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Daemon is what runs, and how it is set.
type Daemon struct {
	Version  string    `json:"version"`
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	Started  time.Time `json:"started_at"`
	Settings []Setting `json:"settings"`
}

// Setting is one setting in force. The value of one that is secret is never
// handed to this package.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// The shapes of a bundle's files. The names are the API's where it has them.
// A machine's agent configuration, which holds its secret, is in none.
type sessionFacts struct {
	ID                 string              `json:"id"`
	Kind               vitrine.Kind        `json:"kind"`
	State              vitrine.State       `json:"state"`
	UserID             string              `json:"user_id"`
	CreatedAt          time.Time           `json:"created_at"`
	ReadyAt            *time.Time          `json:"ready_at"`
	EndedAt            *time.Time          `json:"ended_at"`
	EndedReason        vitrine.EndedReason `json:"ended_reason"`
	Runtime            string              `json:"runtime"`
	Isolation          vitrine.Isolation   `json:"isolation"`
	MinIsolation       vitrine.Isolation   `json:"min_isolation"`
	Image              string              `json:"image"`
	ImageDigest        string              `json:"image_digest"`
	VCPU               int                 `json:"vcpu"`
	MemoryMB           int                 `json:"memory_mb"`
	Viewport           vitrine.Viewport    `json:"viewport"`
	StartURL           string              `json:"start_url"`
	TimeoutSeconds     int64               `json:"timeout_seconds"`
	IdleTimeoutSeconds int64               `json:"idle_timeout_seconds"`
	Metadata           map[string]string   `json:"metadata"`
	MachineID          string              `json:"machine_id"`
	Address            string              `json:"address"`
	Slot               int                 `json:"slot"`
	Node               string              `json:"node"`
	BootID             string              `json:"boot_id"`
}

func sessionOf(s vitrine.Session) sessionFacts {
	f := sessionFacts{
		ID: s.ID, Kind: s.Kind, State: s.State, UserID: s.UserID, CreatedAt: s.CreatedAt.UTC(),
		ReadyAt: orNull(s.ReadyAt), EndedAt: orNull(s.EndedAt), EndedReason: s.EndedReason,
		Runtime: s.Runtime, Isolation: s.Isolation, MinIsolation: s.MinIsolation,
		Image: s.Image, ImageDigest: s.ImageDigest, VCPU: s.VCPU, MemoryMB: s.MemoryMB,
		Viewport: s.Viewport, StartURL: s.StartURL, Metadata: s.Metadata,
		TimeoutSeconds: int64(s.Timeout.Seconds()), IdleTimeoutSeconds: int64(s.IdleTimeout.Seconds()),
		MachineID: s.MachineID, Slot: s.Slot, Node: s.Node, BootID: s.BootID,
	}
	if s.Address.IsValid() {
		f.Address = s.Address.String()
	}
	return f
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type phaseFacts struct {
	Name       vitrine.PhaseName `json:"name"`
	StartedAt  time.Time         `json:"started_at"`
	DurationMS int64             `json:"duration_ms"`
	Outcome    vitrine.Outcome   `json:"outcome"`
	Detail     string            `json:"detail"`
}

func ledgerOf(l vitrine.Ledger) []phaseFacts {
	all := []phaseFacts{}
	for _, p := range l.Phases {
		all = append(all, phaseFacts{p.Name, p.StartedAt.UTC(), p.Duration.Milliseconds(), p.Outcome, p.Detail})
	}
	return all
}

type agentFacts struct {
	HeardAt      time.Time      `json:"heard_at"`
	Version      string         `json:"version"`
	Step         string         `json:"step"`
	Address      string         `json:"address"`
	Route        bool           `json:"route"`
	TotalBytes   int64          `json:"memory_total_bytes"`
	FreeBytes    int64          `json:"memory_available_bytes"`
	PressureSome float64        `json:"memory_pressure_some_avg10"` // percent; negative: not told
	PressureFull float64        `json:"memory_pressure_full_avg10"`
	OOMKills     int64          `json:"oom_kills"`
	Programs     []programFacts `json:"programs"`
	Problem      *problemFacts  `json:"problem"`
}

type programFacts struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Running  bool   `json:"running"`
	Restarts int    `json:"restarts"`
	LastExit string `json:"last_exit"`
}

type problemFacts struct {
	Program string   `json:"program"`
	Message string   `json:"message"`
	Log     []string `json:"log"`
}

// agentOf is nil when the agent never answered.
func agentOf(r vitrine.FlightRecord) *agentFacts {
	h := r.Health
	if h == nil {
		return nil
	}
	f := &agentFacts{
		HeardAt: r.HeardAt.UTC(), Version: h.Version, Step: string(h.Step), Address: h.Network.Address, Route: h.Network.Route,
		TotalBytes: h.Memory.TotalBytes, FreeBytes: h.Memory.AvailableBytes, OOMKills: h.Memory.OOMKills,
		PressureSome: h.Memory.SomeAvg10, PressureFull: h.Memory.FullAvg10, Programs: []programFacts{},
	}
	for _, p := range h.Programs {
		f.Programs = append(f.Programs, programFacts(p))
	}
	if h.Problem != nil {
		f.Problem = &problemFacts{h.Problem.Program, h.Problem.Message, h.Problem.Log}
	}
	return f
}

type machineFacts struct {
	State       vitrine.MachineState `json:"state"`
	StartedAt   *time.Time           `json:"started_at"`
	ExitedAt    *time.Time           `json:"exited_at"`
	ExitCode    *int                 `json:"exit_code"` // -1: nobody saw it end
	OOMKills    int                  `json:"oom_kills"`
	MemoryBytes int64                `json:"memory_bytes"`
	LimitBytes  int64                `json:"memory_limit_bytes"`
}

// machineOf is nil when the runtime knew no such machine.
func machineOf(st *vitrine.MachineStatus) *machineFacts {
	if st == nil {
		return nil
	}
	f := &machineFacts{
		State: st.State, StartedAt: orNull(st.StartedAt), ExitedAt: orNull(st.ExitedAt),
		OOMKills: st.OOMKills, MemoryBytes: st.Memory.Current, LimitBytes: st.Memory.Limit,
	}
	if st.State == vitrine.MachineExited {
		f.ExitCode = &st.ExitCode
	}
	return f
}
