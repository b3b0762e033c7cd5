package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vitrine-dev/vitrine"
)

// failureOf finds the failure in err, or ends the test.
func failureOf(t *testing.T, err error) *vitrine.Failure {
	t.Helper()
	var f *vitrine.Failure
	if !errors.As(err, &f) || f.Code != vitrine.FailHostNetworkFailed {
		t.Fatalf("got %v, want host_network_failed", err)
	}
	return f
}

func TestNothingIsLeftAfterTheLastMachine(t *testing.T) {
	l := newLab(t)
	clean := traces(t)
	for _, forwards := range []bool{false, true} {
		t.Run(fmt.Sprintf("host forwards already: %v", forwards), func(t *testing.T) {
			if forwards {
				sh(t, "echo 1 > /proc/sys/net/ipv4/ip_forward")
				clean = traces(t)
			}
			for i := 1; i <= 3; i++ {
				l.attach(l.net, i)
			}
			if sysctl("ipv4/conf/lan0/forwarding") != "1" || sysctl("ipv4/conf/up0/forwarding") != "1" {
				t.Error("forwarding is off on a way out")
			}
			l.detach(l.net, 2)
			ids, err := l.net.List(t.Context())
			if err != nil || len(ids) != 2 {
				t.Errorf("List = %v, %v", ids, err)
			}
			if rules := sh(t, "nft list ruleset"); strings.Contains(rules, l.net.portName("mch_00000000000000000000000002")) {
				t.Errorf("the rules still know the machine that went:\n%s", rules)
			}
			l.detach(l.net, 1)
			l.detach(l.net, 3)
			l.detach(l.net, 3)
			if now := traces(t); now != clean {
				t.Errorf("left behind; before:\n%s\nnow:\n%s", clean, now)
			}
		})
	}
}

// TestDaemonKilledAtAnyPoint makes what a killed daemon may leave and lets a new
// one find, finish or remove it.
func TestDaemonKilledAtAnyPoint(t *testing.T) {
	l := newLab(t)
	clean := traces(t)
	const id = "mch_00000000000000000000000001"
	cases := []struct {
		name string
		harm func(n *Network, ns string)
	}{
		{"after all was made", func(*Network, string) {}},
		{"with the namespace not bound yet", func(n *Network, ns string) {
			sh(t, "ip link delete %s; umount /run/netns/%s", n.portName(id), ns)
		}},
		{"with the pair not made yet", func(n *Network, _ string) { sh(t, "ip link delete %s", n.portName(id)) }},
		{"with the pair not named yet", func(n *Network, _ string) { sh(t, "ip link set %s alias ''", n.portName(id)) }},
		{"with the port not in the bridge yet", func(n *Network, _ string) { sh(t, "ip link set %s nomaster down", n.portName(id)) }},
		{"with the rules not written yet", func(n *Network, _ string) { sh(t, "nft flush ruleset") }},
		{"with the bridge without an address", func(n *Network, _ string) { sh(t, "ip address flush dev fcbr0; ip link set fcbr0 down") }},
		{"and somebody took the bridge away", func(n *Network, _ string) { sh(t, "ip link delete fcbr0") }},
		{"and somebody took the namespace's name away", func(n *Network, ns string) { sh(t, "ip netns delete %s", ns) }},
	}
	for _, c := range cases {
		for _, then := range []string{"removed", "finished"} {
			t.Run(c.name+", "+then, func(t *testing.T) {
				ns, _ := l.attach(newNetwork(t, "fcbr0", "192.168.100.0/24"), 1)
				c.harm(l.net, ns)
				next := newNetwork(t, "fcbr0", "192.168.100.0/24")
				if ids, err := next.List(t.Context()); err != nil || !slices.Equal(ids, []string{id}) {
					// The one thing that may be gone altogether: the pair of a
					// namespace whose name was its last hold.
					if !strings.Contains(c.name, "name away") || len(ids) != 0 {
						t.Fatalf("List = %v, %v", ids, err)
					}
				}
				if then == "finished" {
					ns, _ := l.attach(next, 1)
					for _, proto := range protocols {
						if reach(ns, proto, internet, "80", patience) != uplinkNode {
							t.Errorf("the machine does not reach the internet over %s", proto)
						}
						if reach(ns, proto, lanHost, "80", quiet) != "" {
							t.Errorf("the machine reaches the LAN over %s", proto)
						}
					}
				}
				l.detach(next, 1)
				if now := traces(t); now != clean {
					t.Errorf("left behind; before:\n%s\nnow:\n%s", clean, now)
				}
			})
		}
	}
}

