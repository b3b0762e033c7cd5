package session

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Config is what a Service needs. The first block must be set.
type Config struct {
	Store    vitrine.Store
	Images   vitrine.ImageStore
	Network  vitrine.Network
	Runtimes []vitrine.Runtime // strongest first; only those that may be used
	// NewAgent gives the hold on one machine's agent; it does not dial.
	NewAgent func(rt vitrine.Runtime, machineID string) vitrine.Agent
	// AgentConfig gives agentproto.Config as JSON. It holds the machine's secret:
	// it goes to the runtime and nowhere else. For the same session it always
	// gives the same secret, also after a restart of the daemon.
	AgentConfig func(s vitrine.Session, at vitrine.Attachment) ([]byte, error)

	Runtime   string                    // what "auto" or "" of a caller means: "auto" (also ""), or a runtime's name
	Defaults  map[vitrine.Kind]Defaults // per kind; a kind without an entry is refused
	Capacity  vitrine.Capacity          // what the host lends; zero fields: no bound
	Pool      vitrine.AddressPool
	Node      string        // this host's name, shown on sessions
	BootID    string        // the host's boot: machines of another one are gone
	Protocol  string        // the agent's version that is needed; "" for any
	Deadlines Deadlines     // zero fields take DefaultDeadlines
	Parallel  int           // starts at once; 0: twice the CPUs, at least 2
	Turn      time.Duration // after this a start no longer counts as one of those; 0: 10 s
	Keep      time.Duration // how long sessions that are over are kept; 0: 7 days
	AgeGuard  time.Duration // how long what nobody knows must have been seen before it is removed; 0: 1 min

	// BelowMinimum admits sessions with less memory than their image needs, to
	// measure what it needs and to see them fail.
	BelowMinimum bool
	// Admit, when set, is asked before each create: an error (FailHostDiskFull)
	// refuses it.
	Admit func(ctx context.Context) error
	// Host, when set, sees and removes what is made on the host beyond what
	// runtimes and network list.
	Host vitrine.Host
	// Disk, when set, ends sessions before the disk is full.
	Disk DiskGuard
	// Viewers, when set, says how many are attached: a session with viewers is
	// not idle.
	Viewers func(sessionID string) int
	// Recorder, when set, keeps what was known of sessions that failed.
	Recorder vitrine.FlightRecorder
	// OnOver, when set, is told when a session is over, so that its streams
	// close. It must not block.
	OnOver func(sessionID string)
	Log    *slog.Logger // nil: none
}

// Defaults are what a caller who leaves a field out gets.
type Defaults struct {
	Image       string
	VCPU        int
	MemoryMB    int
	MaxPIDs     int // processes and threads in the machine; 0: 4096
	Timeout     time.Duration
	IdleTimeout time.Duration
}

// Deadlines bound the phases of a start and the calls of a teardown. They are
// for when something is wrong: a cold gVisor desktop, the slowest runtime people
// use, paints after 4 s on an idle two-core host (runtimes.md).
type Deadlines struct {
	Image    time.Duration // verification of a whole image: a gigabyte read once
	Network  time.Duration
	Machine  time.Duration
	Agent    time.Duration
	Display  time.Duration
	Browser  time.Duration
	Teardown time.Duration // of each call; deletion is promised within 5 s
}

// DefaultDeadlines holds for a host on which many start at once.
var DefaultDeadlines = Deadlines{
	Image: 2 * time.Minute, Network: 15 * time.Second, Machine: 30 * time.Second,
	Agent: 30 * time.Second, Display: 30 * time.Second, Browser: 90 * time.Second,
	Teardown: 4 * time.Second,
}

const defaultMaxPIDs = 4096

func (c *Config) complete() error {
	if c.Store == nil || c.Images == nil || c.Network == nil || len(c.Runtimes) == 0 || c.NewAgent == nil || c.AgentConfig == nil {
		return errors.New("session: Config lacks Store, Images, Network, Runtimes, NewAgent or AgentConfig")
	}
	if len(c.Defaults) == 0 {
		return errors.New("session: Config lacks Defaults")
	}
	if c.Runtime == "" {
		c.Runtime = auto
	}
	if c.Runtime != auto && c.runtime(c.Runtime) == nil {
		return vitrine.Errorf(vitrine.ClassInvalid, "unknown_runtime", "VITRINE_RUNTIME is %q, which is none of this host's runtimes", c.Runtime).
			WithRemedy("use auto or one of %s", c.names())
	}
	d, def := &c.Deadlines, DefaultDeadlines
	for _, f := range []struct {
		have *time.Duration
		def  time.Duration
	}{
		{&d.Image, def.Image}, {&d.Network, def.Network}, {&d.Machine, def.Machine}, {&d.Agent, def.Agent},
		{&d.Display, def.Display}, {&d.Browser, def.Browser}, {&d.Teardown, def.Teardown},
		{&c.Turn, 10 * time.Second}, {&c.Keep, 7 * 24 * time.Hour}, {&c.AgeGuard, time.Minute},
	} {
		if *f.have <= 0 {
			*f.have = f.def
		}
	}
	if c.Parallel <= 0 {
		c.Parallel = max(2, 2*runtime.NumCPU())
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// runtime finds a runtime by name, nil when it is not on the list.
func (c *Config) runtime(name string) vitrine.Runtime {
	for _, rt := range c.Runtimes {
		if rt.Name() == name {
			return rt
		}
	}
	return nil
}
