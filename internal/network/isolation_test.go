package network

import (
	"testing"
)

var protocols = []string{"tcp4", "udp4"}

// TestGuestReachesTheInternetAndNothingElse tries each path from inside a
// machine's namespace. For each forbidden one, somebody who may is asked to take
// it first, so that silence means "not let through" and not "nobody there".
func TestGuestReachesTheInternetAndNothingElse(t *testing.T) {
	l := newLab(t)
	one, a1 := l.attach(l.net, 1)
	two, a2 := l.attach(l.net, 2)
	l.serve(two, "80")
	l.serve(node, hostPort)
	gateway := a1.Gateway.String()

	allowed := []struct{ name, host, port string }{
		{"a server on the internet", internet, "80"},
		{"a resolver on the internet", internet, "53"},
		{"its resolver, though that is on the LAN", lanHost, "53"},
	}
	for _, c := range allowed {
		for _, proto := range protocols {
			t.Run(c.name+" over "+proto, func(t *testing.T) {
				want := uplinkNode
				if c.host == lanHost {
					want = lanNode
				}
				if saw := reach(one, proto, c.host, c.port, patience); saw != want {
					t.Errorf("it saw %q, want the node's own address %s", saw, want)
				}
			})
		}
	}

	type path struct{ name, host, port, control string }
	forbidden := []path{
		{"another machine", a2.Address.Addr().String(), "80", node},
		{"a host service on the gateway address", gateway, hostPort, node},
		{"a host service on the host's public address", uplinkNode, hostPort, "internet"},
		{"a host service on the host's LAN address", lanNode, hostPort, "lan"},
	}
	for _, host := range lanTargets {
		forbidden = append(forbidden, path{"the host's neighbour " + host, host, "80", node})
	}
	forbidden = append(forbidden, path{"port 53 of a neighbour that is not its resolver", "169.254.169.254", "53", node})
	for _, c := range forbidden {
		for _, proto := range protocols {
			t.Run("not "+c.name+" over "+proto, func(t *testing.T) {
				if reach(c.control, proto, c.host, c.port, patience) == "" {
					t.Fatal("nobody is there: the control got no answer, so this proves nothing")
				}
				if saw := reach(one, proto, c.host, c.port, quiet); saw != "" {
					t.Errorf("it was reached, and saw %s", saw)
				}
			})
		}
	}

	t.Run("nobody outside starts a connection to a guest", func(t *testing.T) {
		sh(t, "ip -n internet route add %s via %s", a1.Address.Masked(), uplinkNode)
		for _, from := range []string{"internet", "lan"} {
			for _, proto := range protocols {
				if saw := reach(from, proto, a2.Address.Addr().String(), "80", quiet); saw != "" {
					t.Errorf("%s reached the guest over %s", from, proto)
				}
			}
		}
	})
	t.Run("a guest has no IPv6", func(t *testing.T) {
		if out := sh(t, "ip -6 -o address show dev fcbr0; ip -n %s -6 -o address", one); out != "" {
			t.Errorf("there are IPv6 addresses:\n%s", out)
		}
	})
	t.Run("a guest that routes by its neighbour's address gets nowhere", func(t *testing.T) {
		sh(t, "ip -n %s route replace 203.0.113.0/24 via %s", one, a2.Address.Addr())
		if saw := reach(one, "udp4", internet, "80", quiet); saw != "" {
			t.Errorf("it was reached, and saw %s", saw)
		}
		sh(t, "ip -n %s route del 203.0.113.0/24", one)
		if saw := reach(one, "udp4", internet, "80", patience); saw == "" {
			t.Error("the right way does not work any more")
		}
	})
}

// TestTwoInstancesOfOneHostAreStrangers holds two daemons with two bridges apart.
func TestTwoInstancesOfOneHostAreStrangers(t *testing.T) {
	l := newLab(t)
	clean := traces(t)
	other := newNetwork(t, "vitbr1", "10.99.0.0/24")
	one, _ := l.attach(l.net, 1)
	two, a2 := l.attach(other, 1)
	l.serve(two, "80")
	for _, proto := range protocols {
		if reach(node, proto, a2.Address.Addr().String(), "80", patience) == "" {
			t.Fatal("the control got no answer")
		}
		if reach(one, proto, a2.Address.Addr().String(), "80", quiet) != "" {
			t.Errorf("a machine of one instance reached one of the other over %s", proto)
		}
		for _, ns := range []string{one, two} {
			if reach(ns, proto, internet, "80", patience) == "" {
				t.Errorf("%s does not reach the internet over %s", ns, proto)
			}
		}
	}
	ids, err := other.List(t.Context())
	if err != nil || len(ids) != 1 {
		t.Errorf("the other instance lists %v, %v", ids, err)
	}
	l.detach(l.net, 1)
	if reach(two, "tcp4", internet, "80", patience) == "" {
		t.Error("the end of one instance cut off the other")
	}
	l.detach(other, 1)
	if now := traces(t); now != clean {
		t.Errorf("left behind; before:\n%s\nnow:\n%s", clean, now)
	}
}