func TestFirewallReloadedUnderRunningMachines(t *testing.T) {
	l := newLab(t)
	ns, _ := l.attach(l.net, 1)
	sh(t, "nft flush ruleset")
	if err := l.net.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reach(ns, "tcp4", internet, "80", patience) == "" {
		t.Error("the machine does not reach the internet")
	}
	if reach(ns, "udp4", lanHost, "80", quiet) != "" {
		t.Error("the machine reaches the LAN")
	}
	l.detach(l.net, 1)
	if err := l.net.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rules := sh(t, "nft list ruleset"); rules != "" {
		t.Errorf("rules without a machine:\n%s", rules)
	}
}

// TestAttachAgain is what gVisor needs: the address back before a start, and
// left alone while the sandbox has it.
func TestAttachAgain(t *testing.T) {
	l := newLab(t)
	ns, a := l.attach(l.net, 1)
	address := func() string { return sh(t, "ip -n %s -4 -o address show dev eth0", ns) }
	sandbox := exec.Command("ip", "netns", "exec", ns, "cat")
	sandbox.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	hold, err := sandbox.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sandbox.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sandbox.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(hold, "x")
	if _, err := out.Read(make([]byte, 1)); err != nil { // it is in the namespace now
		t.Fatal(err)
	}
	sh(t, "ip -n %s address flush dev eth0", ns)
	l.attach(l.net, 1)
	if got := address(); got != "" {
		t.Errorf("the address was put back under a running sandbox: %s", got)
	}
	hold.Close()
	if err := sandbox.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, again := l.attach(l.net, 1); again.Address != a.Address || again.MAC != a.MAC || again.NetNS != a.NetNS {
		t.Errorf("another attachment: %v, was %v", again, a)
	}
	if got := address(); !strings.Contains(got, a.Address.String()) {
		t.Errorf("the address is not back: %q", got)
	}
	if reach(ns, "tcp4", internet, "80", patience) == "" {
		t.Error("no way out after the second Attach")
	}
}

func TestSomebodyElsesThingsAreInTheWay(t *testing.T) {
	l := newLab(t)
	cases := []struct {
		name, make, remove, names, remedy string
	}{
		{"a bridge of the same name", "ip link add fcbr0 type bridge", "ip link delete fcbr0", "fcbr0", "VITRINE_BRIDGE"},
		{"another interface of the same name", "ip link add fcbr0 type veth peer name other1", "ip link delete fcbr0", "veth", "VITRINE_BRIDGE"},
		{"an address in the subnet", "ip link add other0 type veth peer name other1; ip link set other1 up; ip address add 192.168.100.77/32 dev other0; ip link set other0 up", "ip link delete other0", "192.168.100.77", "VITRINE_SUBNET"},
		{"a subnet around it", "ip link add other0 type veth peer name other1; ip link set other1 up; ip address add 192.168.0.1/16 dev other0; ip link set other0 up", "ip link delete other0", "other0", "VITRINE_SUBNET"},
		{"a route into the subnet", "ip route add 192.168.100.128/25 via " + lanHost, "ip route del 192.168.100.128/25", "lan0", "VITRINE_SUBNET"},
	}
	addr, _ := l.net.pool.Address(1)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sh(t, "%s", c.make)
			defer sh(t, "%s", c.remove)
			before := traces(t)
			for what, err := range map[string]error{
				"Check":  l.net.Check(t.Context()),
				"Attach": func() error { _, err := l.net.Attach(t.Context(), "mch_x", 1, addr); return err }(),
			} {
				f := failureOf(t, err)
				if !strings.Contains(f.Message, c.names) || !strings.Contains(f.Remedy, c.remedy) {
					t.Errorf("%s: %s; remedy %s", what, f.Message, f.Remedy)
				}
			}
			if now := traces(t); now != before {
				t.Errorf("changed; before:\n%s\nnow:\n%s", before, now)
			}
		})
	}
	t.Run("Docker's firewall drops what it does not know", func(t *testing.T) {
		sh(t, "nft 'add table ip filter; add chain ip filter DOCKER-USER; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'")
		defer sh(t, "nft delete table ip filter")
		if f := failureOf(t, l.net.Check(t.Context())); !strings.Contains(f.Remedy, "DOCKER-USER -i fcbr0") {
			t.Errorf("remedy: %s", f.Remedy)
		}
		sh(t, `nft 'add rule ip filter FORWARD iifname "fcbr0" accept'`)
		if err := l.net.Check(t.Context()); err != nil {
			t.Errorf("after the remedy: %v", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		before := traces(t)
		if err := l.net.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if now := traces(t); now != before {
			t.Errorf("Check changed something; before:\n%s\nnow:\n%s", before, now)
		}
	})
}

func TestAttachThatFailsLeavesNothing(t *testing.T) {
	l := newLab(t)
	clean := traces(t)
	addr, _ := l.net.pool.Address(1)
	t.Run("no nft on the host", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv("PATH", dir)
		_, err := l.net.Attach(t.Context(), "mch_x", 1, addr)
		if f := failureOf(t, err); !strings.Contains(f.Remedy, "nftables") {
			t.Errorf("remedy: %s", f.Remedy)
		}
	})
	t.Run("the caller gave up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.net.Attach(ctx, "mch_x", 1, addr); err == nil {
			t.Error("no error")
		}
	})
	t.Run("the address is another machine's", func(t *testing.T) {
		l.attach(l.net, 1)
		_, err := l.net.Attach(t.Context(), "mch_x", 1, addr)
		if f := failureOf(t, err); !strings.Contains(f.Message, "mch_00000000000000000000000001") {
			t.Errorf("message: %s", f.Message)
		}
		l.detach(l.net, 1)
	})
	for name, f := range map[string]func() error{
		"the slot has another address": func() error { _, err := l.net.Attach(t.Context(), "mch_x", 2, addr); return err },
		"no slot at all":               func() error { _, err := l.net.Attach(t.Context(), "mch_x", 0, addr); return err },
		"an id that is a path":         func() error { _, err := l.net.Attach(t.Context(), "../../etc/x", 1, addr); return err },
		"an id that is a path, gone":   func() error { return l.net.Detach(t.Context(), "../../etc/x") },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := l.net.Detach(t.Context(), "mch_neverwas"); err != nil {
		t.Errorf("detach what is not there: %v", err)
	}
	if now := traces(t); now != clean {
		t.Errorf("left behind; before:\n%s\nnow:\n%s", clean, now)
	}
}

