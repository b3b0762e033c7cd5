package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
)

// process is one whose command line names a machine.
type process struct {
	pid     int
	args    []string
	machine string
	dir     string // a supervisor's: the machine's directory
}

// programs are those that run for machines, by the name they are called by.
// What else names a machine on its command line (an editor, a grep) is not ours.
var programs = []string{"runsc", "runsc-sandbox", "runsc-gofer", "crun", "runc", "jailer", "firecracker"}

func (p process) ours() bool {
	if p.dir != "" {
		return true
	}
	name := filepath.Base(p.args[0])
	return slices.Contains(programs, name) || strings.HasPrefix(name, "qemu-system-") || strings.HasPrefix(name, "runsc")
}

// parseCommand finds the machine that a command line names.
func parseCommand(pid int, cmdline []byte) (process, bool) {
	p := process{pid: pid, args: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")}
	if len(p.args) == 0 || p.args[0] == "" {
		return p, false
	}
	if n := len(p.args); n >= 4 && p.args[n-3] == "shim" && (p.args[n-2] == "run" || p.args[n-2] == "watch") && filepath.IsAbs(p.args[n-1]) {
		p.dir, p.machine = p.args[n-1], filepath.Base(p.args[n-1])
		return p, isMachine(p.machine)
	}
	for _, a := range p.args[1:] {
		if i := strings.Index(a, vitrine.PrefixMachine+"_"); i >= 0 && len(a) >= i+30 && isMachine(a[i:i+30]) {
			p.machine = a[i : i+30]
			return p, p.ours()
		}
	}
	return p, false
}

// maxCommand bounds what is read of a command line: any process may have made it.
const maxCommand = 64 << 10

// readProcess reads one process of the host; false for one that names no machine
// or has gone.
func readProcess(pid int) (process, bool) {
	name := "/proc/" + strconv.Itoa(pid)
	f, err := os.Open(name + "/cmdline")
	if err != nil {
		return process{}, false
	}
	defer f.Close()
	buf := make([]byte, maxCommand)
	n, _ := f.Read(buf)
	if !bytes.Contains(buf[:n], []byte(vitrine.PrefixMachine+"_")) {
		return process{}, false
	}
	p, ok := parseCommand(pid, buf[:n])
	if !ok {
		return p, false
	}
	stat, err := os.ReadFile(name + "/stat")
	if err != nil {
		return p, false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) == 0 || fields[0] == "Z" || fields[0] == "X" {
		return p, false
	}
	// What runs in a container may call itself what it likes; a supervisor is in
	// our own namespaces.
	if p.dir != "" && (!sameNamespace(pid, "pid") || !sameNamespace(pid, "user")) {
		return p, false
	}
	return p, true
}

func sameNamespace(pid int, kind string) bool {
	theirs, err1 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	ours, err2 := os.Readlink("/proc/self/ns/" + kind)
	return err1 == nil && err2 == nil && theirs == ours
}

// processes finds supervisors, and where they keep their machines.
func (l *look) processes() error {
	list, err := entries("/proc")
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, name := range list {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, ok := readProcess(pid)
		if !ok {
			continue
		}
		l.procs = append(l.procs, p)
		if p.dir == "" {
			continue
		}
		_, here := machineIn(l.cfg.machinesDir(), p.dir)
		if !here && !l.probing(p.dir) {
			l.elsewhere[p.machine] = p.dir
			continue
		}
		l.add(vitrine.Thing{
			Kind: vitrine.ThingProcess, Name: strconv.Itoa(pid), Machine: p.machine, Detail: leftover.DetailSupervisor, Since: idTime(p.machine),
		})
	}
	return nil
}

// probing says whether a directory is one of a doctor's.
func (l *look) probing(dir string) bool {
	return strings.HasPrefix(dir, filepath.Join(l.cfg.TempDir, probePrefix))
}

// strays finds OCI runtimes and VMMs outside their machine's cgroup, of machines
// that we know by another sign: an id alone may be another instance's.
func (l *look) strays() error {
	for _, p := range l.procs {
		if p.dir != "" || !l.known[p.machine] {
			continue
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid)); err != nil || strings.Contains(string(b), ":/"+l.cfg.Instance+"/"+p.machine) {
			continue
		}
		l.add(vitrine.Thing{
			Kind: vitrine.ThingProcess, Name: strconv.Itoa(p.pid), Machine: p.machine,
			Detail: filepath.Base(p.args[0]), Since: idTime(p.machine),
		})
	}
	return nil
}

// kill kills a process that still names the machine, and waits for its end.
func kill(pid int, machine string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	// Looked at after it was opened, so that the fd is of what was looked at.
	if p, ok := readProcess(pid); !ok || p.machine != machine {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	const patience = 5000 // ms: a process stuck in the kernel may take a while
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, patience)
	if err == nil && n == 0 {
		return fmt.Errorf("process %d does not end, though killed", pid)
	}
	return nil
}

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// bootTime is when the host was booted, by the clock of now.
func bootTime() time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}
