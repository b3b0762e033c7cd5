package firecracker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// limit is how long any one call may take here before the test says it hangs.
const limit = 30 * time.Second

// nodeEnv is runtimetest's word for "this is the node".
const nodeEnv = "VITRINE_TEST_NODE"

// TestMain runs the tests on a node of their own: the network and the mounts as
// runtimetest has it, and processes besides. So other machines on this host, whose
// VMMs have the same uids, are not seen, and what a test that is killed leaves ends
// with it.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 2 {
		role = os.Args[1]
	}
	switch {
	case role == "start-and-hang":
		startAndHang(os.Args[2])
	case role == "shim", role == "make-and-hang", os.Geteuid() != 0, os.Getenv("FIRECRACKER_BIN") == "":
	case os.Getenv(nodeEnv) == "":
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), nodeEnv+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "the tests' node:", err)
			os.Exit(1)
		}
		os.Exit(0)
	default:
		if err := errors.Join(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
			fmt.Fprintln(os.Stderr, "making the tests' node:", err)
			os.Exit(1)
		}
	}
	runtimetest.Main(m, linux)
}

// setting is all that makes a runtime, so that another process can make the same.
type setting struct {
	Base, Cache, Cgroup string
	Program, Jailer     string
	Kernel              string
	Args                []string
}

func (s setting) open() (*firecracker.Runtime, error) {
	return firecracker.New(firecracker.Config{
		Program: s.Program, Jailer: s.Jailer, Floor: 1,
		Config: vm.Config{
			Config: supervised.Config{
				BaseDir: s.Base, CgroupParent: s.Cgroup, AgentPath: "/bin/true",
				ShimCommand: []string{"/proc/self/exe", "shim"}, DiskBytes: 64 << 20,
				BootLimit: 10 * time.Second, // twice what the API's socket may take
			},
			InitPath: "/bin/true", CacheDir: s.Cache, KernelArgs: s.Args,
			Files: func(context.Context, vitrine.MachineSpec) (vm.Files, error) {
				return vm.Files{Kernel: s.Kernel, Disk: "/bin/true"}, nil
			},
		},
	})
}

// bench is one runtime over one directory on the node.
type bench struct {
	t    *testing.T
	set  setting
	rt   *firecracker.Runtime
	net  *network.Network
	slot int
	ids  []string
}

// newBench makes a runtime whose machines run the tiny guest in a mode, and holds
// the node to what it was when the test is over.
func newBench(t *testing.T, mode string) *bench {
	t.Helper()
	program, jailer := os.Getenv("FIRECRACKER_BIN"), os.Getenv("JAILER_BIN")
	if program == "" || jailer == "" {
		t.Skip("skipped: no firecracker binary (FIRECRACKER_BIN and JAILER_BIN name them)")
	}
	if os.Geteuid() != 0 {
		t.Skip("machines need root")
	}
	// Not t.TempDir, which names itself after the test: a path of the host shows in
	// the VMM's arguments, and those are short.
	dir, err := os.MkdirTemp("", "vt-fc-")
	must(t, err)
	b := &bench{t: t, set: setting{
		Base: filepath.Join(dir, "machines"), Cache: filepath.Join(dir, "cache"), Cgroup: fmt.Sprintf("/vitrine-test-%d", os.Getpid()),
		Program: program, Jailer: jailer, Args: []string{tiny.Argument(mode)},
	}}
	must(t, os.MkdirAll(b.set.Cache, 0o700))
	if b.set.Kernel, err = tiny.Install(b.set.Cache); err != nil {
		t.Fatal(err)
	}
	b.net, err = network.New(network.Config{
		Bridge: "fcbr0", Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")}, StateDir: filepath.Join(dir, "net"),
	})
	must(t, err)
	b.reopen()
	before := b.traces()
	t.Cleanup(func() {
		b.deleteAll()
		if after := b.traces(); after != before {
			t.Errorf("after everything was deleted the node holds\n%s\nand before\n%s", after, before)
		}
		must(t, os.RemoveAll(dir))
	})
	return b
}

// reopen makes a new Runtime over the same directory, as a new daemon does.
func (b *bench) reopen() {
	b.t.Helper()
	rt, err := b.set.open()
	must(b.t, err)
	b.rt = rt
}

func (b *bench) deleteAll() {
	list, err := b.rt.List(b.ctx())
	if err != nil {
		b.t.Errorf("List: %v", err)
	}
	for _, st := range list {
		if err := b.rt.Delete(b.ctx(), st.ID); err != nil {
			b.t.Errorf("Delete %s: %v", st.ID, err)
		}
	}
	ids, err := b.net.List(b.ctx())
	if err != nil {
		b.t.Errorf("List: %v", err)
	}
	for _, id := range ids {
		if err := b.net.Detach(b.ctx(), id); err != nil {
			b.t.Errorf("Detach %s: %v", id, err)
		}
	}
}

// ctx is bounded, and outlives the test so that clean-ups may use it.
func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	b.t.Cleanup(cancel)
	return ctx
}

// secret is the machines' bearer secret.
const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// spec is a small machine's, without a network.
func (b *bench) spec() vitrine.MachineSpec {
	b.slot++
	id := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	b.ids = append(b.ids, id, strings.ReplaceAll(id, "_", "-"))
	return vitrine.MachineSpec{
		ID: id, SessionID: "ses_test", Slot: b.slot, Kind: vitrine.KindTerminal,
		RootFS: "/", VCPU: 1, MemoryBytes: 64 << 20, MaxPIDs: 128, AgentConfig: []byte(`{"secret":"` + secret + `"}`),
	}
}

