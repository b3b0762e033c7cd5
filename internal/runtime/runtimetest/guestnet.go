package runtimetest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// script runs a shell script on the node.
func (b *bench) script(text string, args ...any) string {
	b.t.Helper()
	out, err := exec.CommandContext(b.ctx(), "sh", "-ec", fmt.Sprintf(text, args...)).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", fmt.Sprintf(text, args...), err, out)
	}
	return string(out)
}

// labs is held while there is one.
var labs sync.Mutex

// lab is the product's network on the node, with an internet of one address
// behind it. It is for one case at a time: the bridge is the node's.
func (b *bench) lab() vitrine.Network {
	b.t.Helper()
	labs.Lock()
	b.t.Cleanup(labs.Unlock)
	n, err := b.f.VM.Network(filepath.Join(b.t.TempDir(), "net"))
	must(b.t, err)
	b.script(`ip netns add vt-internet
		ip link add up0 type veth peer name eth0 netns vt-internet
		ip addr add 198.51.100.2/24 dev up0; ip link set up0 up; ip link set lo up
		ip -n vt-internet addr add 198.51.100.1/24 dev eth0
		ip -n vt-internet addr add 203.0.113.10/32 dev lo
		ip -n vt-internet link set lo up; ip -n vt-internet link set eth0 up
		ip route add default via 198.51.100.1`)
	b.t.Cleanup(func() { b.script("ip link del up0; ip netns del vt-internet") })
	l := listenIn(b, "vt-internet", "203.0.113.10:80")
	b.t.Cleanup(func() { l.Close() })
	go sayWho(l)
	return n
}

// attach gives a machine's spec a place on the network, and takes it off when the
// test is over, after its machine.
func (b *bench) attach(n vitrine.Network, slot int) vitrine.MachineSpec {
	b.t.Helper()
	id := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	addr := netip.MustParseAddr("192.168.100." + strconv.Itoa(slot+1))
	at, err := n.Attach(b.ctx(), id, slot, addr)
	must(b.t, err)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := b.rt.Delete(ctx, id); err != nil {
			b.t.Error(err)
		}
		if err := n.Detach(ctx, id); err != nil {
			b.t.Error(err)
		}
		if _, err := os.Stat(at.NetNS); err == nil {
			b.t.Errorf("the machine's namespace %s is left", at.NetNS)
		}
	})
	s := b.specOn(at)
	s.ID, s.Slot = id, slot
	return s
}

// guestsApart tries from inside two guests what they may and may not reach.
// Each thing that must fail is first shown to work for one who may.
func guestsApart(b *bench) {
	n := b.lab()
	one, two := b.attach(n, 1), b.attach(n, 2)
	for _, s := range []vitrine.MachineSpec{one, two} {
		must(b.t, b.rt.Create(b.ctx(), s))
		b.start(s.ID)
	}
	b.awaitAgent(one.ID)
	b.awaitAgent(two.ID)
	mine, theirs := one.Net.Address.Addr().String(), two.Net.Address.Addr().String()
	// What must not come is waited for for three seconds, and longer where a guest is
	// slower; what must come, for ten times as long.
	patience := int(limit.Seconds() / 40)
	ask := func(id, host, port string, wait int) string {
		b.t.Helper()
		r, err := b.exec(id, "busybox nc -w "+itoa(wait)+" "+host+" "+port+" </dev/null")
		must(b.t, err)
		return strings.TrimSpace(string(r.Stdout))
	}
	fetch := func(id, host, port string) string { b.t.Helper(); return ask(id, host, port, 10*patience) }
	refused := func(id, host, port string) string { b.t.Helper(); return ask(id, host, port, patience) }
	const node = "you are 198.51.100.2"
	for _, s := range []vitrine.MachineSpec{one, two} {
		if got := fetch(s.ID, "203.0.113.10", "80"); got != node {
			b.t.Errorf("the internet tells a guest %q, want the node's address", got)
		}
		if got := b.sh(s.ID, "cat /sys/class/net/eth0/address"); got != s.Net.MAC {
			b.t.Errorf("the guest's NIC has the MAC %s, want %s", got, s.Net.MAC)
		}
	}
	b.sh(two.ID, "busybox nc -ll -p 8080 -e echo here >/dev/null 2>&1 &")
	b.await("the node reaches the second guest's port", func() bool {
		return strings.Contains(b.script("busybox nc -w %d %s 8080 </dev/null || true", patience, theirs), "here")
	})
	if got := refused(one.ID, theirs, "8080"); got != "" {
		b.t.Errorf("one guest reaches the other: %q", got)
	}
	// A neighbour that is told by hand needs no ARP to be found.
	b.sh(one.ID, "busybox arp -s "+theirs+" "+two.Net.MAC)
	if got := refused(one.ID, theirs, "8080"); got != "" {
		b.t.Errorf("one guest reaches the other past ARP: %q", got)
	}
	for _, c := range []struct{ name, disguise, undo string }{
		{
			"the other guest's address", "busybox ip addr del " + mine + "/24 dev eth0; busybox ip addr add " + theirs + "/24 dev eth0",
			"busybox ip addr del " + theirs + "/24 dev eth0; busybox ip addr add " + mine + "/24 dev eth0",
		},
		{
			"the other guest's MAC", "busybox ip link set eth0 down; busybox ip link set eth0 address " + two.Net.MAC + "; busybox ip link set eth0 up",
			"busybox ip link set eth0 down; busybox ip link set eth0 address " + one.Net.MAC + "; busybox ip link set eth0 up",
		},
	} {
		route := "; busybox ip route replace default via " + one.Net.Gateway.String()
		b.sh(one.ID, c.disguise+route)
		if got := refused(one.ID, "203.0.113.10", "80"); got != "" {
			b.t.Errorf("with %s a guest is let out: %q", c.name, got)
		}
		b.sh(one.ID, c.undo+route)
		if got := fetch(one.ID, "203.0.113.10", "80"); got != node {
			b.t.Errorf("as itself again, after %s, the internet tells it %q", c.name, got)
		}
	}
	if got := fetch(two.ID, "203.0.113.10", "80"); got != node {
		b.t.Errorf("after all that the internet tells the other guest %q", got)
	}
}

