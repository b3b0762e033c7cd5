package gvisor

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/vitrine-dev/vitrine"
)

// setAddress gives the machine's interface its address and route, as they were
// when the network made it: runsc copies them into its own stack and removes
// them from the interface, so a second start would find none.
func setAddress(a vitrine.Attachment) error {
	if a.Device == "" || !a.Address.IsValid() {
		return nil
	}
	ns, err := netns.GetFromPath(a.NetNS)
	if err != nil {
		return fmt.Errorf("setting the machine's address: opening %s: %w", a.NetNS, err)
	}
	defer func() { _ = ns.Close() }()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("setting the machine's address: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(a.Device)
	if err != nil {
		return fmt.Errorf("setting the machine's address: finding %s: %w", a.Device, err)
	}
	ip := &net.IPNet{IP: a.Address.Addr().AsSlice(), Mask: net.CIDRMask(a.Address.Bits(), a.Address.Addr().BitLen())}
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("setting the machine's address %s: %w", a.Address, err)
	}
	for _, l := range []string{"lo", a.Device} {
		up, err := h.LinkByName(l)
		if err == nil {
			err = h.LinkSetUp(up)
		}
		if err != nil {
			return fmt.Errorf("setting the machine's address: raising %s: %w", l, err)
		}
	}
	if !a.Gateway.IsValid() {
		return nil
	}
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	if err := h.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: all, Gw: a.Gateway.AsSlice()}); err != nil {
		return fmt.Errorf("setting the machine's route by %s: %w", a.Gateway, err)
	}
	return nil
}
