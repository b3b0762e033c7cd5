package firecracker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// refusedStart starts a machine that must not start, and holds the machine's end
// to the rules: the failure has its code, nothing of it runs, and the rest of the
// product (the machine can be inspected, read and deleted) goes on.
func (b *bench) refusedStart(s vitrine.MachineSpec, code vitrine.FailureCode, words string) {
	b.t.Helper()
	must(b.t, b.rt.Create(b.ctx(), s))
	began := time.Now()
	err := b.rt.Start(b.ctx(), s.ID)
	took := time.Since(began)
	wantFailure(b.t, err, code, words)
	if took > 8*time.Second {
		b.t.Errorf("it took %s to fail", took)
	}
	if st := b.inspect(s.ID); st.State == vitrine.MachineRunning {
		b.t.Errorf("a machine whose start failed is %+v", st)
	}
	if left := b.processes(); left != "" {
		b.t.Errorf("after the failed start these run:\n%s", left)
	}
	must(b.t, b.rt.Delete(b.ctx(), s.ID))
}

func (b *bench) processes() string {
	var out []string
	for _, l := range strings.Split(b.traces(), "\n") {
		if strings.HasPrefix(l, "process ") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// fake builds a program that stands where Firecracker or the jailer would. It
// proves only how we take what it does: the real ones are tried everywhere else.
func (b *bench) fake(name, body string) string {
	b.t.Helper()
	dir := b.t.TempDir()
	src, out := filepath.Join(dir, "fake.c"), filepath.Join(dir, name)
	text := "#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n#include <signal.h>\nint main(int n, char **a) {\n" + body + "\nreturn 0; }\n"
	must(b.t, os.WriteFile(src, []byte(text), 0o600))
	if said, err := exec.CommandContext(b.t.Context(), "gcc", "-static", "-o", out, src).CombinedOutput(); err != nil {
		b.t.Fatalf("building a fake: %v\n%s", err, said)
	}
	return out
}

// says answers --version as the real one would.
const says = `if (n == 2 && !strcmp(a[1], "--version")) { printf("Firecracker v%s\n", VERSION); return 0; }`

func saying(version, then string) string {
	return strings.ReplaceAll(says, "VERSION", `"`+version+`"`) + "\n" + then
}

func TestFaultsOfTheHostAreNamed(t *testing.T) {
	t.Run("Firecracker is not installed", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = "/nowhere/firecracker"
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailRuntimeMissing, "not installed")
		if p := b.rt.Probe(b.ctx()); p.OK || !strings.Contains(p.Reason, "not installed") || p.Remedy == "" {
			t.Errorf("the probe says %+v", p)
		}
	})
	t.Run("Firecracker is too old", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", saying("1.16.0", ""))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailRuntimeMissing, "is Firecracker 1.16.0; the least that works is 1.16.1")
		if p := b.rt.Probe(b.ctx()); p.OK || !strings.Contains(p.Reason, "1.16.0") || p.Remedy == "" {
			t.Errorf("the probe says %+v", p)
		}
	})
	t.Run("Firecracker and its jailer are of two releases", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", saying("1.18.3", ""))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailRuntimeMissing, "must be of one release")
	})
	t.Run("what is there is no Firecracker", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", `for (;;) puts("y");`)
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailRuntimeMissing, "does not say its version")
	})
	t.Run("no KVM", func(t *testing.T) {
		b := newBench(t, "idle")
		rt, err := firecracker.New(firecracker.Config{
			Program: b.set.Program, Jailer: b.set.Jailer, KVM: "/dev/no-such-kvm",
			Config: vm.Config{
				Config:   supervised.Config{BaseDir: b.set.Base, AgentPath: "/bin/true", ShimCommand: []string{"/bin/true"}},
				InitPath: "/bin/true", CacheDir: b.set.Cache,
				Files: func(context.Context, vitrine.MachineSpec) (vm.Files, error) { return vm.Files{}, nil },
			},
		})
		must(t, err)
		if p := rt.Probe(b.ctx()); p.OK || !strings.Contains(p.Reason, "/dev/no-such-kvm: no such file") || !strings.Contains(p.Remedy, "modprobe") {
			t.Errorf("the probe says %+v", p)
		}
	})
	t.Run("no permission for KVM, seen by the VMM itself", func(t *testing.T) {
		// In the jail the device is the jailer's, so this is a host that forbids it
		// to all, as a container's device rules do: here, a Firecracker whose start is
		// answered with the real one's words would prove nothing. So the real one runs
		// where making device nodes has no use.
		b := newBench(t, "idle")
		b.set.Jailer = b.fake("jailer", strings.ReplaceAll(saying("VV", ""), `"Firecracker v%s\n", "VV"`, `"Jailer v%s\n", "`+b.version()+`"`)+
			fmt.Sprintf(`
		char cmd[8192] = "";
		for (int i = 1; i < n; i++) { strcat(cmd, " '"); strcat(cmd, a[i]); strcat(cmd, "'"); }
		char all[9000];
		snprintf(all, sizeof all, "mount -o remount,nodev $(echo \"%%s\" | sed \"s/.*'--chroot-base-dir' '\\([^']*\\)'.*/\\1/\")/*/*/root && exec %s%%s", cmd, cmd);
		execl("/bin/sh", "sh", "-c", all, (char *)0);`, b.set.Jailer))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailHostKVMUnusable, "Permission denied")
	})
	t.Run("the kernel is missing", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Kernel = "/nowhere/vmlinux"
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailKernelMissing, "/nowhere/vmlinux")
	})
	t.Run("the kernel is none", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Kernel = "/etc/passwd"
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailVMMFailed, "invalid kernel image")
	})
	t.Run("another process holds the TAP", func(t *testing.T) {
		b := newBench(t, "idle")
		s := b.attached()
		tap := holdTAP(t, s.Net.NetNS)
		b.refusedStart(s, vitrine.FailHostNetworkFailed, vm.TAPName)
		tap.Close()
	})
	t.Run("somebody runs with the machine's uid", func(t *testing.T) {
		b := newBench(t, "idle")
		s := b.spec()
		other := exec.CommandContext(t.Context(), "sleep", "60")
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(vm.UID(s.Slot)), Gid: 65534}}
		must(t, other.Start())
		b.refusedStart(s, vitrine.FailVMMFailed, fmt.Sprintf("process %d (%q)", other.Process.Pid, "sleep"))
		must(t, other.Process.Kill())
		_ = other.Wait()
		b.up(b.spec())
	})
	t.Run("the VMM dies at once", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", saying(b.version(), `puts("seccomp: no such filter"); return 148;`))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailVMMFailed, "no such filter")
	})
	t.Run("the VMM is killed before its API answers", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", saying(b.version(), `usleep(50000); raise(9);`))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailVMMFailed, "left before its API answered")
	})
	t.Run("the API's socket does not come up", func(t *testing.T) {
		b := newBench(t, "idle")
		b.set.Program = b.fake("firecracker", saying(b.version(), `pause();`))
		b.reopen()
		b.refusedStart(b.spec(), vitrine.FailVMMFailed, "did not answer in 5s")
	})
	t.Run("the jailer refuses", func(t *testing.T) {
		b := newBench(t, "idle")
		s := b.spec()
		s.Net.NetNS = "/run/netns/no-such"
		must(t, b.rt.Create(b.ctx(), s))
		err := b.rt.Start(b.ctx(), s.ID)
		wantFailure(t, err, vitrine.FailHostNetworkFailed, "/run/netns/no-such")
	})
	t.Run("the drives' directory is full", func(t *testing.T) {
		b := newBench(t, "idle")
		must(t, os.MkdirAll(b.set.Base, 0o700))
		must(t, unix.Mount("tmpfs", b.set.Base, "tmpfs", 0, "size=128k,mode=700"))
		t.Cleanup(func() { must(t, unix.Unmount(b.set.Base, 0)) })
		s := b.spec()
		must(t, b.rt.Create(b.ctx(), s))
		must(t, exec.CommandContext(t.Context(), "sh", "-c", "head -c 10M /dev/zero >"+b.set.Base+"/fill; true").Run())
		err := b.rt.Start(b.ctx(), s.ID)
		wantFailure(t, err, vitrine.FailHostDiskFull, "no room")
		must(t, os.Remove(b.set.Base+"/fill"))
		must(t, b.rt.Delete(b.ctx(), s.ID))
	})
	t.Run("more memory than the VMM takes", func(t *testing.T) {
		b := newBench(t, "idle")
		s := b.spec()
		s.MemoryBytes = 1 << 52
		b.refusedStart(s, vitrine.FailVMMFailed, "Cannot allocate memory")
	})
}

