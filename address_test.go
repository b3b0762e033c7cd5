package vitrine

import (
	"net/netip"
	"testing"
)

func TestAddressPool(t *testing.T) {
	for subnet, want := range map[string]struct {
		slots                int
		gateway, first, last string
	}{
		"192.168.100.0/24": {253, "192.168.100.1", "192.168.100.2", "192.168.100.254"},
		"192.168.100.7/24": {253, "192.168.100.1", "192.168.100.2", "192.168.100.254"},
		"10.0.0.0/29":      {5, "10.0.0.1", "10.0.0.2", "10.0.0.6"},
		"172.16.0.0/16":    {4094, "172.16.0.1", "172.16.0.2", "172.16.15.255"},
		"10.1.2.128/25":    {125, "10.1.2.129", "10.1.2.130", "10.1.2.254"},
	} {
		p, err := NewAddressPool(netip.MustParsePrefix(subnet))
		if err != nil {
			t.Errorf("%s: %v", subnet, err)
			continue
		}
		first, err1 := p.Address(1)
		last, err2 := p.Address(p.Slots())
		if p.Slots() != want.slots || p.Gateway().String() != want.gateway || first.String() != want.first || last.String() != want.last || err1 != nil || err2 != nil {
			t.Errorf("%s: %d slots, gateway %s, %s to %s (%v, %v); want %+v", subnet, p.Slots(), p.Gateway(), first, last, err1, err2, want)
		}
		seen := map[netip.Addr]bool{p.Gateway(): true}
		for n := 1; n <= p.Slots(); n++ {
			a, err := p.Address(n)
			if err != nil || seen[a] || !p.Subnet.Contains(a) {
				t.Fatalf("%s: slot %d is %s, %v", subnet, n, a, err)
			}
			seen[a] = true
		}
		for _, n := range []int{-1, 0, p.Slots() + 1} {
			if a, err := p.Address(n); err == nil {
				t.Errorf("%s: slot %d is %s, want an error", subnet, n, a)
			}
		}
	}
}

func TestSubnetsThatAreRefused(t *testing.T) {
	for _, subnet := range []string{"8.8.8.0/24", "192.168.0.0/15", "10.0.0.0/8", "192.168.1.0/30", "192.168.1.1/32", "fd00::/64", "169.254.0.0/16"} {
		if _, err := NewAddressPool(netip.MustParsePrefix(subnet)); err == nil {
			t.Errorf("%s was taken", subnet)
		}
	}
}
