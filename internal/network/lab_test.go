package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// patience is how long an answer may take that must come, and quiet how long we
// wait for one that must not: answers here take microseconds.
const (
	patience = 5 * time.Second
	quiet    = 250 * time.Millisecond
)

// The addresses of the stand-ins. The internet's do not know the way to a
// guest's address, except where a test gives it.
const (
	uplinkNode = "198.51.100.2" // the node's public address
	internet   = "203.0.113.10"
	lanNode    = "10.20.0.2" // the node's address on its LAN
	lanHost    = "10.20.0.1"
	hostPort   = "8080" // a service of the node, on all its addresses
)

// lanTargets are what stands beside the node in every range that guests must
// not reach.
var lanTargets = []string{lanHost, "172.16.5.5", "192.168.7.1", "100.64.0.9", "169.254.169.254", "198.18.0.7"}

// node is "in the namespace of the test itself".
const node = ""

// lab is a node with an internet and a LAN of namespaces around it.
type lab struct {
	t   testing.TB
	net *Network
}

func sh(t testing.TB, command string, args ...any) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", fmt.Sprintf(command, args...)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", fmt.Sprintf(command, args...), err, out)
	}
	return string(out)
}

// newNetwork gives a Network like the product's on a bridge.
func newNetwork(t testing.TB, bridge, subnet string) *Network {
	t.Helper()
	n, err := New(Config{
		Bridge: bridge, Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix(subnet)},
		DNS: []netip.Addr{netip.MustParseAddr(lanHost), netip.MustParseAddr(internet)}, StateDir: "/run/vitrine",
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newLab makes the stand-ins, each with a TCP and a UDP service on ports 80 and
// 53 that answers with the address it sees, and a Network.
func newLab(t testing.TB) *lab {
	t.Helper()
	needNode(t)
	l := &lab{t: t, net: newNetwork(t, "fcbr0", "192.168.100.0/24")}
	for _, ns := range []string{"internet", "lan"} {
		if err := makeNetns(path(ns)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		sh(t, "for i in up0 lan0; do ip link delete $i; done")
		for _, ns := range []string{"internet", "lan"} {
			if err := removeNetns(path(ns)); err != nil {
				t.Error(err)
			}
		}
	})
	sh(t, `sysctl -qw net.ipv4.ip_forward=0 2>/dev/null || echo 0 > /proc/sys/net/ipv4/ip_forward
		ip link add up0 type veth peer name eth0 netns internet
		ip link add lan0 type veth peer name eth0 netns lan
		ip address add %s/24 dev up0; ip address add %s/24 dev lan0
		ip link set up0 up; ip link set lan0 up
		ip -n internet address add 198.51.100.1/24 dev eth0
		ip -n internet link set lo up; ip -n internet link set eth0 up
		ip -n internet address add %s/32 dev lo
		ip -n lan link set lo up; ip -n lan link set eth0 up
		ip -n lan address add %s/24 dev eth0
		ip -n lan route add default via %s
		ip route add default via 198.51.100.1`, uplinkNode, lanNode, internet, lanHost, lanNode)
	for _, a := range lanTargets[1:] {
		sh(t, "ip -n lan address add %s/32 dev lo; ip route add %s/32 via %s", a, a, lanHost)
	}
	for _, ns := range []string{"internet", "lan"} {
		for _, p := range []string{"80", "53"} {
			l.serve(ns, p)
		}
	}
	return l
}

// path is the namespace's file.
func path(ns string) string { return filepath.Join(netnsDir, ns) }

// in runs f on a thread in a namespace.
func in(ns string, f func() error) error {
	if ns == node {
		return f()
	}
	return aside(func() error {
		fd, err := unix.Open(path(ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// serve answers TCP and UDP on a port with the address that it sees.
func (l *lab) serve(ns, port string) {
	l.t.Helper()
	err := in(ns, func() error {
		tcp, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { tcp.Close() })
		go func() {
			for {
				c, err := tcp.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, hostOf(c.RemoteAddr()))
				c.Close()
			}
		}()
		// One for each address: an answer must come from where it was asked.
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; ip.To4() != nil {
				if err := l.serveUDP(net.JoinHostPort(ip.String(), port)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) serveUDP(at string) error {
	udp, err := net.ListenPacket("udp4", at)
	if err != nil {
		return err
	}
	l.t.Cleanup(func() { udp.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo([]byte(hostOf(from)), from)
		}
	}()
	return nil
}

func hostOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}

// reach asks a service from a namespace and gives the address that the service
// saw, or "" when no answer came within limit.
func reach(ns, proto, host, port string, limit time.Duration) string {
	var answer []byte
	_ = in(ns, func() error {
		c, err := net.DialTimeout(proto, net.JoinHostPort(host, port), limit)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		if proto == "udp4" {
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
			buf := make([]byte, 64)
			n, err := c.Read(buf)
			answer = buf[:n]
			return err
		}
		answer, err = io.ReadAll(c)
		return err
	})
	return string(answer)
}

// attach attaches machine number i and gives its namespace and attachment.
func (l *lab) attach(n *Network, i int) (ns string, a vitrine.Attachment) {
	l.t.Helper()
	id := fmt.Sprintf("mch_%026d", i)
	addr, err := n.pool.Address(i)
	if err != nil {
		l.t.Fatal(err)
	}
	a, err = n.Attach(l.t.Context(), id, i, addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.detach(n, i) })
	return filepath.Base(a.NetNS), a
}

func (l *lab) detach(n *Network, i int) {
	l.t.Helper()
	// t.Context is over when clean-ups run.
	if err := n.Detach(context.Background(), fmt.Sprintf("mch_%026d", i)); err != nil {
		l.t.Error(err)
	}
}

// traces is all that attachments may leave on a node: interfaces, addresses,
// routes, namespaces, rules, switches, notes.
func traces(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(sh(t, "ip -o link | sed 's/^[0-9]*: //; s/@.*//; s/:.*//' | sort; ip -4 -o route | sort; nft list ruleset; ls /run/netns"))
	keys, _ := filepath.Glob("/proc/sys/net/ipv4/conf/*/forwarding")
	sort.Strings(keys)
	for _, k := range append(keys, "/proc/sys/net/ipv4/ip_forward") {
		v, _ := os.ReadFile(k)
		fmt.Fprintf(&b, "%s=%s", k, v)
	}
	notes, _ := filepath.Glob("/run/vitrine/*.json")
	fmt.Fprintln(&b, notes)
	return b.String()
}
