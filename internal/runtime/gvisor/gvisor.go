// Package gvisor runs machines in gVisor sandboxes by runsc (systrap): a kernel
// in user space stands between a machine and the host's.
//
// The image is given to runsc read-only, and what the machine writes goes into a
// file of bounded size in the machine's directory. The host's side of the
// sandbox (sentry and gofer) confines itself, as runsc does: user namespace,
// empty root, seccomp. It gets no namespace of ours, only the cgroup, whose
// memory limit counts the whole sandbox. The agent's unix socket appears on the
// host because runsc may create (not connect to) host sockets in mounts.
//
// runsc must be linked statically: it starts itself again in an empty root, where
// a dynamic one finds no loader. Probe says so in words.
//
// It may set the address of the machine's own interface in the machine's own
// network namespace, and touch nothing else of the network: runsc takes the
// address away when it starts.
package gvisor

import (
	"context"
	"debug/elf"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/oci"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// Config is what New takes.
type Config struct {
	supervised.Config
	// Program is runsc; "" looks it up in PATH.
	Program string
}

// Runtime implements vitrine.Runtime, Watcher and Pauser.
type Runtime struct {
	*supervised.Runtime
	driver *driver
}

// New makes the runtime. That its program is missing is Probe's to say.
func New(cfg Config) (*Runtime, error) {
	if cfg.Program == "" {
		cfg.Program = "runsc"
	}
	d := &driver{program: cfg.Program, disk: cfg.DiskBytes}
	if d.disk == 0 {
		d.disk = supervised.DefaultDiskBytes
	}
	r, err := supervised.New("gvisor", vitrine.IsolationGVisor, cfg.Config, d)
	if err != nil {
		return nil, err
	}
	return &Runtime{Runtime: r, driver: d}, nil
}

type driver struct {
	program string
	disk    int64
}

const remedy = "make runsc (builds the pinned gVisor), or set VITRINE_RUNSC to a statically linked runsc"

func (d *driver) find() (string, error) {
	p, err := exec.LookPath(d.program)
	if err != nil {
		return "", vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "runsc is not installed").AsError().WithRemedy(remedy).WithCause(err)
	}
	return p, nil
}

// Program implements supervised.Driver.
func (d *driver) Program() string {
	p, _ := d.find()
	return p
}

// hostThreads is how many host threads a sandbox may have beyond one per process
// of the machine: those of sentry, gofer and the platform's stubs.
const hostThreads = 512

// Limits widens the host's process limit: it counts the sandbox's own threads
// as well as those that stand for the machine's.
func (d *driver) Limits(l cgroup.Limits) cgroup.Limits {
	l.PIDs = 2*l.PIDs + hostThreads
	return l
}

// Prepare implements supervised.Driver: it puts the machine's address back.
func (d *driver) Prepare(_ context.Context, spec vitrine.MachineSpec) error {
	if spec.Net.NetNS == "" {
		return nil
	}
	return setAddress(spec.Net)
}

// Plan implements supervised.Driver.
func (d *driver) Plan(_ context.Context, spec vitrine.MachineSpec, m supervised.Machine) (shim.Plan, error) {
	program, err := d.find()
	if err != nil {
		return shim.Plan{}, err
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return shim.Plan{}, fmt.Errorf("reading the limit of open files: %w", err)
	}
	s := oci.Base(spec, oci.Places{
		Stage: m.Stage, CgroupPath: m.Group.Path(), ShmBytes: spec.MemoryBytes / 2, NoFile: min(files.Max, 1<<20), Args: m.Args,
	})
	bundle, err := oci.Marshal(s)
	if err != nil {
		return shim.Plan{}, err
	}
	pidFile := m.Stage + "/state/pid"
	command := []string{
		program, "--root=" + m.Stage + "/state", "--log=" + m.Stage + "/" + shim.LogFile,
		"--platform=systrap", "--network=sandbox", "--host-uds=create",
		"--overlay2=root:dir=" + m.Stage + "/disk,size=" + strconv.FormatInt(d.disk, 10),
		// The default pins a namespace by a bind mount that nobody removes.
		"--gofer-network-namespace=new",
	}
	return shim.Plan{
		Root: shim.RootReadOnly, Lower: spec.RootFS, ShareBytes: supervised.ShareBytes,
		Etc: oci.Etc(spec), Bundle: bundle, Places: oci.MountPoints(s),
		Command:     append(command[:len(command):len(command)], "run", "--detach", "--bundle="+m.Stage+"/bundle", "--pid-file="+pidFile, spec.ID),
		StopCommand: append(command[:len(command):len(command)], "kill", spec.ID, "TERM"),
		PIDFile:     pidFile,
	}, nil
}

// Probe implements vitrine.Runtime.
func (r *Runtime) Probe(ctx context.Context) vitrine.Probe {
	program, err := r.driver.find()
	if err != nil {
		return vitrine.Probe{Reason: "runsc is not installed (looked for " + r.driver.program + ")", Remedy: remedy}
	}
	if dynamic(program) {
		return vitrine.Probe{Reason: program + " is linked dynamically, and runsc starts itself again where no loader is", Remedy: "build it with CGO_ENABLED=0: " + remedy}
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return vitrine.Probe{Reason: program + " does not run: " + err.Error(), Remedy: remedy}
	}
	first, _, _ := strings.Cut(string(out), "\n")
	version := strings.TrimSpace(strings.TrimPrefix(first, "runsc version "))
	p := r.ProbeMachine(ctx, "runsc "+version)
	p.Version = version
	if !p.OK && p.Remedy == "" {
		p.Remedy = "run `vitrine doctor`; another runtime can be chosen with VITRINE_RUNTIME=container"
	}
	return p
}

// dynamic says whether a program needs a loader.
func dynamic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}
