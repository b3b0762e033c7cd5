package vm

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// TAPName is the TAP of every machine, in the machine's own network namespace.
const TAPName = "tap0"

// layTAP makes the machine's TAP, owned by the VMM's uid, and joins it to the
// machine's interface: what comes in by one goes out by the other, before the
// namespace's own stack sees it. The interface loses its address, which is the
// guest's to set. Done again it changes nothing; removing the namespace removes
// it all.
func layTAP(at vitrine.Attachment, uid int) error {
	ns, err := netns.GetFromPath(at.NetNS)
	if err != nil {
		return fmt.Errorf("making the machine's TAP: opening %s: %w", at.NetNS, err)
	}
	defer func() { _ = ns.Close() }()
	if err := inNetns(ns, func() error { return makeTAP(TAPName, uid) }); err != nil {
		return fmt.Errorf("making %s in %s: %w", TAPName, at.NetNS, err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("joining %s: %w", TAPName, err)
	}
	defer h.Close()
	if err := join(h, at.Device); err != nil {
		return fmt.Errorf("joining %s to %s in %s: %w", TAPName, at.Device, at.NetNS, err)
	}
	return nil
}

// SetTAP takes a machine's TAP up or down. While it is down nothing that the guest
// sends leaves the VMM.
func SetTAP(at vitrine.Attachment, up bool) error {
	ns, err := netns.GetFromPath(at.NetNS)
	if err != nil {
		return fmt.Errorf("setting the machine's TAP: opening %s: %w", at.NetNS, err)
	}
	defer func() { _ = ns.Close() }()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("setting %s in %s: %w", TAPName, at.NetNS, err)
	}
	defer h.Close()
	set := h.LinkSetDown
	if up {
		set = h.LinkSetUp
	}
	tap, err := h.LinkByName(TAPName)
	if err == nil {
		err = set(tap)
	}
	if err != nil {
		return fmt.Errorf("setting %s in %s: %w", TAPName, at.NetNS, err)
	}
	return nil
}

// inNetns runs f on a thread of its own in a network namespace; the thread ends
// with it.
func inNetns(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end: hold it until f has run on another.
			inner := make(chan error, 1)
			go func() {
				runtime.LockOSThread()
				inner <- enterAnd(ns, f)
			}()
			err := <-inner
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- enterAnd(ns, f)
	}()
	return <-done
}

func enterAnd(ns netns.NsHandle, f func() error) error {
	if err := netns.Set(ns); err != nil {
		return err
	}
	return f()
}

// makeTAP makes a TAP that outlives us, with the header that says how a frame is
// to be cut and summed (both VMMs ask for it), for one user.
func makeTAP(name string, uid int) error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	fd := int(f.Fd())
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("another process holds it: %w", err)
		}
		return err
	}
	for _, set := range []struct{ what, value int }{
		{unix.TUNSETOWNER, uid}, {unix.TUNSETGROUP, uid}, {unix.TUNSETPERSIST, 1},
	} {
		if err := unix.IoctlSetInt(fd, uint(set.what), set.value); err != nil {
			return err
		}
	}
	return nil
}

// join takes the addresses off the interface and redirects both ways.
func join(h *netlink.Handle, device string) error {
	tap, err := h.LinkByName(TAPName)
	if err != nil {
		return err
	}
	eth, err := h.LinkByName(device)
	if err != nil {
		return err
	}
	addrs, err := h.AddrList(eth, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := h.AddrDel(eth, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	if err := h.LinkSetMTU(tap, eth.Attrs().MTU); err != nil {
		return err
	}
	for _, pair := range [][2]netlink.Link{{eth, tap}, {tap, eth}} {
		if err := redirect(h, pair[0], pair[1]); err != nil {
			return fmt.Errorf("redirecting %s to %s (the host's kernel needs sch_ingress, cls_u32 and act_mirred): %w", pair[0].Attrs().Name, pair[1].Attrs().Name, err)
		}
	}
	for _, l := range []netlink.Link{eth, tap} {
		if err := h.LinkSetUp(l); err != nil {
			return err
		}
	}
	return nil
}

// redirect sends all that comes in by one interface out by another. u32 rather
// than matchall, because every kernel that has classifiers has it.
func redirect(h *netlink.Handle, from, to netlink.Link) error {
	attrs := netlink.QdiscAttrs{LinkIndex: from.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0)}
	// A new one each time: it takes its filters with it.
	_ = h.QdiscDel(&netlink.Ingress{QdiscAttrs: attrs})
	if err := h.QdiscAdd(&netlink.Ingress{QdiscAttrs: attrs}); err != nil {
		return err
	}
	return h.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: from.Attrs().Index, Parent: attrs.Handle, Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)},
	})
}
