package qemu_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/qemu"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// with is the factory with another configuration.
func with(change func(*qemu.Config)) runtimetest.Factory {
	return runtimetest.Factory{VM: factory.VM, New: func(e runtimetest.Env) (vitrine.Runtime, error) {
		c := config(e)
		change(&c)
		return qemu.New(c)
	}}
}

// program is a program in QEMU's place, which says QEMU's version.
func program(t *testing.T, script string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "qemu")
	text := "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'QEMU emulator version 7.2.22'; exit; }\n" + script + "\n"
	if err := os.WriteFile(at, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

func programmed(t *testing.T, script string) runtimetest.Factory {
	at := program(t, script)
	return with(func(c *qemu.Config) { c.Program = at })
}

// small mounts a file system that is soon full.
func small(t *testing.T, at, size string) string {
	t.Helper()
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	return at
}

// namespace makes a network namespace with an eth0, and gives its place.
func namespace(t *testing.T, name string) vitrine.Attachment {
	t.Helper()
	ns := fmt.Sprintf("vt-test-%d-%s", os.Getpid(), name)
	script := fmt.Sprintf("ip netns add %[1]s && ip -n %[1]s link add eth0 type veth peer name peer0", ns)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.CommandContext(context.Background(), "ip", "netns", "del", ns).Run() })
	return vitrine.Attachment{
		NetNS: "/run/netns/" + ns, Device: "eth0", Address: netip.MustParsePrefix("192.168.100.9/24"),
		MAC: "02:00:00:00:00:09", Gateway: netip.MustParseAddr("192.168.100.1"),
	}
}

