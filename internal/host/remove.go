package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// Remove implements vitrine.Host.
func (h *Host) Remove(ctx context.Context, l vitrine.Leftover) error {
	if l.Deed == vitrine.DeedNone {
		return nil
	}
	for _, t := range l.Things {
		if t.Foreign != "" {
			return fmt.Errorf("%s %s is not known to be ours: %s", t.Kind, t.Name, t.Foreign)
		}
	}
	var errs []error
	for _, t := range l.Things {
		if err := h.one(ctx, l.Deed, t); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", t.Kind, t.Name, err))
		}
		if whole(l.Deed) {
			break // one call is for all of them
		}
	}
	return errors.Join(errs...)
}

// whole says whether one call does a deed for all its things.
func whole(d vitrine.Deed) bool {
	return d == vitrine.DeedDetach || d == vitrine.DeedMendRules || d == vitrine.DeedRemoveBridge
}

func (h *Host) one(ctx context.Context, d vitrine.Deed, t vitrine.Thing) error {
	switch d {
	case vitrine.DeedDeleteMachine:
		if t.Kind != vitrine.ThingMachine {
			return nil // its supervisor and its cgroup go with it
		}
		return h.cfg.DeleteMachine(ctx, t.Runtime, t.Machine)
	case vitrine.DeedRemoveCgroup:
		if !strings.HasPrefix(t.Name, "/"+h.cfg.Instance) {
			return errors.New("it is not below the instance's")
		}
		return h.cfg.RemoveCgroup(ctx, t.Name)
	case vitrine.DeedDetach:
		return h.cfg.Detach(ctx, t.Machine)
	case vitrine.DeedRemoveBridge:
		// The network removes them when it sees no machine attached any more: it
		// looks itself, under its lock.
		return h.cfg.Detach(ctx, nobody)
	case vitrine.DeedMendRules:
		return h.cfg.MendRules(ctx)
	case vitrine.DeedKill:
		pid, err := strconv.Atoi(t.Name)
		if err != nil || pid <= 1 {
			return errors.New("it is no process id")
		}
		return kill(pid, t.Machine)
	case vitrine.DeedUnmount:
		return unmount(t.Name)
	case vitrine.DeedFreeLoop:
		return freeLoop(t.Name, t.Detail)
	case vitrine.DeedRemoveDir:
		return h.removeDir(t)
	case vitrine.DeedRemoveLink:
		return h.removeLink(t.Name)
	case vitrine.DeedRemoveSocket:
		if h.cfg.DaemonDown == nil || !h.cfg.DaemonDown() || t.Name != filepath.Join(h.cfg.DataDir, socketName) {
			return nil
		}
		return gone(os.Remove(t.Name))
	}
	return fmt.Errorf("%q is no deed of the host's", d)
}

// nobody is a machine's id that no machine has: all zeros, of the year 1970.
const nobody = "mch_00000000000000000000000000"

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func unmount(at string) error {
	err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) { // not a mount any more
		return nil
	}
	return gone(err)
}

// freeLoop detaches a loop device that still has the disk it was found with.
func freeLoop(dev, file string) error {
	b, err := os.ReadFile("/sys/block/" + filepath.Base(dev) + "/loop/backing_file")
	if err != nil {
		return gone(err)
	}
	if strings.TrimSpace(string(b)) != file {
		return nil // it was freed, and somebody else has it now
	}
	f, err := os.Open(dev)
	if err != nil {
		return gone(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return err
	}
	return nil
}

// removeDir removes a killed doctor's or a killed build's directory, holding the
// lock by which a living one would be known.
func (h *Host) removeDir(t vitrine.Thing) error {
	parent, name := filepath.Dir(t.Name), filepath.Base(t.Name)
	lock := ""
	if t.Kind == vitrine.ThingProbe && parent == h.cfg.TempDir && strings.HasPrefix(name, probePrefix) {
		lock = t.Name
	}
	for _, w := range h.cfg.workshops() {
		if t.Kind == vitrine.ThingBuild && parent == w.dir && w.half(name) {
			lock = filepath.Join(parent, w.lock)
		}
	}
	if lock == "" {
		return errors.New("its name is none of ours")
	}
	f, err := os.Open(lock)
	switch {
	case err == nil:
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("somebody is at work there: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// A mount below it would be emptied with it.
	mounts, err := mountTable()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.at, t.Name+"/") {
			return fmt.Errorf("%s is mounted in it: umount %s", m.fstype, m.at)
		}
	}
	return os.RemoveAll(t.Name)
}

// removeLink removes a half-made port, if it still is one.
func (h *Host) removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if link.Type() != "veth" || link.Attrs().Alias != "" || !strings.HasPrefix(name, h.cfg.portPrefix()) {
		return nil
	}
	return gone(netlink.LinkDel(link))
}
