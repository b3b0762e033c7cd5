package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// Config is what New takes.
type Config struct {
	vm.Config
	// Program is QEMU; "" looks qemu-system-x86_64 up in PATH.
	Program string
	// KVM proves that this host's KVM runs guests at speed; nil, or an error,
	// means software emulation. It is asked once.
	KVM func(ctx context.Context) error
	// Ports is how many connections to a machine's agent there can be at a
	// time, at most MaxPorts; 0 is agentproto.DefaultPorts.
	Ports int
}

// MaxPorts is how many ports one virtio-serial device has (QEMU's limit), less
// the first, which it keeps for a console.
const MaxPorts = 30

// Runtime implements vitrine.Runtime, Watcher and Pauser.
type Runtime struct {
	*supervised.Runtime
	driver *driver
}

// New makes the runtime. That its program is missing is Probe's to say.
func New(cfg Config) (*Runtime, error) {
	if cfg.Program == "" {
		cfg.Program = "qemu-system-x86_64"
	}
	if cfg.Ports == 0 {
		cfg.Ports = agentproto.DefaultPorts
	}
	if cfg.Ports < 1 || cfg.Ports > MaxPorts {
		return nil, fmt.Errorf("the qemu runtime has 1 to %d ports a machine, not %d", MaxPorts, cfg.Ports)
	}
	kit, err := vm.New(cfg.Config)
	if err != nil {
		return nil, err
	}
	d := &driver{cfg: cfg, kit: kit}
	r, err := supervised.New("qemu", vitrine.IsolationEmulatedVM, cfg.Config.Config, d)
	if err != nil {
		return nil, err
	}
	return &Runtime{Runtime: r, driver: d}, nil
}

// kvmLimit bounds the proof that KVM works.
const kvmLimit = 5 * time.Second

// Isolation implements vitrine.Runtime: what is given here depends on the host.
func (r *Runtime) Isolation() vitrine.Isolation {
	ctx, cancel := context.WithTimeout(context.Background(), kvmLimit)
	defer cancel()
	if r.driver.accelerator(ctx) == accelKVM {
		return vitrine.IsolationMicroVM
	}
	return vitrine.IsolationEmulatedVM
}

// accel is what runs the guest's instructions.
type accel string

const (
	accelKVM accel = "kvm"
	accelTCG accel = "tcg" // software emulation
)

type driver struct {
	cfg Config
	kit *vm.Kit

	mu      sync.Mutex
	accel   accel // "" until KVM was asked for
	version version
	of      os.FileInfo // the program that version is of
}

// accelerator is KVM where the proof succeeds. A proof that was cut short is
// none, and made again.
func (d *driver) accelerator(ctx context.Context) accel {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accel != "" {
		return d.accel
	}
	if d.cfg.KVM == nil {
		d.accel = accelTCG
		return d.accel
	}
	if err := d.cfg.KVM(ctx); err == nil {
		d.accel = accelKVM
	} else if ctx.Err() == nil {
		d.accel = accelTCG
	} else {
		return accelTCG
	}
	return d.accel
}

const remedy = "apt-get install qemu-system-x86"

func missing(program string) *vitrine.Error {
	return vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "QEMU is not installed (looked for %s)", program).AsError().WithRemedy(remedy)
}

func (d *driver) find() (string, error) {
	p, err := exec.LookPath(d.cfg.Program)
	if err != nil {
		return "", missing(d.cfg.Program).WithCause(err)
	}
	return p, nil
}

// Program implements supervised.Driver.
func (d *driver) Program() string {
	p, _ := d.find()
	return p
}

// version is QEMU's; its options changed names over time.
type version struct{ major, minor int }

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

var versionLine = regexp.MustCompile(`QEMU emulator version (\d{1,4})\.(\d{1,4})[.\d]*`)

