// Package process runs machines as plain process trees on the host, for tests
// and development: it isolates NOTHING. A page in such a machine that breaks out
// of its browser is on the host, as root's neighbour.
//
// So New refuses unless it is told that this is meant. What is kept is what
// keeps the host tidy: memory, CPU and process limits by cgroup, and a pid and
// mount namespace, so that the tree ends with its first process.
//
// The image is not used: programs are the host's. The agent's directory is a
// directory of the host, not bounded in size.
package process

import (
	"context"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/oci"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// Config is what New takes.
type Config struct {
	supervised.Config
	// Dev must be set: whoever sets it knows that nothing is isolated.
	Dev bool
}

// Runtime implements vitrine.Runtime, Watcher and Pauser.
type Runtime struct{ *supervised.Runtime }

// New makes the runtime, or refuses to without Dev.
func New(cfg Config) (*Runtime, error) {
	if !cfg.Dev {
		return nil, vitrine.Errorf(vitrine.ClassForbidden, "runtime_refused", "the process runtime isolates nothing and is for development only").
			WithRemedy("use VITRINE_RUNTIME=gvisor or container; or, on a machine of your own, start with --dev=true")
	}
	r, err := supervised.New("process", vitrine.IsolationNone, cfg.Config, driver{})
	if err != nil {
		return nil, err
	}
	return &Runtime{r}, nil
}

type driver struct{}

// Prepare implements supervised.Driver.
func (driver) Prepare(context.Context, vitrine.MachineSpec) error { return nil }

// Program implements supervised.Driver.
func (driver) Program() string { return "" }

// Plan implements supervised.Driver. The agent's directory is named by its place
// in the stage: the path of its socket must fit a sockaddr_un.
func (driver) Plan(_ context.Context, spec vitrine.MachineSpec, m supervised.Machine) (shim.Plan, error) {
	share := m.Stage + "/" + shim.ShareDir
	command := append([]string{share + "/agent"}, m.Args...)
	if len(m.Args) > 0 && m.Args[0] == "init" {
		command = append(command, "--dir", share)
	}
	return shim.Plan{
		Root: shim.RootNone, Etc: oci.Etc(spec), Command: command, OwnPIDs: true, NetNS: spec.Net.NetNS,
	}, nil
}

// Probe implements vitrine.Runtime.
func (r *Runtime) Probe(ctx context.Context) vitrine.Probe {
	return r.ProbeMachine(ctx, "the agent, without any isolation,")
}
