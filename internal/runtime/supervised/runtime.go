package supervised

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

// Driver is what makes one runtime differ from another.
type Driver interface {
	// Plan says what to run for a machine, and makes the files that the program
	// opens by name (a VMM's drives). It is called before each start.
	Plan(ctx context.Context, spec vitrine.MachineSpec, m Machine) (shim.Plan, error)
	// Program is the path of what Plan runs, "" when it is the agent itself.
	Program() string
	// Prepare is called before each start.
	Prepare(ctx context.Context, spec vitrine.MachineSpec) error
}

// What only some drivers can do or need, found by type.
type (
	// Limiter changes the limits of a machine's cgroup: what its program takes
	// on the host is not what the machine was given.
	Limiter interface {
		Limits(l cgroup.Limits) cgroup.Limits
	}
	// Booter starts the guest of a VMM that runs. It is called once a start,
	// after the VMM's process runs; when it fails the VMM is killed.
	Booter interface {
		Boot(ctx context.Context, spec vitrine.MachineSpec, m Machine) error
	}
	// Asker asks a machine to end that no signal reaches. It returns when the
	// machine has been asked.
	Asker interface {
		Ask(ctx context.Context, spec vitrine.MachineSpec, m Machine) error
	}
	// Dialer reaches the agent of a machine that has no socket of its own in
	// the shared directory.
	Dialer interface {
		Dial(ctx context.Context, m Machine) (net.Conn, error)
	}
	// Prover judges a probe's machine, which ended well, by what it printed.
	Prover interface {
		Proved(console []byte) error
	}
)

// Machine is what a Driver may need to know of a machine's place.
type Machine struct {
	ID    string
	Dir   machinedir.Dir
	Group *cgroup.Group
	Host  *cgroup.Host
	Stage string // where the supervisor mounts unless Plan says otherwise; only given to Plan
	// Args are the arguments of the agent: what the machine runs.
	Args []string
	// Socket connects to a unix socket in the machine's shared directory.
	Socket func(ctx context.Context, name string) (net.Conn, error)
}

// Probe says whether the machine is a probe's: it shall show that the runtime
// works and end by itself with status 0.
func (m Machine) Probe() bool { return !slices.Equal(m.Args, agentArgs) }

// agentArgs make the agent the machine's first process.
var agentArgs = []string{"init"}

// Config is what every runtime of this kind is made from.
type Config struct {
	// BaseDir holds one directory a machine; it is the runtime's own.
	BaseDir string
	// CgroupParent is the group under which machines get theirs; "" is /vitrine.
	CgroupParent string
	// AgentPath is the agent's binary on the host (agentbin.Install).
	AgentPath string
	// ShimCommand starts shim.Main, such as ["/proc/self/exe", "shim"].
	ShimCommand []string
	// DiskBytes bounds what a machine may write; 0 is DefaultDiskBytes.
	DiskBytes int64
	// BootLimit bounds a Booter; 0 is twenty seconds. Tests of guests that are
	// emulated need more for a restored one to answer.
	BootLimit time.Duration
	Log       *slog.Logger // nil: the default
}

// DefaultDiskBytes is the size of a machine's writable disk: room for a
// browser's cache and some downloads. It is sparse: what is not written takes
// no room.
const DefaultDiskBytes = 8 << 30

// Runtime implements vitrine.Runtime.
type Runtime struct {
	name      string
	isolation vitrine.Isolation
	cfg       Config
	driver    Driver
	log       *slog.Logger
}