// versionOf asks the program once, and again when it was replaced.
func (d *driver) versionOf(ctx context.Context, program string) (version, error) {
	st, err := os.Stat(program)
	if err != nil {
		return version{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of != nil && os.SameFile(d.of, st) && d.of.ModTime().Equal(st.ModTime()) {
		return d.version, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return version{}, vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "%s does not run: %v", program, err).AsError().WithRemedy(remedy)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return version{}, vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "%s does not say QEMU's version but %.80q", program, out).AsError().WithRemedy(remedy)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	d.version, d.of = version{major, minor}, st
	return d.version, nil
}

// Prepare implements supervised.Driver.
func (d *driver) Prepare(context.Context, vitrine.MachineSpec) error { return nil }

// Limits implements supervised.Limiter: the guest has its memory and QEMU what it
// needs itself; the guest counts its own processes.
func (d *driver) Limits(l cgroup.Limits) cgroup.Limits {
	l.PIDs = l.VCPU + hostThreads
	l.MemoryBytes += Overhead(l.MemoryBytes)
	return l
}

// hostThreads is how many threads QEMU may have beside one a vCPU: main loop,
// RCU, and up to 64 workers for its drives.
const hostThreads = 96

// Overhead is what QEMU may take beyond the guest's memory, in bytes: measured 60
// to 75 MiB at rest, and the buffer of translated code.
func Overhead(memory int64) int64 { return 96<<20 + translated(memory) }

// translated is the size of the buffer of translated code (software emulation
// only), in bytes: the more memory, the more code in it.
func translated(memory int64) int64 { return min(max(memory/8, 32<<20), 256<<20) &^ (1<<20 - 1) }

// Plan implements supervised.Driver.
func (d *driver) Plan(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) (shim.Plan, error) {
	program, err := d.find()
	if err != nil {
		return shim.Plan{}, err
	}
	v, err := d.versionOf(ctx, program)
	if err != nil {
		return shim.Plan{}, err
	}
	stage := m.Dir.Join("stage")
	if err := os.Mkdir(stage, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return shim.Plan{}, err
	}
	share := stage + "/" + shim.ShareDir
	c := command{
		Program: program, Version: v, Accel: d.accelerator(ctx), Root: share,
		VCPU: spec.VCPU, Memory: spec.MemoryBytes, Ports: d.cfg.Ports, UID: vm.UID(spec.Slot),
	}
	if m.Probe() {
		c.Kernel, err = writeProbeGuest(m.Dir)
	} else {
		c.Parts, err = d.kit.Make(ctx, spec, m.Dir)
		c.Kernel, c.CommandLine = c.Parts.Kernel, d.kit.CommandLine(spec, kernelArgs(c.Accel)...)
	}
	if err != nil {
		return shim.Plan{}, err
	}
	return shim.Plan{
		VMM: true, Stage: stage, Dir: share, HostID: c.UID, NetNS: spec.Net.NetNS,
		ShareBytes: shareBytes, Command: c.line(),
	}, nil
}

// shareBytes bounds what QEMU can write into its root; it holds sockets.
const shareBytes = 1 << 20

// kernelArgs are the kernel's arguments that depend on the machine. There is no
// keyboard controller that could reset it, so a triple fault does.
//
// In software emulation the guest's time stamp counter is the host's, and its
// kernel, which would measure it against a timer that a busy host delivers late,
// hangs or gets it wrong: it is told. And what protects it from a real
// processor's faults, or tests its own code, costs a fifth of its boot.
func kernelArgs(a accel) []string {
	args := []string{"reboot=t"}
	if a == accelKVM {
		return args
	}
	args = append(args, "mitigations=off", "cryptomgr.notests",
		"initcall_blacklist=bpf_tcp_ca_kfunc_init,bpf_dummy_struct_ops_init,load_system_certificate_list,jent_mod_init")
	if khz := tscKHz(); khz > 0 {
		args = append(args, "tsc_early_khz="+strconv.Itoa(khz), "tsc=reliable")
	}
	return args
}

// Ask implements supervised.Asker.
func (d *driver) Ask(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) error {
	return vm.AskToEnd(ctx, spec, func(ctx context.Context) (net.Conn, error) { return d.Dial(ctx, m) })
}

// Probe implements vitrine.Runtime. It shows that QEMU starts here, that a guest
// runs in it by the accelerator that machines get, that its console is read, and
// that a reset ends it: with a guest of sixty bytes, because Linux takes seconds
// to boot in software.
func (r *Runtime) Probe(ctx context.Context) vitrine.Probe {
	d := r.driver
	program, err := d.find()
	if err != nil {
		return vitrine.Probe{Reason: missing(d.cfg.Program).Message, Remedy: remedy}
	}
	v, err := d.versionOf(ctx, program)
	if err != nil {
		return vitrine.Probe{Reason: err.Error(), Remedy: remedy}
	}
	name := fmt.Sprintf("%d.%d", v.major, v.minor)
	if _, err := exec.LookPath("mke2fs"); err != nil {
		return vitrine.Probe{Reason: "mke2fs is not installed", Remedy: "apt-get install e2fsprogs", Version: name}
	}
	if _, err := d.cfg.Files(ctx, vitrine.MachineSpec{}); err != nil {
		var e *vitrine.Error
		p := vitrine.Probe{Reason: "there is no guest kernel: " + err.Error(), Remedy: "vitrine image build kernel", Version: name}
		if errors.As(err, &e) && e.Remedy != "" {
			p.Remedy = e.Remedy
		}
		var f *vitrine.Failure
		if errors.As(err, &f) {
			p.Code, p.Remedy = f.Code, f.Remedy
		}
		return p
	}
	how := map[accel]string{accelKVM: "KVM", accelTCG: "software emulation"}[d.accelerator(ctx)]
	p := r.ProbeMachine(ctx, "QEMU "+name+" ("+how+")")
	p.Version = name
	if !p.OK && p.Remedy == "" {
		p.Remedy = "another runtime can be chosen with VITRINE_RUNTIME=gvisor"
	}
	return p
}
