package firecracker

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/kvm"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// Config is what New takes.
type Config struct {
	vm.Config
	// Program and Jailer are the two programs of one Firecracker release; "" looks
	// "firecracker" and "jailer" up in PATH.
	Program, Jailer string
	// Floor is the least rate of guest kernel instructions a second at which Probe
	// takes KVM for usable; 0 is kvm.Floor. Tests lower it on hosts that emulate.
	Floor float64
	// KVM is the device that Probe tries; "" is kvm.Device.
	KVM string
	// CPUConfig is Firecracker's CpuConfig as JSON, nil for none: what the guest is
	// told of its processor. For hosts that emulate.
	CPUConfig json.RawMessage
}

// Runtime implements vitrine.Runtime, Watcher, Pauser and Snapshotter.
type Runtime struct {
	*supervised.Runtime
	driver *driver
}

// New makes the runtime. What stands in its way on this host is Probe's to say.
func New(cfg Config) (*Runtime, error) {
	if cfg.Program == "" {
		cfg.Program = "firecracker"
	}
	if cfg.Jailer == "" {
		cfg.Jailer = "jailer"
	}
	if cfg.Floor == 0 {
		cfg.Floor = kvm.Floor
	}
	if cfg.KVM == "" {
		cfg.KVM = kvm.Device
	}
	kit, err := vm.New(cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("making the firecracker runtime: %w", err)
	}
	d := &driver{cfg: cfg, kit: kit}
	r, err := supervised.New("firecracker", vitrine.IsolationMicroVM, cfg.Config.Config, d)
	if err != nil {
		return nil, err
	}
	return &Runtime{Runtime: r, driver: d}, nil
}

// driver implements supervised.Driver, Limiter, Booter, Asker and Dialer.
type driver struct {
	cfg      Config
	kit      *vm.Kit
	versions versions
	digests  digests
}

const remedy = "put firecracker and jailer of one release, 1.16.1 or later, into PATH (https://github.com/firecracker-microvm/firecracker/releases)"

// find gives the real paths of the two programs: the jailer names the jail after
// what a link leads to.
func (d *driver) find() (program, jailer string, err error) {
	for _, p := range []struct {
		name, what string
		into       *string
	}{{d.cfg.Program, "firecracker", &program}, {d.cfg.Jailer, "firecracker's jailer", &jailer}} {
		path, err := exec.LookPath(p.name)
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return "", "", vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "%s is not installed (looked for %s)", p.what, p.name).AsError().
				WithRemedy(remedy).WithCause(err)
		}
		*p.into = path
	}
	return program, jailer, nil
}

// Program implements supervised.Driver.
func (d *driver) Program() string {
	p, _, _ := d.find()
	return p
}

// Prepare implements supervised.Driver.
func (d *driver) Prepare(context.Context, vitrine.MachineSpec) error { return nil }

// What the VMM takes on the host beyond its guest: its own memory with the copy
// of its program and its files in the jail (together about 10 MiB), page tables of
// the guest's memory (2 MiB a GiB), and room for what is in flight; threads for
// the API, the devices and the processors.
const (
	hostMemory  = 64 << 20
	hostThreads = 64
)

// Limits implements supervised.Limiter: the guest gets all the memory it was
// given, and what the VMM needs comes on top.
func (d *driver) Limits(l cgroup.Limits) cgroup.Limits {
	l.MemoryBytes += hostMemory + l.MemoryBytes/256
	l.PIDs = l.VCPU + hostThreads
	return l
}
