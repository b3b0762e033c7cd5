package vitrine

import (
	"fmt"
	"net/netip"
)

// AddressPool is the subnet of the bridge. The gateway (the bridge's own
// address) is the first host address; slot n is the n-th address after it.
type AddressPool struct {
	Subnet netip.Prefix
}

// NewAddressPool checks that the subnet is IPv4, private and of a size that
// makes sense: /16 to /29.
func NewAddressPool(subnet netip.Prefix) (AddressPool, error) {
	subnet = subnet.Masked()
	if !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Bits() < 16 || subnet.Bits() > 29 {
		return AddressPool{}, fmt.Errorf("%s is not a private IPv4 subnet from /16 to /29", subnet)
	}
	return AddressPool{Subnet: subnet}, nil
}

// Gateway is the bridge's address, e.g. 192.168.100.1.
func (p AddressPool) Gateway() netip.Addr { return p.Subnet.Addr().Next() }

// Slots is how many machines fit: network, gateway and broadcast are not lent,
// so 253 in a /24. More than 4094 are never lent (uid ranges would run out).
func (p AddressPool) Slots() int {
	n := 1<<(32-p.Subnet.Bits()) - 3
	return min(n, 4094)
}

// Address gives the address of slot n, 1..Slots().
func (p AddressPool) Address(slot int) (netip.Addr, error) {
	if slot < 1 || slot > p.Slots() {
		return netip.Addr{}, fmt.Errorf("slot %d is outside 1..%d", slot, p.Slots())
	}
	b := p.Gateway().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(slot)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), nil
}