// version is the real programs', which the fakes say too.
func (b *bench) version() string {
	b.t.Helper()
	out, err := exec.CommandContext(b.t.Context(), os.Getenv("FIRECRACKER_BIN"), "--version").Output()
	must(b.t, err)
	var v string
	_, err = fmt.Sscanf(string(out), "Firecracker v%s", &v)
	must(b.t, err)
	return v
}

// holdTAP makes and holds the TAP of a namespace, as a VMM that was left there.
func holdTAP(t *testing.T, netns string) *os.File {
	t.Helper()
	type answer struct {
		f   *os.File
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		f, err := func() (*os.File, error) {
			ns, err := os.Open(netns)
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
			if err != nil {
				return nil, err
			}
			req, err := unix.NewIfreq(vm.TAPName)
			if err != nil {
				return nil, err
			}
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			return f, unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req)
		}()
		done <- answer{f, err}
	}()
	a := <-done
	must(t, a.err)
	return a.f
}

// A guest prints for ever. A gigabyte of it takes hours on a host that emulates,
// so what is shown is that nothing of what it costs grows with what it prints:
// what passes is what the limiter lets through, the rest is dropped and not kept,
// and the console's files and the time to end it are bounded.
func TestAFloodOnTheSerialConsoleIsBounded(t *testing.T) {
	const burst, rate, watched = 4 << 10, 1 << 10, 5 * time.Second
	firecracker.LimitSerial(t, burst, rate)
	b := newBench(t, "flood")
	began := time.Now()
	id := b.start(b.spec())
	<-time.After(watched) // a flood has no end to wait for
	raw, err := b.rt.Metrics(b.ctx(), id)
	must(t, err)
	most := int64(burst + rate + rate*time.Since(began).Seconds())
	var m struct {
		UART struct {
			Written int64 `json:"write_count"`
			Dropped int64 `json:"rate_limiter_dropped_bytes"`
		} `json:"uart"`
	}
	must(t, json.Unmarshal(raw, &m))
	passed := m.UART.Written - m.UART.Dropped
	t.Logf("in %s %d bytes passed and %d were dropped", watched, passed, m.UART.Dropped)
	if passed == 0 || m.UART.Dropped == 0 {
		t.Error("nothing passed or nothing was dropped: the test does not test")
	}
	if passed > most {
		t.Errorf("%d bytes passed, the limiter lets %d through", passed, most)
	}
	if n := int64(len(b.console(id))); n > most {
		t.Errorf("the console holds %d bytes, at most %d may have passed", n, most)
	}
	stop := time.Now()
	must(t, b.rt.Delete(b.ctx(), id))
	if took := time.Since(stop); took > 2*time.Second {
		t.Errorf("a machine that floods takes %s to delete", took)
	}
}

