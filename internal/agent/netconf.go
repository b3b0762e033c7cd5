package agent

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// resolvConf is where programs look for name servers.
const resolvConf = "/etc/resolv.conf"

// configureNetwork sets the machine's address, route and name servers where the
// runtime could not: a VM's kernel knows nothing of the host's leases. It may
// be called again; what is set already stays.
func configureNetwork(n agentproto.Network, resolv string) error {
	prefix, err := netip.ParsePrefix(n.Address)
	if err != nil {
		return fmt.Errorf("network address: %w", err)
	}
	link, err := netlink.LinkByName(n.Device)
	if err != nil {
		return fmt.Errorf("find network device %.16q: %w", n.Device, err)
	}
	own := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: own}); err != nil {
		return fmt.Errorf("set address %s on %s: %w", prefix, n.Device, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", n.Device, err)
	}
	if n.Gateway != "" {
		gateway, err := netip.ParseAddr(n.Gateway)
		if err != nil {
			return fmt.Errorf("network gateway: %w", err)
		}
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
			return fmt.Errorf("set the default route to %s: %w", gateway, err)
		}
	}
	return writeResolv(n.DNS, resolv)
}

func writeResolv(servers []string, path string) error {
	if len(servers) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, s := range servers {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("name server: %w", err)
		}
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("set the name servers: %w", err)
	}
	return nil
}
