package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// cleanupLimit bounds what is undone after the caller's own time is over.
const cleanupLimit = 10 * time.Second

// Attach makes the machine's namespace, pair, port, address and rules. Called
// again for an attached machine it mends what is missing. What is inside the
// namespace it mends only while no process lives there: gVisor takes the address
// off eth0 when it starts, as its own stack has it then, and needs it back
// before the next start, but not in between.
func (n *Network) Attach(ctx context.Context, machineID string, slot int, addr netip.Addr) (vitrine.Attachment, error) {
	if err := n.check(machineID, slot, addr); err != nil {
		return vitrine.Attachment{}, err
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return vitrine.Attachment{}, fail("lock the network", err)
	}
	defer unlock()
	if err := n.attach(ctx, machineID, addr); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
		defer cancel()
		if err2 := n.detach(undo, machineID); err2 != nil {
			err = errors.Join(err, fmt.Errorf("undo it: %w", err2))
		}
		return vitrine.Attachment{}, fmt.Errorf("attach %s: %w", machineID, err)
	}
	return vitrine.Attachment{
		NetNS: n.netnsPath(machineID), Device: Device,
		Address: netip.PrefixFrom(addr, n.pool.Subnet.Bits()), Gateway: n.pool.Gateway(),
		MAC: macOf(addr).String(), DNS: slices.Clone(n.resolvers()),
	}, nil
}

func (n *Network) check(machineID string, slot int, addr netip.Addr) error {
	if !machineForm.MatchString(machineID) {
		return fmt.Errorf("%q is not a machine's id", machineID)
	}
	if want, err := n.pool.Address(slot); err != nil || want != addr {
		return fmt.Errorf("attach %s: slot %d does not have the address %s in %s", machineID, slot, addr, n.pool.Subnet)
	}
	return nil
}

func (n *Network) attach(ctx context.Context, machineID string, addr netip.Addr) error {
	bridge, err := n.ensureBridge()
	if err != nil {
		return err
	}
	if err := n.ensureForwarding(); err != nil {
		return err
	}
	if err := n.checkLease(machineID, addr); err != nil {
		return err
	}
	path := n.netnsPath(machineID)
	running := false
	if isNetns(path) {
		running = inhabited(path)
	} else if err := makeNetns(path); err != nil {
		return fail("make the machine's network namespace", err)
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fail("open the machine's network namespace", err)
	}
	defer ns.Close()
	link, err := n.ensurePair(machineID, addr, ns)
	if err != nil {
		return err
	}
	if !running {
		if err := n.setupGuest(ns, addr); err != nil {
			return err
		}
	}
	// Rules before the port: an unknown port may send nothing at all.
	if err := n.applyRules(ctx); err != nil {
		return err
	}
	return n.setupPort(bridge, link, addr)
}

// checkLease refuses an address that another machine has.
func (n *Network) checkLease(machineID string, addr netip.Addr) error {
	ports, err := n.ports()
	if err != nil {
		return err
	}
	for _, p := range ports {
		if p.addr == addr && p.machineID != machineID {
			return clash("end that machine's session: `vitrine session list`", "the address %s is that of machine %s", addr, p.machineID)
		}
	}
	return nil
}

// ensurePair makes the pair, its guest end directly in the namespace.
func (n *Network) ensurePair(machineID string, addr netip.Addr, ns netns.NsHandle) (netlink.Link, error) {
	name, alias := n.portName(machineID), n.portAlias(machineID, addr)
	link, err := netlink.LinkByName(name)
	if err == nil && link.Attrs().Alias == alias {
		if inNetns(ns, func(h *netlink.Handle) error { _, err := h.LinkByName(Device); return err }) == nil {
			return link, nil
		}
	}
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil: // half-made, of another address, or without its other end
		if err := netlink.LinkDel(link); err != nil {
			return nil, fail("remove the machine's old port", err)
		}
	case !errors.As(err, &missing):
		return nil, fail("look for the machine's port", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: Device, PeerHardwareAddr: macOf(addr), PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fail("make the machine's pair of interfaces", err)
	}
	if err := netlink.LinkSetAlias(pair, alias); err != nil {
		return nil, fail("name the machine's port", err)
	}
	return pair, nil
}

// inNetns runs f with a netlink socket of the namespace.
func inNetns(ns netns.NsHandle, f func(*netlink.Handle) error) error {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return f(h)
}

// setupGuest gives eth0 its address and the way out.
func (n *Network) setupGuest(ns netns.NsHandle, addr netip.Addr) error {
	err := inNetns(ns, func(h *netlink.Handle) error {
		for _, name := range []string{"lo", Device} {
			link, err := h.LinkByName(name)
			if err != nil {
				return fmt.Errorf("find %s: %w", name, err)
			}
			if name == Device {
				want := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addr, n.pool.Subnet.Bits()))}
				if err := h.AddrReplace(link, want); err != nil {
					return fmt.Errorf("add %s: %w", want, err)
				}
			}
			if err := h.LinkSetUp(link); err != nil {
				return fmt.Errorf("bring up %s: %w", name, err)
			}
			if name == Device {
				route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: n.pool.Gateway().AsSlice()}
				if err := h.RouteReplace(route); err != nil {
					return fmt.Errorf("add the default route: %w", err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fail("set up the machine's interface", err)
	}
	return nil
}

// setupPort puts the host's end into the bridge, isolated before it is up. The
// bridge learns nothing from guests: whose a MAC is, is told, not seen.
func (n *Network) setupPort(bridge, link netlink.Link, addr netip.Addr) error {
	name := link.Attrs().Name
	if err := setSysctl("ipv6/conf/"+name+"/disable_ipv6", "1"); err != nil && sysctl("ipv6/conf/all/disable_ipv6") != "" {
		return fail("set up the machine's port", err)
	}
	fdb := &netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP,
		Flags: netlink.NTF_MASTER, HardwareAddr: macOf(addr),
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"put it into the bridge", func() error { return netlink.LinkSetMaster(link, bridge) }},
		{"isolate it", func() error { return netlink.LinkSetIsolated(link, true) }},
		{"switch off hairpin", func() error { return netlink.LinkSetHairpin(link, false) }},
		{"switch off learning", func() error { return netlink.LinkSetLearning(link, false) }},
		{"switch off flooding", func() error { return netlink.LinkSetFlood(link, false) }},
		{"tell the bridge its MAC", func() error { return netlink.NeighSet(fdb) }},
		{"bring it up", func() error { return netlink.LinkSetUp(link) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fail("set up the machine's port: "+s.what, err)
		}
	}
	return nil
}