// TestManyAtOnce comes and goes from many goroutines of two daemons.
func TestManyAtOnce(t *testing.T) {
	l := newLab(t)
	clean := traces(t)
	daemons := []*Network{l.net, newNetwork(t, "fcbr0", "192.168.100.0/24")}
	var wg sync.WaitGroup
	for i := 1; i <= 16; i++ {
		wg.Go(func() {
			n := daemons[i%2]
			id := fmt.Sprintf("mch_%d", i)
			addr, _ := n.pool.Address(i)
			if _, err := n.Attach(t.Context(), id, i, addr); err != nil {
				t.Error(err)
			}
			if err := daemons[(i+1)%2].Detach(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if now := traces(t); now != clean {
		t.Errorf("left behind; before:\n%s\nnow:\n%s", clean, now)
	}
}

// BenchmarkAttach measures one machine's attachment on a bridge that is there.
func BenchmarkAttach(b *testing.B) {
	needNode(b)
	n := newNetwork(b, "fcbr0", "192.168.100.0/24")
	for i := 1; i <= 2; i++ {
		addr, _ := n.pool.Address(i)
		if i == 1 {
			if _, err := n.Attach(b.Context(), "mch_first", i, addr); err != nil {
				b.Fatal(err)
			}
			defer n.Detach(context.Background(), "mch_first")
			continue
		}
		for b.Loop() {
			if _, err := n.Attach(b.Context(), "mch_bench", i, addr); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := n.Detach(b.Context(), "mch_bench"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}

func TestResolversThatGuestsCannotReachAreNotGiven(t *testing.T) {
	got := parseResolvConf([]byte("# x\nsearch lan\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.1\n nameserver\t9.9.9.9 # y\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver 0.0.0.0\nnameserver\n"))
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("9.9.9.9")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestConfigurationThatCannotBe(t *testing.T) {
	good := Config{Bridge: "fcbr0", Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no bridge":                 func(c *Config) { c.Bridge = "" },
		"a name too long":           func(c *Config) { c.Bridge = "sixteen-letters-" },
		"a name that breaks a rule": func(c *Config) { c.Bridge = `a"; drop` },
		"a public subnet":           func(c *Config) { c.Pool.Subnet = netip.MustParsePrefix("8.8.8.0/24") },
		"no subnet":                 func(c *Config) { c.Pool.Subnet = netip.Prefix{} },
		"a loopback resolver":       func(c *Config) { c.DNS = []netip.Addr{netip.MustParseAddr("127.0.0.53")} },
		"four resolvers":            func(c *Config) { c.DNS = make([]netip.Addr, 4) },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzPortAlias(f *testing.F) {
	n, err := New(Config{Bridge: "fcbr0", Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("vitrine/fcbr0/mch_1/192.168.100.2")
	f.Add("vitrine/fcbr0/../x/1.2.3.4")
	f.Add("vitrine/fcbr0")
	f.Fuzz(func(t *testing.T, alias string) {
		if id, addr, ok := n.parsePortAlias(alias); ok && (n.portAlias(id, addr) != alias || strings.ContainsAny(id, "/\x00") || id[0] == '.') {
			t.Errorf("took %q as %q, %s", alias, id, addr)
		}
	})
}
