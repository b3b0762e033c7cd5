package runtimetest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// diskLimit fills what a machine may write.
func diskLimit(b *bench) {
	if b.f.Shared {
		b.t.Skip("the machine writes on the host's disk, and says so")
	}
	id := b.ready()
	r, err := b.exec(id, "dd if=/dev/zero of=/root/fill bs=1M count=1024; s=$?; rm -f /root/fill; exit $s")
	if err != nil || r.ExitCode == 0 {
		b.t.Errorf("a machine with a disk of %d MiB wrote 1 GiB (status %d, %v)", b.env.DiskBytes>>20, r.ExitCode, err)
	}
	if got := b.sh(id, "echo room again >/root/small && cat /root/small"); got != "room again" {
		b.t.Errorf("after that the machine reads %q", got)
	}
}

// network gives a machine one end of a veth pair, in a namespace made here, and
// lets it fetch a word from the other end, in another. A second machine in the
// same place follows: runsc takes the address away from the first's interface.
func network(b *bench) {
	mine, theirs := fmt.Sprintf("vt-test-%d-a", os.Getpid()), fmt.Sprintf("vt-test-%d-b", os.Getpid())
	ip := func(args ...string) {
		b.t.Helper()
		if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
			b.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	for _, ns := range []string{mine, theirs} {
		ip("netns", "add", ns)
		b.t.Cleanup(func() { ip("netns", "del", ns) })
		ip("-n", ns, "link", "set", "lo", "up")
	}
	const mac = "02:00:00:00:00:07"
	ip("-n", theirs, "link", "add", "eth0", "address", mac, "type", "veth", "peer", "name", "peer0", "netns", mine)
	ip("-n", mine, "addr", "add", "192.168.100.1/24", "dev", "peer0")
	ip("-n", mine, "link", "set", "peer0", "up")
	ip("-n", theirs, "addr", "add", "192.168.100.7/24", "dev", "eth0")
	ip("-n", theirs, "link", "set", "eth0", "up")
	ip("-n", theirs, "route", "add", "default", "via", "192.168.100.1")
	l := listenIn(b, mine, "192.168.100.1:0")
	defer l.Close()
	go sayWho(l)
	for range 2 {
		s := b.specOn(vitrine.Attachment{
			NetNS: "/run/netns/" + theirs, Device: "eth0", Address: netip.MustParsePrefix("192.168.100.7/24"), MAC: mac,
			Gateway: netip.MustParseAddr("192.168.100.1"), DNS: []netip.Addr{netip.MustParseAddr("192.168.100.1")},
		})
		must(b.t, b.rt.Create(b.ctx(), s))
		b.start(s.ID)
		b.awaitAgent(s.ID)
		fetch := fmt.Sprintf("busybox nc 192.168.100.1 %d </dev/null", l.Addr().(*net.TCPAddr).Port)
		if got := b.sh(s.ID, fetch); got != "you are 192.168.100.7" {
			b.t.Errorf("the other end says %q", got)
		}
		if got := b.sh(s.ID, "cat /etc/resolv.conf"); got != "nameserver 192.168.100.1" {
			b.t.Errorf("resolv.conf is %q", got)
		}
		must(b.t, b.rt.Delete(b.ctx(), s.ID))
	}
}

// sayWho tells whoever connects by which address.
func sayWho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "you are %s\n", c.RemoteAddr().(*net.TCPAddr).IP)
		c.Close()
	}
}

// listenIn listens in a network namespace: the socket stays where it was made.
func listenIn(b *bench, ns, at string) net.Listener {
	b.t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		f, err := os.Open("/run/netns/" + ns)
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", at)
		done <- result{l, err}
	}()
	r := <-done
	must(b.t, r.err)
	return r.l
}
