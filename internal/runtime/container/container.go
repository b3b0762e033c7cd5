// Package container runs machines as Linux containers by crun, or runc where
// that is what the host has.
//
// A machine is in a user namespace whose ids are its slot's own (65536 from
// 1 MiB + slot × 65536 up, so that two machines own nothing in common even on the
// host's disk), in pid, ipc, uts, mount and cgroup namespaces of its own and in
// the network namespace it is given. Its root is the image, id-mapped and
// read-only, under an overlay whose upper layer is a disk of bounded size. What
// it may call stands in package oci. It shares the host's kernel, and that is
// what "container" says on each session.
//
// The OCI runtime is told to leave cgroups alone (package cgroup says why) and
// runs where the v2 tree of a hybrid host is unmounted: crun 1.8 refuses such
// hosts otherwise.
package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/oci"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// Config is what New takes.
type Config struct {
	supervised.Config
	// Program is the OCI runtime; "" finds crun, then runc.
	Program string
}

// Runtime implements vitrine.Runtime, Watcher and Pauser.
type Runtime struct {
	*supervised.Runtime
	driver *driver
}

// New makes the runtime. That its program is missing is Probe's to say.
func New(cfg Config) (*Runtime, error) {
	d := &driver{program: cfg.Program}
	r, err := supervised.New("container", vitrine.IsolationContainer, cfg.Config, d)
	if err != nil {
		return nil, err
	}
	return &Runtime{Runtime: r, driver: d}, nil
}

type driver struct{ program string }

// find gives the OCI runtime's path.
func (d *driver) find() (string, error) {
	names := []string{"crun", "runc"}
	if d.program != "" {
		names = []string{d.program}
	}
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p, nil
		}
	}
	return "", vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "neither crun nor runc is installed").AsError().
		WithRemedy("apt-get install crun")
}

// Program implements supervised.Driver.
func (d *driver) Program() string {
	p, _ := d.find()
	return p
}

// HostID is the host's uid and gid of the root of the machine in a slot.
func HostID(slot int) int { return 1<<20 + slot*shim.IDs }

// Prepare implements supervised.Driver.
func (d *driver) Prepare(context.Context, vitrine.MachineSpec) error { return nil }

// Plan implements supervised.Driver.
func (d *driver) Plan(_ context.Context, spec vitrine.MachineSpec, m supervised.Machine) (shim.Plan, error) {
	program, err := d.find()
	if err != nil {
		return shim.Plan{}, err
	}
	host := HostID(spec.Slot)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return shim.Plan{}, fmt.Errorf("reading the limit of open files: %w", err)
	}
	s := oci.Base(spec, oci.Places{Stage: m.Stage, ShmBytes: spec.MemoryBytes / 2, NoFile: min(files.Max, 1<<20), Args: m.Args})
	oci.Container(s, uint32(host), shim.IDs, cgroups(m))
	bundle, err := oci.Marshal(s)
	if err != nil {
		return shim.Plan{}, err
	}
	pidFile := m.Stage + "/state/pid"
	command := []string{program, "--root", m.Stage + "/state", "--log", m.Stage + "/" + shim.LogFile}
	if strings.HasPrefix(filepath.Base(program), "crun") {
		command = append(command, "--cgroup-manager=disabled")
	}
	plan := shim.Plan{
		Root: shim.RootOverlay, Lower: spec.RootFS, HostID: host,
		ShareBytes: supervised.ShareBytes, Etc: oci.Etc(spec), Bundle: bundle,
		Command: append(command, "run", "--detach", "--bundle", m.Stage+"/bundle", "--pid-file", pidFile, spec.ID),
		PIDFile: pidFile,
	}
	if u := m.Host.UnifiedMount(); u != "" {
		plan.Unmount, plan.Pressure = []string{u}, pressure(m)
	}
	return plan, nil
}

// cgroups is what the machine sees of its own cgroup, by place: what the agent
// reads memory and pressure from.
func cgroups(m supervised.Machine) map[string]string {
	if m.Host.Layout() == "v2" {
		return map[string]string{"/sys/fs/cgroup": m.Group.Dir("unified")}
	}
	seen := map[string]string{"/sys/fs/cgroup/memory": m.Group.Dir("memory")}
	if pressure(m) != "" {
		seen["/sys/fs/cgroup/memory.pressure"] = m.Stage + "/memory.pressure"
	}
	return seen
}

// pressure is the machine's own PSI on a hybrid host: the v2 tree has it even
// without controllers. "" where the kernel has none.
func pressure(m supervised.Machine) string {
	f := filepath.Join(m.Group.Dir("unified"), "memory.pressure")
	if _, err := os.Stat(f); m.Host.UnifiedMount() == "" || err != nil {
		return ""
	}
	return f
}

// Probe implements vitrine.Runtime.
func (r *Runtime) Probe(ctx context.Context) vitrine.Probe {
	program, err := r.driver.find()
	if err != nil {
		return vitrine.Probe{Reason: "neither crun nor runc is installed", Remedy: "apt-get install crun"}
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return vitrine.Probe{Reason: program + " does not run: " + err.Error(), Remedy: "apt-get install --reinstall crun"}
	}
	version, _, _ := strings.Cut(string(out), "\n")
	p := r.ProbeMachine(ctx, strings.TrimSpace(version))
	p.Version = strings.TrimSpace(version)
	if !p.OK && p.Remedy == "" {
		p.Remedy = "it needs Linux 5.19 or later, user namespaces (sysctl user.max_user_namespaces) and its directory on ext4, xfs or btrfs"
	}
	return p
}
