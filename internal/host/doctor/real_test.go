package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

const hostEnv = "VITRINE_DOCTOR_TEST"

// TestMain runs all tests in network and mount namespaces of their own, so that
// the faults that they make are really there, and on no host of anybody's.
func TestMain(m *testing.M) {
	if os.Getenv(hostEnv) != "" {
		err := errors.Join(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), exec.Command("ip", "link", "set", "lo", "up").Run())
		if err != nil {
			fmt.Fprintln(os.Stderr, "making the tests' host:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // needHost skips
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), hostEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "namespaces cannot be made here:", err)
	os.Exit(m.Run())
}

func needHost(t *testing.T) {
	t.Helper()
	if os.Getenv(hostEnv) == "" {
		t.Skip("needs root and namespaces")
	}
}

func sh(t *testing.T, command string, args ...any) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", fmt.Sprintf(command, args...)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func want(t *testing.T, f vitrine.Finding, v vitrine.Verdict, says string) {
	t.Helper()
	if f.Result != v || !strings.Contains(f.Detail, says) {
		t.Errorf("%s: %s, %s → %s; want %s, %q", f.Check, f.Result, f.Detail, f.Remedy, v, says)
	}
}

func TestAPortIsTaken(t *testing.T) {
	needHost(t)
	list := func() []Port {
		return []Port{{What: "page", Network: "tcp", Addr: "127.0.0.1:4000", Setting: "VITRINE_LISTEN"}, {What: "TURN", Network: "udp", Addr: "127.0.0.1:3478", Setting: "VITRINE_TURN_PORT"}}
	}
	want(t, ReadPorts(t.Context(), list(), false).Judge(), "pass", "4000/tcp")
	tcp, err := net.Listen("tcp", "127.0.0.1:4000")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:3478")
	if err != nil {
		t.Fatal(err)
	}
	f := ReadPorts(t.Context(), list(), false).Judge()
	want(t, f, "fail", "127.0.0.1:4000/tcp for page (address already in use), 127.0.0.1:3478/udp for TURN")
	want(t, ReadTURN(t.Context(), "127.0.0.1", 3478, nil, nil, false).Judge(), "warn", "address already in use")
	tcp.Close()
	udp.Close()
	want(t, ReadPorts(t.Context(), list(), false).Judge(), "pass", "3478/udp")
}