// tapState looks at the TAP of a machine that runs, and for one that is gone.
func tapState(b *bench) {
	ns := fmt.Sprintf("vt-test-%d-tap", os.Getpid())
	b.script(`ip netns add %[1]s
		ip -n %[1]s link add eth0 address 02:00:00:00:00:09 mtu 1400 type veth peer name peer0
		ip -n %[1]s addr add 192.168.100.9/24 dev eth0; ip -n %[1]s link set eth0 up`, ns)
	b.t.Cleanup(func() { b.script("ip netns del %s", ns) })
	s := b.specOn(vitrine.Attachment{
		NetNS: "/run/netns/" + ns, Device: "eth0", Address: netip.MustParsePrefix("192.168.100.9/24"),
		MAC: "02:00:00:00:00:09", Gateway: netip.MustParseAddr("192.168.100.1"),
	})
	must(b.t, b.rt.Create(b.ctx(), s))
	b.start(s.ID)
	about := b.script("ip -n %s -d link show %s", ns, vm.TAPName)
	uid := strconv.Itoa(vm.UID(s.Slot))
	for _, want := range []string{"tun type tap", "pi off", "vnet_hdr on", "persist on", "user " + uid, "mtu 1400", "UP"} {
		if !strings.Contains(about, want) {
			b.t.Errorf("the TAP is not %q: %s", want, about)
		}
	}
	if addrs := b.script("ip -n %s -o addr show dev eth0", ns); strings.Contains(addrs, "192.168.100.9") {
		b.t.Errorf("the namespace has kept the guest's address: %s", addrs)
	}
	if here, err := os.Stat("/sys/class/net/" + vm.TAPName); err == nil {
		b.t.Errorf("there is a TAP on the node: %v", here)
	}
	in, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", b.inspect(s.ID).PID))
	if want := b.script("stat -Lc %%i /run/netns/%s", ns); in != "net:["+strings.TrimSpace(want)+"]" {
		b.t.Errorf("the VMM is in %s, its machine's namespace is %s", in, want)
	}
	// Killed, the TAP can be used again at once; Delete has waited for that.
	for range 3 {
		p, err := os.FindProcess(b.inspect(s.ID).PID)
		must(b.t, err)
		_ = p.Kill()
		must(b.t, b.rt.Delete(b.ctx(), s.ID))
		next := b.specOn(s.Net)
		next.Slot = s.Slot
		s = next
		must(b.t, b.rt.Create(b.ctx(), s))
		b.start(s.ID)
	}
	must(b.t, b.rt.Delete(b.ctx(), s.ID))
}