// holdTAP opens the machine's TAP in a namespace, as a VMM that is still there
// would, until the test is over.
func holdTAP(t *testing.T, at vitrine.Attachment) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		ns, err := os.Open(at.NetNS)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		var tun *os.File
		if err == nil {
			tun, err = os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		}
		if err == nil {
			req, _ := unix.NewIfreq(vm.TAPName)
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			err = unix.IoctlIfreq(int(tun.Fd()), unix.TUNSETIFF, req)
			t.Cleanup(func() { tun.Close() })
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWhatStandsInAStartsWayIsNamed(t *testing.T) {
	runtimetest.NeedProgram(t, "qemu-system-x86_64", "apt-get install qemu-system-x86")
	runtimetest.Faults(t, []runtimetest.Fault{
		{
			Name: "the guest kernel is not there", Code: vitrine.FailKernelMissing, Says: "nowhere",
			Factory: with(func(c *qemu.Config) {
				source := c.Files
				c.Files = func(ctx context.Context, s vitrine.MachineSpec) (vm.Files, error) {
					f, err := source(ctx, s)
					f.Kernel = "/nowhere/vmlinux"
					return f, err
				}
			}),
		},
		{
			Name: "the image has no disk", Code: vitrine.FailImageMissing, Says: "disk",
			Factory: with(func(c *qemu.Config) {
				source := c.Files
				c.Files = func(ctx context.Context, s vitrine.MachineSpec) (vm.Files, error) {
					f, err := source(ctx, s)
					f.Disk += ".gone"
					return f, err
				}
			}),
		},
		{
			Name: "the TAP is held by another process", Code: vitrine.FailHostNetworkFailed, Says: "another process holds it", Factory: factory,
			Net: func(t *testing.T) vitrine.Attachment {
				at := namespace(t, "busy")
				holdTAP(t, at)
				return at
			},
		},
		{
			Name: "the machine has no interface to join", Code: vitrine.FailHostNetworkFailed, Says: "eth7", Factory: factory,
			Net: func(t *testing.T) vitrine.Attachment {
				at := namespace(t, "none")
				at.Device = "eth7"
				return at
			},
		},
		{
			Name: "the machines' directory is full", Code: vitrine.FailHostDiskFull, Says: "no room", Factory: factory,
			Env: func(t *testing.T, e *runtimetest.Env) { small(t, e.BaseDir, "64k") },
		},
		{
			Name: "the cache's directory is full", Code: vitrine.FailHostDiskFull, Says: "no room", Factory: factory,
			Env: func(t *testing.T, e *runtimetest.Env) { small(t, e.Guest.CacheDir, "1m") },
		},
		{
			Name: "QEMU dies at once", Code: vitrine.FailVMMFailed, Says: "left with status 3", Evidence: "qemu: no accelerator found",
			Factory: programmed(t, "echo qemu: no accelerator found >&2; exit 3"),
		},
		{
			Name: "QEMU is killed at once", Code: vitrine.FailVMMFailed, Says: "killed by signal 9",
			Factory: programmed(t, "kill -9 $$"),
		},
		{
			Name: "QEMU never opens its control socket", Code: vitrine.FailVMMFailed, Says: "did not answer",
			Factory: programmed(t, "exec sleep 1000"),
		},
		{
			Name: "QEMU does not know an option", Code: vitrine.FailVMMFailed, Says: "left with status 1", Evidence: "invalid option",
			Factory: programmed(t, `exec qemu-system-x86_64 -no-such-option "$@"`),
		},
		{
			Name: "QEMU is not installed", Code: vitrine.FailRuntimeMissing, Says: "not installed",
			Factory: with(func(c *qemu.Config) { c.Program = "no-such-qemu" }),
		},
		{
			Name: "what is called QEMU is something else", Code: vitrine.FailRuntimeMissing, Says: "version",
			Factory: with(func(c *qemu.Config) { c.Program = "/bin/echo" }),
		},
	})
}

func TestAStartThatWasGivenUpOnCanBeMadeAgain(t *testing.T) {
	runtimetest.NeedProgram(t, "qemu-system-x86_64", "apt-get install qemu-system-x86")
	ill := filepath.Join(t.TempDir(), "ill")
	if err := os.WriteFile(ill, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := programmed(t, "[ -e "+ill+` ] && exec sleep 1000; exec qemu-system-x86_64 "$@"`)
	runtimetest.CutShort(t, f, func() { _ = os.Remove(ill) })
}

func TestTheProbeSaysWhyNotAndWhatToType(t *testing.T) {
	kernel := func(context.Context, vitrine.MachineSpec) (vm.Files, error) { return vm.Files{}, nil }
	none := func(context.Context, vitrine.MachineSpec) (vm.Files, error) {
		return vm.Files{}, vitrine.NewFailure(vitrine.FailKernelMissing, nil, "no kernel image").AsError()
	}
	for _, c := range []struct {
		name, program, reason, remedy string
		files                         vm.Source
	}{
		{"QEMU is not installed", "no-such-qemu", "not installed", "apt-get install qemu-system-x86", kernel},
		{"it is not QEMU", "/bin/true", "version", "apt-get install qemu-system-x86", kernel},
		{"it does not run", "/bin/false", "does not run", "apt-get install qemu-system-x86", kernel},
		{"there is no guest kernel", program(t, "exit 1"), "no guest kernel", "vitrine image build", none},
		{"QEMU leaves at once", program(t, "echo no such machine; exit 1"), "no such machine", "VITRINE_RUNTIME", kernel},
		{"QEMU leaves well without a guest", program(t, `sleep 0.1; exit 0`), "left", "VITRINE_RUNTIME", kernel},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("machines need root")
			}
			agent := filepath.Join(t.TempDir(), "agent")
			if err := os.WriteFile(agent, nil, 0o755); err != nil {
				t.Fatal(err)
			}
			e := runtimetest.Env{
				BaseDir: t.TempDir(), CgroupParent: fmt.Sprintf("/vitrine-test-%d-probe", os.Getpid()),
				AgentPath: agent, ShimCommand: []string{"/proc/self/exe", "shim"},
			}
			e.Guest.InitPath, e.Guest.CacheDir = agent, t.TempDir()
			cfg := config(e)
			cfg.Program, cfg.Files = c.program, c.files
			rt, err := qemu.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			p := rt.Probe(t.Context())
			if p.OK || !strings.Contains(p.Reason, c.reason) || !strings.Contains(p.Remedy, c.remedy) {
				t.Errorf("the probe says %+v, want %q and %q", p, c.reason, c.remedy)
			}
			if left, _ := os.ReadDir(e.BaseDir); len(left) > 0 {
				t.Errorf("the probe left %v", left)
			}
		})
	}
}

func TestIsolationIsWhatTheHostProves(t *testing.T) {
	for name, c := range map[string]struct {
		kvm  func(context.Context) error
		want vitrine.Isolation
	}{
		"no proof is given":   {nil, vitrine.IsolationEmulatedVM},
		"KVM runs guests":     {func(context.Context) error { return nil }, vitrine.IsolationMicroVM},
		"KVM is emulated too": {func(context.Context) error { return errors.New("too slow") }, vitrine.IsolationEmulatedVM},
	} {
		asked := 0
		e := runtimetest.Env{BaseDir: t.TempDir(), AgentPath: "/bin/true", ShimCommand: []string{"x"}}
		e.Guest.InitPath, e.Guest.CacheDir = "/bin/true", t.TempDir()
		cfg := config(e)
		if c.kvm != nil {
			cfg.KVM = func(ctx context.Context) error { asked++; return c.kvm(ctx) }
		}
		rt, err := qemu.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := rt.Isolation(); got != c.want {
				t.Errorf("%s: the isolation is %s, want %s", name, got, c.want)
			}
		}
		if asked > 1 {
			t.Errorf("%s: the host was asked %d times", name, asked)
		}
	}
}
