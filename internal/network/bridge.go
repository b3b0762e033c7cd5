package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// gateway is the bridge's address with the subnet's length.
func (n *Network) gateway() netip.Prefix {
	return netip.PrefixFrom(n.pool.Gateway(), n.pool.Subnet.Bits())
}

// findBridge gives the bridge if it is ours, nil if there is nothing of its
// name, and a clash otherwise.
func (n *Network) findBridge() (netlink.Link, error) {
	link, err := netlink.LinkByName(n.bridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fail("look for the bridge "+n.bridge, err)
	}
	if link.Type() != "bridge" || link.Attrs().Alias != n.bridgeAlias() {
		return nil, foreign("set VITRINE_BRIDGE to a name that is free, or remove it: ip link delete "+n.bridge,
			"there is an interface %s (%s) already, and it is not ours", n.bridge, link.Type())
	}
	return link, nil
}

// checkSubnet looks for somebody else's address or route within the subnet.
func (n *Network) checkSubnet() error {
	names := map[int]string{}
	links, err := netlink.LinkList()
	if err != nil {
		return fail("list the interfaces", err)
	}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	remedy := "set VITRINE_SUBNET to a private subnet that this host does not use"
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fail("list the addresses", err)
	}
	for _, a := range addrs {
		if n.overlaps(a.IPNet) && names[a.LinkIndex] != n.bridge {
			return clash(remedy, "the subnet %s is in use: %s has the address %s", n.pool.Subnet, names[a.LinkIndex], a.IPNet)
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fail("list the routes", err)
	}
	for _, r := range routes {
		if r.Dst == nil || names[r.LinkIndex] == n.bridge {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones > 0 && n.overlaps(r.Dst) && ones >= n.pool.Subnet.Bits() {
			return clash(remedy, "the subnet %s is in use: there is a route to %s by %s", n.pool.Subnet, r.Dst, names[r.LinkIndex])
		}
	}
	return nil
}

func (n *Network) overlaps(other *net.IPNet) bool {
	addr, ok := netip.AddrFromSlice(other.IP.To4())
	if !ok {
		return false
	}
	ones, _ := other.Mask.Size()
	return netip.PrefixFrom(addr, ones).Overlaps(n.pool.Subnet)
}

// ensureBridge gives the bridge, made whole and up.
func (n *Network) ensureBridge() (netlink.Link, error) {
	link, err := n.findBridge()
	if err != nil {
		return nil, err
	}
	if link == nil {
		if err := n.checkSubnet(); err != nil {
			return nil, err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.bridge
		// A MAC of its own: else it changes with the ports, and guests' ARP
		// tables are wrong.
		attrs.HardwareAddr = macOf(n.pool.Gateway())
		made := &netlink.Bridge{LinkAttrs: attrs}
		if err := netlink.LinkAdd(made); err != nil {
			return nil, fail("make the bridge "+n.bridge, err)
		}
		if err := netlink.LinkSetAlias(made, n.bridgeAlias()); err != nil {
			_ = netlink.LinkDel(made) // without the alias nobody would know it as ours
			return nil, fail("name the bridge "+n.bridge, err)
		}
		link = made
	}
	if err := n.setupBridge(link); err != nil {
		return nil, err
	}
	return link, nil
}

// setupBridge is idempotent: it also mends what a killed daemon left half-made.
func (n *Network) setupBridge(link netlink.Link) error {
	conf := "/conf/" + n.bridge + "/"
	settings := []struct{ name, value string }{
		{"ipv6" + conf + "accept_ra", "0"},
		{"ipv6" + conf + "disable_ipv6", "1"},
		{"ipv4" + conf + "forwarding", "1"},
		{"ipv4" + conf + "rp_filter", "1"},
		{"ipv4" + conf + "send_redirects", "0"},
		{"ipv4" + conf + "accept_redirects", "0"},
		{"ipv4" + conf + "route_localnet", "0"},
		{"ipv4" + conf + "arp_ignore", "1"}, // answers for its own address only
	}
	for _, s := range settings {
		if sysctl(s.name) == s.value {
			continue
		}
		if err := setSysctl(s.name, s.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail("set up the bridge "+n.bridge, err)
		}
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fail("list the bridge's addresses", err)
	}
	want := ipNet(n.gateway())
	has := false
	for _, a := range addrs {
		if a.IPNet.String() == want.String() {
			has = true
			continue
		}
		// The subnet was configured anew; machines of the old one would be cut off.
		if ports, err := n.ports(); err != nil || len(ports) > 0 {
			return clash(fmt.Sprintf("end all sessions first, or set VITRINE_SUBNET back to that of %s", a.IPNet),
				"the bridge %s has the address %s, and machines on it", n.bridge, a.IPNet)
		}
		if err := netlink.AddrDel(link, &a); err != nil {
			return fail("take the old address off the bridge "+n.bridge, err)
		}
	}
	if !has {
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: want}); err != nil && !errors.Is(err, unix.EEXIST) {
			return fail(fmt.Sprintf("give the bridge %s the address %s", n.bridge, want), err)
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return fail("bring up the bridge "+n.bridge, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// port is a machine's host interface as the kernel knows it.
type port struct {
	machineID string
	link      netlink.Link
	addr      netip.Addr // zero for one that was never finished
}

// ports lists the interfaces of this bridge's machines.
func (n *Network) ports() ([]port, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fail("list the interfaces", err)
	}
	var list []port
	for _, l := range links {
		if id, addr, ok := n.parsePortAlias(l.Attrs().Alias); ok && l.Attrs().Name == n.portName(id) {
			list = append(list, port{id, l, addr})
		}
	}
	return list, nil
}
