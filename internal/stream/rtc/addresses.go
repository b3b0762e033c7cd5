package rtc

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// maxAddresses bounds how many local addresses get a socket: each is a
// candidate that every viewer tries.
const maxAddresses = 16

// skipPrefixes are interfaces that lead to containers and machines, never to a
// viewer.
var skipPrefixes = []string{"veth", "docker", "br-", "virbr", "cni", "tap"}

// LocalAddrs lists the addresses to bind: host alone when it is an address, else
// those of the interfaces that are up, loopback included (a viewer may sit on
// the node itself), without link-local ones (they need a zone, which candidates
// cannot say) and without the interfaces named in skip.
func LocalAddrs(host string, skip []string) ([]netip.Addr, error) {
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return nil, fmt.Errorf("listening host %q is not an IP address: %w", host, err)
		}
		if !a.IsUnspecified() {
			return []netip.Addr{a.Unmap()}, nil
		}
	}
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	var out []netip.Addr
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 || slices.Contains(skip, i.Name) ||
			slices.ContainsFunc(skipPrefixes, func(p string) bool { return strings.HasPrefix(i.Name, p) }) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // the interface has gone
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			out = append(out, p.Addr().Unmap())
		}
	}
	// IPv4 first, loopback last: the order in which viewers do best to try.
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil, fmt.Errorf("no network interface has a usable address")
	}
	return out[:min(len(out), maxAddresses)], nil
}

func rank(a netip.Addr) int {
	r := 0
	if a.Is6() {
		r++
	}
	if a.IsLoopback() {
		r += 2
	}
	return r
}

// primary is the local address from which packets to the public one would
// leave: the one behind the NAT. Nothing is sent.
func primary(addrs []netip.Addr, public netip.Addr) (netip.Addr, bool) {
	if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(public, 9))); err == nil {
		defer func() { _ = c.Close() }()
		if ap, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && slices.Contains(addrs, ap.Addr().Unmap()) {
			return ap.Addr().Unmap(), true
		}
	}
	for _, a := range addrs {
		if a.Is4() == public.Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}