func TestNftIsNotInstalled(t *testing.T) {
	needHost(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	want(t, ReadNftables(t.Context()).Judge(), "pass", "nftables v")
	t.Setenv("PATH", t.TempDir())
	want(t, ReadNftables(t.Context()).Judge(), "fail", "not on PATH")
}

func TestTheKernelRefusesTheFirewall(t *testing.T) {
	needHost(t)
	dir := t.TempDir()
	// What nft says on a kernel that was built without nf_tables_bridge.
	script := "#!/bin/sh\n[ \"$1\" = --version ] && echo nftables v9 && exit 0\necho 'Error: Could not process rule: Operation not supported' >&2; exit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	want(t, ReadNftables(t.Context()).Judge(), "fail", "Operation not supported")
}

func TestTheSubnetIsSomebodyElses(t *testing.T) {
	needHost(t)
	prefix := netip.MustParsePrefix("192.168.100.0/24")
	judge := func() vitrine.Finding { return ReadSubnet(prefix, "fcbr0").Judge() }
	want(t, judge(), "pass", "nobody else's")
	sh(t, "ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up; ip address add 192.168.0.1/16 dev other0")
	want(t, judge(), "fail", "other0 has the address 192.168.0.1/16")
	sh(t, "ip address del 192.168.0.1/16 dev other0; ip address add 10.9.9.1/24 dev other0; ip route add 192.168.100.0/25 via 10.9.9.2")
	want(t, judge(), "fail", "route to 192.168.100.0/25 by other0")
	sh(t, "ip link delete other0; ip link add fcbr0 type bridge; ip address add 192.168.100.1/24 dev fcbr0")
	want(t, judge(), "pass", "nobody else's")
	want(t, ReadBridge("fcbr0").Judge(), "fail", "not ours")
	sh(t, "ip link set fcbr0 alias vitrine/fcbr0")
	want(t, ReadBridge("fcbr0").Judge(), "pass", "ours")
	sh(t, "ip link delete fcbr0")
	want(t, ReadBridge("fcbr0").Judge(), "pass", "free")
}

func TestTheDiskFillsUp(t *testing.T) {
	needHost(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64M,nr_inodes=100000"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, 0) }()
	judge := func() vitrine.Finding {
		return ReadDisk("data directory", dir+"/not/made/yet", 24, 8, "vitrine gc").Judge()
	}
	want(t, judge(), "pass", "64 of 64 MB free")
	for _, c := range []struct {
		fillMB int
		v      vitrine.Verdict
		says   string
	}{{20, "warn", "under 24 MB no session is started"}, {50, "fail", "no session is started"}, {60, "fail", "running sessions are ended"}} {
		if err := os.WriteFile(dir+"/big", make([]byte, c.fillMB<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, judge(), c.v, c.says)
	}
}

func TestTURNIsReachedOrFiltered(t *testing.T) {
	needHost(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	sh(t, "ip link add pub0 type veth peer name pub1; ip link set pub0 up; ip link set pub1 up; ip address add 198.51.100.7/24 dev pub0")
	defer sh(t, "ip link delete pub0; nft flush ruleset")
	a := netip.MustParseAddr("198.51.100.7")
	ask := func(running bool) vitrine.Finding {
		return ReadTURN(t.Context(), "", 3478, []netip.Addr{a}, []netip.Addr{a}, running).Judge()
	}
	want(t, ask(false), "pass", "asked of ourselves by UDP and TCP at 198.51.100.7:3478")
	want(t, ask(true), "fail", "connection refused")
	sh(t, "nft 'add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in udp dport 3478 drop'")
	began := time.Now()
	want(t, ask(false), "fail", "UDP no answer within 2s, TCP ok")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	sh(t, "nft flush ruleset")
	// The daemon: STUN as a server of any make answers it, and then nonsense.
	stop, err := answer(context.Background(), "", 3478)
	if err != nil {
		t.Fatal(err)
	}
	want(t, ask(true), "pass", "the daemon answers")
	stop()
	other, err := net.ListenPacket("udp", ":3478")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		buf := make([]byte, 100)
		if _, from, err := other.ReadFrom(buf); err == nil {
			_, _ = other.WriteTo([]byte("HTTP/1.1 400"), from)
		}
	}()
	want(t, ask(true), "fail", "something else answers there")
}

func TestTheClockAgainstOurFiles(t *testing.T) {
	dir := t.TempDir()
	c := ReadClock(dir, time.Time{})
	if c.Judge().Result == "fail" {
		t.Errorf("the clock of this host: %+v", c.Judge())
	}
	file := filepath.Join(dir, "vitrine.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(3 * time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	want(t, ReadClock(dir, time.Time{}).Judge(), "fail", "behind "+file)
	want(t, ReadClock(t.TempDir(), time.Now().Add(time.Hour)).Judge(), "fail", "behind the newest session")
}

func TestThisHostsKernelIsRead(t *testing.T) {
	dir := t.TempDir()
	k := ReadKernel(dir, dir)
	if k.Release == "" || len(k.Filesystems) < 5 || k.DataFS == "" || k.MaxUserNamespaces < 0 {
		t.Errorf("%+v", k)
	}
	m := ReadMemory(0, 0, 0)
	if m.Total < 100 || m.Available > m.Total || m.Available == 0 {
		t.Errorf("%+v", m)
	}
	if c := ReadCgroups(); os.Getenv(hostEnv) != "" && c.Judge().Result != "pass" {
		t.Errorf("%+v", c)
	}
}
