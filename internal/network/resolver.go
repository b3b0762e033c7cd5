package network

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// publicResolvers are given when the host has none that a guest can reach
// (Cloudflare's and Quad9's, which need no contract).
var publicResolvers = []netip.Addr{netip.AddrFrom4([4]byte{1, 1, 1, 1}), netip.AddrFrom4([4]byte{9, 9, 9, 9})}

// resolvConfs are where a host says whom it asks; the second is systemd's, for
// hosts whose first names the local stub only.
var resolvConfs = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// resolvers are those that guests are given.
func (n *Network) resolvers() []netip.Addr {
	if len(n.dns) > 0 {
		return n.dns
	}
	own := map[netip.Addr]bool{}
	if addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4); err == nil {
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
				own[ip] = true
			}
		}
	}
	for _, name := range resolvConfs {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// What listens on this host is not for guests, so its own addresses
		// are no use to them.
		usable := slices.DeleteFunc(parseResolvConf(text), func(a netip.Addr) bool { return own[a] })
		if len(usable) > 0 {
			return usable[:min(len(usable), maxDNS)]
		}
	}
	return publicResolvers
}

// parseResolvConf gives the IPv4 nameservers of a resolv.conf(5) that are not
// on the loopback.
func parseResolvConf(text []byte) []netip.Addr {
	var list []netip.Addr
	sc := bufio.NewScanner(bytes.NewReader(text))
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(fields[1])
		if err == nil && a.Is4() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}
