package shim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// mountDisk mounts the machine's writable disk: an ext4 in a sparse file of
// DiskBytes, by a loop device that frees itself with its last user. A plain
// directory would be simpler but has no bound: one machine could fill the
// host's disk, and project quotas need a mount option that most hosts lack.
//
// Where there are no loop devices (some container hosts) it is a tmpfs of
// TmpfsBytes, charged to the memory limit of the machine.
func (s *supervisor) mountDisk(target string) error {
	file := s.dir.Join(machinedir.ScratchFile)
	err := s.mountLoop(file, target)
	if err == nil {
		return nil
	}
	_ = os.Remove(file)
	if !errors.Is(err, errNoLoop) {
		return err
	}
	return tmpfs("vitrine-disk", target, s.plan.TmpfsBytes, "755")
}

// mkfsLimit is how long making a file system may take: it takes 20 ms.
const mkfsLimit = 20 * time.Second

// errNoLoop says that the host has no loop devices to give.
var errNoLoop = errors.New("no loop device")

func (s *supervisor) mountLoop(file, target string) error {
	loop, err := s.attachLoop(file)
	if err != nil {
		return err
	}
	// Autoclear: from here on the mount holds it.
	defer loop.Close()
	err = unix.Mount(loop.Name(), target, "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, "discard,errors=continue")
	if err != nil {
		return fmt.Errorf("mounting the machine's disk: %w", err)
	}
	return nil
}

// attachLoop makes the file, a file system in it, and a loop device over it.
// Direct I/O, so that its pages are not cached twice.
func (s *supervisor) attachLoop(file string) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoLoop, err)
	}
	defer control.Close()
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the machine's disk: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(s.plan.DiskBytes); err != nil {
		return nil, fmt.Errorf("making the machine's disk: %w", err)
	}
	// No journal, nothing reserved, tables written when used: nobody mounts it
	// twice, and so it takes milliseconds and almost no room.
	out, err := exec.CommandContext(limit(mkfsLimit), "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard", "-i", "32768", file).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w: mke2fs is missing", errNoLoop)
	}
	if err != nil {
		return nil, fmt.Errorf("making the machine's disk: mke2fs: %w: %.300s", err, out)
	}
	for try := 0; try < 32; try++ {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoLoop, err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoLoop, err)
		}
		config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO}}
		copy(config.Info.File_name[:], s.plan.MachineID)
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if errors.Is(err, syscall.EINVAL) { // a file system without direct I/O
			config.Info.Flags &^= unix.LO_FLAGS_DIRECT_IO
			err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		}
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, syscall.EBUSY) { // somebody else was faster
			return nil, fmt.Errorf("attaching the machine's disk: %w", err)
		}
	}
	return nil, fmt.Errorf("%w: all are taken as soon as they are free", errNoLoop)
}