// New makes the directory and nothing else. What stands in a machine's way on
// this host is Probe's to say.
func New(name string, isolation vitrine.Isolation, cfg Config, d Driver) (*Runtime, error) {
	if cfg.CgroupParent == "" {
		cfg.CgroupParent = "/vitrine"
	}
	if cfg.DiskBytes == 0 {
		cfg.DiskBytes = DefaultDiskBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if !filepath.IsAbs(cfg.BaseDir) || !filepath.IsAbs(cfg.AgentPath) || len(cfg.ShimCommand) == 0 {
		return nil, fmt.Errorf("the %s runtime needs absolute paths of its directory (%q) and the agent (%q), and a supervisor command", name, cfg.BaseDir, cfg.AgentPath)
	}
	if err := os.MkdirAll(cfg.BaseDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the %s runtime: %w", name, err)
	}
	return &Runtime{name: name, isolation: isolation, cfg: cfg, driver: d, log: cfg.Log.With("runtime", name)}, nil
}

// Name implements vitrine.Runtime.
func (r *Runtime) Name() string { return r.name }

// Isolation implements vitrine.Runtime.
func (r *Runtime) Isolation() vitrine.Isolation { return r.isolation }

// record is spec.json.
type record struct {
	BootID    string
	CreatedAt time.Time
	Args      []string
	Spec      vitrine.MachineSpec
}

// dir is a machine's directory; an error for what is no machine id, before it
// becomes part of a path.
func (r *Runtime) dir(id string) (machinedir.Dir, error) {
	if !vitrine.ValidID(vitrine.PrefixMachine, id) {
		return "", vitrine.Errorf(vitrine.ClassInvalid, "bad_machine_id", "%.40q is not a machine id", id)
	}
	return machinedir.Dir(filepath.Join(r.cfg.BaseDir, id)), nil
}

// locked runs f with the machine's lock; fs.ErrNotExist when there is none.
func (r *Runtime) locked(ctx context.Context, id string, f func(machinedir.Dir) error) error {
	d, err := r.dir(id)
	if err != nil {
		return err
	}
	unlock, err := d.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return f(d)
}

// group is the machine's cgroup.
func (r *Runtime) group(id string) (*cgroup.Group, *cgroup.Host, error) {
	host, err := cgroup.Detect()
	if err != nil {
		return nil, nil, err
	}
	return host.Group(r.cfg.CgroupParent, id), host, nil
}

// Create implements vitrine.Runtime: the directory with spec.json comes first,
// then the cgroup with its limits.
func (r *Runtime) Create(ctx context.Context, spec vitrine.MachineSpec) error {
	return r.createWith(ctx, spec, agentArgs)
}

func (r *Runtime) createWith(ctx context.Context, spec vitrine.MachineSpec, args []string) error {
	d, err := r.dir(spec.ID)
	if err != nil {
		return err
	}
	if spec.MemoryBytes <= 0 || spec.VCPU <= 0 || spec.MaxPIDs <= 0 || spec.Slot < 1 || spec.Slot > maxSlot {
		return fmt.Errorf("creating machine %s: memory %d, vCPU %d, processes %d and slot %d must all be given", spec.ID, spec.MemoryBytes, spec.VCPU, spec.MaxPIDs, spec.Slot)
	}
	if err := os.Mkdir(string(d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating machine %s: %w", spec.ID, err)
	}
	err = r.locked(ctx, spec.ID, func(d machinedir.Dir) error {
		if d.Has(machinedir.DeletingFile) {
			if err := r.remove(ctx, spec.ID, d); err != nil {
				return err
			}
			return r.createWith(ctx, spec, args)
		}
		if d.Has(machinedir.SpecFile) {
			return nil
		}
		err := r.create(d, spec, args)
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return errors.Join(err, r.remove(clean, spec.ID, d))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("creating machine %s: %w", spec.ID, err)
	}
	return nil
}

// maxSlot keeps uid ranges within 32 bits (address.go lends no more).
const maxSlot = 4094

func (r *Runtime) create(d machinedir.Dir, spec vitrine.MachineSpec, args []string) error {
	if err := d.Write(machinedir.SpecFile, record{machinedir.BootID(), time.Now().UTC(), args, spec}); err != nil {
		return err
	}
	group, _, err := r.group(spec.ID)
	if err != nil {
		return err
	}
	limits := cgroup.Limits{MemoryBytes: spec.MemoryBytes, VCPU: spec.VCPU, PIDs: spec.MaxPIDs}
	if l, ok := r.driver.(Limiter); ok {
		limits = l.Limits(limits)
	}
	return group.Create(limits)
}

var _ vitrine.Overheader = (*Runtime)(nil)

// Overhead implements vitrine.Overheader: what the driver adds to the limit of a
// machine's memory.
func (r *Runtime) Overhead(memory int64) int64 {
	l, ok := r.driver.(Limiter)
	if !ok {
		return 0
	}
	return l.Limits(cgroup.Limits{MemoryBytes: memory}).MemoryBytes - memory
}

// ShareBytes bounds a machine's /run/vitrine: socket, config, small logs.
const ShareBytes = 32 << 20
