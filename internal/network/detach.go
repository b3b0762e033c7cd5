package network

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Detach removes what Attach made, whole or half, and the bridge and the rules
// when it was the last machine's.
func (n *Network) Detach(ctx context.Context, machineID string) error {
	if !machineForm.MatchString(machineID) {
		return fmt.Errorf("%q is not a machine's id", machineID)
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return fail("lock the network", err)
	}
	defer unlock()
	if err := n.detach(ctx, machineID); err != nil {
		return fmt.Errorf("detach %s: %w", machineID, err)
	}
	return nil
}

func (n *Network) detach(ctx context.Context, machineID string) error {
	// The port first: from then on the machine reaches nothing, whatever fails.
	had, err := deleteLink(n.portName(machineID))
	if err != nil {
		return fail("remove the machine's port", err)
	}
	if err := removeNetns(n.netnsPath(machineID)); err != nil {
		return fail("remove the machine's network namespace", err)
	}
	left, err := n.machines()
	if err != nil {
		return err
	}
	if len(left) == 0 {
		return n.removeAll(ctx)
	}
	if !had {
		return nil
	}
	return n.applyRules(ctx)
}

// removeAll takes the bridge, the rules and the forwarding away.
func (n *Network) removeAll(ctx context.Context) error {
	n.fresh = false
	link, err := n.findBridge()
	if err != nil && !errors.Is(err, errForeign) {
		return err
	}
	if link != nil {
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			return fail("remove the bridge "+n.bridge, err)
		}
	}
	if _, err := runNft(ctx, n.dropScript()); err != nil && !errors.Is(err, errNoNft) {
		return fail("remove the firewall rules of "+n.bridge, err)
	}
	return n.restoreForwarding()
}

// deleteLink removes an interface and says whether there was one.
func deleteLink(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return false, nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if errors.Is(err, unix.ENODEV) { // it went with its namespace
		err = nil
	}
	return true, err
}

// List gives the machines that have a namespace or a port here.
func (n *Network) List(context.Context) ([]string, error) { return n.machines() }

func (n *Network) machines() ([]string, error) {
	ids, err := n.netnsMachines()
	if err != nil {
		return nil, fail("list the network namespaces", err)
	}
	ports, err := n.ports()
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		ids = append(ids, p.machineID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
