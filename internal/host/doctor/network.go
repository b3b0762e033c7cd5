package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/vitrine-dev/vitrine"
)

// Bridge is the interface that has the bridge's name.
type Bridge struct {
	Name  string
	Kind  string // "" for none
	Alias string
	Err   string
}

// ReadBridge asks the kernel.
func ReadBridge(name string) Bridge {
	b := Bridge{Name: name}
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
	case err != nil:
		b.Err = err.Error()
	default:
		b.Kind, b.Alias = link.Type(), link.Attrs().Alias
	}
	return b
}

// Judge wants none, or ours.
func (b Bridge) Judge() vitrine.Finding {
	const check = "bridge"
	switch {
	case b.Err != "":
		return fail(check, "run `vitrine doctor` as root, in the host's network namespace", "the interfaces cannot be listed: %s", b.Err)
	case b.Kind == "":
		return pass(check, "%s is free; it is made with the first machine", b.Name)
	case b.Kind != "bridge" || b.Alias != "vitrine/"+b.Name:
		return fail(check, "set VITRINE_BRIDGE to a free name, or remove it: `ip link delete "+b.Name+"`", "there is an interface %s (%s) already, and it is not ours", b.Name, b.Kind)
	}
	return pass(check, "%s is there and ours", b.Name)
}

// Subnet is the machines' subnet and what the host uses.
type Subnet struct {
	Prefix netip.Prefix
	Bridge string
	Used   []Use
	Err    string
}

// Use is an address or a route of the host.
type Use struct {
	Prefix netip.Prefix // of an address: with its length
	Device string
	Route  bool
}

// ReadSubnet lists addresses and routes.
func ReadSubnet(prefix netip.Prefix, bridge string) Subnet {
	s := Subnet{Prefix: prefix, Bridge: bridge}
	names := map[int]string{}
	links, err := netlink.LinkList()
	if err != nil {
		s.Err = err.Error()
		return s
	}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		s.Err = err.Error()
		return s
	}
	for _, a := range addrs {
		if p, ok := toPrefix(a.IP, a.Mask); ok {
			s.Used = append(s.Used, Use{Prefix: p, Device: names[a.LinkIndex]})
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		s.Err = err.Error()
		return s
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if p, ok := toPrefix(r.Dst.IP, r.Dst.Mask); ok {
			s.Used = append(s.Used, Use{Prefix: p, Device: names[r.LinkIndex], Route: true})
		}
	}
	return s
}

func toPrefix(ip []byte, mask interface{ Size() (int, int) }) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	ones, _ := mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

// Judge wants a subnet that nobody else has: an address that overlaps it in
// either way, or a route to it or into it. A wider route, such as the default,
// is no clash.
func (s Subnet) Judge() vitrine.Finding {
	const check, remedy = "subnet", "set VITRINE_SUBNET to a private subnet that this host does not use, such as 10.213.77.0/24"
	if s.Err != "" {
		return fail(check, "run `vitrine doctor` as root, in the host's network namespace", "addresses and routes cannot be listed: %s", s.Err)
	}
	for _, u := range s.Used {
		if u.Device == s.Bridge || !u.Prefix.Overlaps(s.Prefix) {
			continue
		}
		if !u.Route {
			return fail(check, remedy, "%s is in use: %s has the address %s", s.Prefix, u.Device, u.Prefix)
		}
		if u.Prefix.Bits() >= s.Prefix.Bits() {
			return fail(check, remedy, "%s is in use: there is a route to %s by %s", s.Prefix, u.Prefix, u.Device)
		}
	}
	return pass(check, "%s is nobody else's", s.Prefix)
}

// Nftables is the firewall's program and what the kernel says to it.
type Nftables struct {
	Path    string
	Version string
	Err     string // of an empty table that is checked and not made
}

// ReadNftables asks nft whether the kernel would take a table like ours.
func ReadNftables(ctx context.Context) Nftables {
	path, err := exec.LookPath("nft")
	if err != nil {
		return Nftables{}
	}
	n := Nftables{Path: path}
	if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil {
		n.Version = strings.TrimSpace(string(out))
	}
	cmd := exec.CommandContext(ctx, path, "-c", "-f", "-") // -c applies nothing
	cmd.Stdin = strings.NewReader("table inet vitrine_doctor {\n chain c {\n type nat hook postrouting priority 100;\n }\n}\n" +
		"table bridge vitrine_doctor {\n chain c {\n type filter hook prerouting priority -200;\n }\n}\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		n.Err = fmt.Sprintf("%v: %.200s", err, first)
	}
	return n
}

// Judge wants nft, and a kernel with its inet, nat and bridge parts.
func (n Nftables) Judge() vitrine.Finding {
	const check = "nftables"
	switch {
	case n.Path == "":
		return fail(check, "`apt-get install nftables`", "the program nft is not on PATH")
	case n.Err != "":
		return fail(check, "`modprobe nf_tables nft_chain_nat nf_tables_bridge`, or run as root", "the kernel refuses firewall tables: %s", n.Err)
	}
	return pass(check, "%s", n.Version)
}