func TestAVMMThatWasTakenOverShowsNothingOfTheHost(t *testing.T) {
	b := newBench(t, "idle")
	id := b.up(b.spec())
	root := fmt.Sprintf("/proc/%d/root", b.inspect(id).PID)
	entries, err := os.ReadDir(root)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	t.Logf("its root holds %s", names)
	for _, host := range []string{"etc", "proc", "sys", "usr", "tmp", "var"} {
		if _, err := os.Lstat(filepath.Join(root, host)); err == nil {
			t.Errorf("the VMM sees the host's /%s", host)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "nsenter", "-t", fmt.Sprint(b.inspect(id).PID), "-n", "ip", "-o", "link").Output(); err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("a VMM without a network sees %q, %v", out, err)
	}
	// What such a VMM would do: links of its own where we read and connect.
	must(t, os.WriteFile("/run/secret", []byte("the host's"), 0o600))
	for _, name := range []string{"metrics", "v.sock", "log"} {
		must(t, os.Rename(filepath.Join(root, name), filepath.Join(root, name+".was")))
		must(t, os.Symlink("/run/secret", filepath.Join(root, name)))
	}
	if m, err := b.rt.Metrics(b.ctx(), id); err == nil {
		t.Errorf("metrics through a link: %s", m)
	}
	if c, err := b.rt.Dial(b.ctx(), id, vitrine.AgentPort); err == nil {
		c.Close()
		t.Error("Dial through a link")
	}
	must(t, b.rt.Stop(b.ctx(), id, 0))
	if strings.Contains(b.console(id), "the host's") {
		t.Error("the console holds a file of the host")
	}
	logs, err := b.rt.Logs(b.ctx(), id)
	must(t, err)
	for _, l := range logs {
		if strings.Contains(string(l.Data), "the host's") {
			t.Errorf("the log %s holds a file of the host", l.Name)
		}
	}
}

func TestNoSecretIsInTheProcessListOrTheLogs(t *testing.T) {
	b := newBench(t, "idle")
	id := b.up(b.spec())
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		text, _ := os.ReadFile(p)
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds the machine's secret", p)
		}
	}
	must(t, b.rt.Stop(b.ctx(), id, 0))
	logs, err := b.rt.Logs(b.ctx(), id)
	must(t, err)
	for _, l := range logs {
		if strings.Contains(string(l.Data), secret) {
			t.Errorf("the log %s holds the machine's secret", l.Name)
		}
	}
	r, err := b.rt.Console(b.ctx(), id)
	must(t, err)
	if all, _ := io.ReadAll(r); strings.Contains(string(all), secret) {
		t.Error("the console holds the machine's secret")
	}
}