// attached is a machine's with one.
func (b *bench) attached() vitrine.MachineSpec {
	b.t.Helper()
	s := b.spec()
	var err error
	s.Net, err = b.net.Attach(b.ctx(), s.ID, b.slot, netip.AddrFrom4([4]byte{192, 168, 100, byte(b.slot + 1)}))
	must(b.t, err)
	return s
}

func (b *bench) start(s vitrine.MachineSpec) string {
	b.t.Helper()
	must(b.t, b.rt.Create(b.ctx(), s))
	if err := b.rt.Start(b.ctx(), s.ID); err != nil {
		b.t.Fatalf("%v\n%s\nconsole:\n%s", err, strings.Join(evidence(err), "\n"), b.console(s.ID))
	}
	return s.ID
}

// upLine is the tiny guest's whole first line.
var upLine = regexp.MustCompile(`tiny: up with \d+ KiB`)

// up starts a machine and waits for its guest's first line.
func (b *bench) up(s vitrine.MachineSpec) string {
	b.t.Helper()
	id := b.start(s)
	b.await("the guest says that it is up", func() bool { return upLine.MatchString(b.console(id)) })
	return id
}

func (b *bench) console(id string) string {
	r, err := b.rt.Console(b.ctx(), id)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	all, _ := io.ReadAll(r)
	return string(all)
}

// exited waits for a machine's end.
func (b *bench) exited(id string) vitrine.MachineStatus {
	b.t.Helper()
	st, err := b.rt.Wait(b.ctx(), id)
	if err != nil || st.State != vitrine.MachineExited {
		b.t.Fatalf("the machine is %+v, %v; its console:\n%s", st, err, b.console(id))
	}
	return st
}

func (b *bench) inspect(id string) vitrine.MachineStatus {
	b.t.Helper()
	st, err := b.rt.Inspect(b.ctx(), id)
	must(b.t, err)
	return st
}

// await polls for what has no event.
func (b *bench) await(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("in %s this did not become true: %s", limit, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func evidence(err error) []string {
	var e *vitrine.Error
	if errors.As(err, &e) && e.Failure != nil {
		return e.Failure.Evidence
	}
	return nil
}

// wantFailure holds an error to a code and words, and to having a remedy.
func wantFailure(t *testing.T, err error, code vitrine.FailureCode, words string) {
	t.Helper()
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != string(code) || e.Remedy == "" {
		t.Fatalf("the error is %v, want %s with a remedy", err, code)
	}
	if text := e.Message + " " + strings.Join(evidence(err), " "); !strings.Contains(text, words) {
		t.Errorf("it says %q, want %q in it", text, words)
	}
	t.Logf("%s: %s; remedy: %s", e.Code, e.Message, e.Remedy)
}

// traces is all of ours that there is on the node, one line a thing: processes
// (also of killed supervisors), mounts of every mount namespace, cgroups, network
// namespaces, interfaces, firewall, files.
func (b *bench) traces() string {
	b.t.Helper()
	marks := append([]string{b.set.Base, b.set.Cgroup + "/"}, b.ids...)
	has := func(s string) bool {
		for _, m := range marks {
			if strings.Contains(s, m) {
				return true
			}
		}
		return false
	}
	seen := map[string]bool{}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		if p == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		c, _ := os.ReadFile(p + "/cmdline")
		if s := string(bytes.ReplaceAll(c, []byte{0}, []byte{' '})); has(s) {
			seen["process "+s] = true
		}
		mounts, _ := os.ReadFile(p + "/mountinfo")
		for _, l := range strings.Split(string(mounts), "\n") {
			if has(l) {
				seen["mount "+l] = true
			}
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && has(p+"/") {
			seen["cgroup "+p] = true
		}
		return nil
	})
	_ = filepath.WalkDir(b.set.Base, func(p string, _ os.DirEntry, _ error) error {
		seen["file "+p] = true
		return nil
	})
	for _, look := range []string{"ip -o link", "nft list ruleset", "ls /run/netns"} {
		out, _ := exec.Command("sh", "-c", look).CombinedOutput()
		for _, l := range strings.Split(string(out), "\n") {
			if l != "" && !strings.Contains(l, "No such file") {
				seen[look+": "+l] = true
			}
		}
	}
	var out []string
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// daemon is a process that makes and starts a machine and then waits to be killed.
func (b *bench) daemon(s vitrine.MachineSpec) (cmd *exec.Cmd, said func() string) {
	b.t.Helper()
	job, err := json.Marshal(map[string]any{"setting": b.set, "spec": s})
	must(b.t, err)
	cmd = exec.CommandContext(b.t.Context(), "/proc/self/exe", "start-and-hang", string(job))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	must(b.t, err)
	out, err := cmd.StdoutPipe()
	must(b.t, err)
	must(b.t, cmd.Start())
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, func() string {
		line := make([]byte, 0, 256)
		for one := make([]byte, 1); ; {
			if n, err := out.Read(one); err != nil || n > 0 && one[0] == '\n' {
				return string(line)
			}
			line = append(line, one[0])
		}
	}
}

func startAndHang(text string) {
	var job struct {
		Setting setting
		Spec    vitrine.MachineSpec
	}
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		var rt *firecracker.Runtime
		if rt, err = job.Setting.open(); err == nil {
			if err = rt.Create(context.Background(), job.Spec); err == nil {
				fmt.Println("created")
				err = rt.Start(context.Background(), job.Spec.ID)
			}
		}
	}
	fmt.Println("started", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func codeOf(err error) string {
	var e *vitrine.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// stand pauses a VMM behind its runtime's back, with the note that it was for a
// snapshot.
func stand(t *testing.T, dir string, pid int) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "standing"), nil, 0o600))
	c := api.New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/%d/root/api.sock", pid))
	})
	defer c.Close()
	must(t, c.Pause(t.Context()))
}
