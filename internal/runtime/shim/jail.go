package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// Jail is the directory that a jailed VMM has for its root. It is a tmpfs of the
// supervisor's mount namespace, so that it is gone with the machine's last
// process, and it is what a machine's shared directory is elsewhere: sockets that
// the VMM makes in it are reached through the supervisor. Device nodes work in it,
// because the jailer makes those that the VMM needs.
type Jail struct {
	// Root is its place in the stage.
	Root string `json:"root"`
	// Bytes bounds it: the VMM's program, which the jailer copies into it, its log
	// and its metrics.
	Bytes int64      `json:"bytes"`
	Files []JailFile `json:"files,omitempty"`
	// Log is the VMM's log in it. Its last lines end the console of the machine:
	// with the machine the log is gone.
	Log string `json:"log,omitempty"`
}

// JailFile is a file of the host that is shown in a jail, read-only unless Write.
type JailFile struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Write  bool   `json:"write,omitempty"`
}

// mountJail makes the jail.
func (s *supervisor) mountJail() error {
	j := s.plan.Jail
	root := s.stage(j.Root)
	if err := os.MkdirAll(root, 0o711); err != nil {
		return fmt.Errorf("making the jail: %w", err)
	}
	opts := "mode=711,nr_inodes=4096,size=" + strconv.FormatInt(j.Bytes, 10)
	if err := unix.Mount(machinedir.ShareSource(s.plan.MachineID), root, "tmpfs", unix.MS_NOSUID, opts); err != nil {
		return fmt.Errorf("making the jail: mounting a tmpfs: %w", err)
	}
	for _, f := range j.Files {
		place := filepath.Join(root, filepath.Base(f.Name))
		if err := os.WriteFile(place, nil, 0o600); err != nil {
			return fmt.Errorf("making the jail: %w", err)
		}
		attrs := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
		if !f.Write {
			attrs |= unix.MOUNT_ATTR_RDONLY
		}
		if err := cloneMount(f.Source, place, &unix.MountAttr{Attr_set: attrs}); err != nil {
			return fmt.Errorf("making the jail: %w", err)
		}
	}
	return nil
}

// jailNet gives the calling thread, which forks the VMM or its jailer and then
// ends, an empty network namespace: a VMM whose machine has no network sees none
// of the host's.
func (s *supervisor) jailNet() error {
	if s.plan.Jail == nil && !s.plan.VMM {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	return nil
}

// jailLog appends the last lines of the VMM's log to the console. It holds what
// the VMM says of itself; a guest's text in it is bounded as all the console is.
func (s *supervisor) jailLog() {
	if s.plan.Jail == nil || s.plan.Jail.Log == "" {
		return
	}
	lines, err := tailBeneath(s.stage(s.plan.Jail.Root), s.plan.Jail.Log, 8)
	if err != nil {
		return // it left before its first line
	}
	ring, err := s.dir.OpenRing()
	if err != nil {
		return // no room: there is nobody to tell
	}
	defer func() { _ = ring.Close() }()
	for _, l := range lines {
		_, _ = ring.Write([]byte("vmm: " + l + "\n"))
	}
}

// tailBeneath gives the last lines of a file in a directory that belongs to the
// VMM, which may have been taken over by its guest: a link to a file of the host
// is not followed, and what is no file (a FIFO would hold us up) is not read.
func tailBeneath(dir, name string, n int) ([]string, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is no file", name)
	}
	return machinedir.Tail("/proc/self/fd/"+strconv.Itoa(fd), n), nil
}
