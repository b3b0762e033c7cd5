package guestinit

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Where things are in the initramfs until the machine's root is put together.
const (
	baseDir    = "/base"
	agentDir   = "/agent"
	scratchDir = "/scratch"
	rootDir    = "/root"
)

// agentName is the agent's file on its drive.
const agentName = "vitrine-agent"

// mount is one step of putting the machine together. target is made when it is
// missing.
type mount struct {
	what   string // how an error names it
	source string
	target string
	fstype string
	flags  uintptr
	data   string

	// optional says that a kernel without this file system will do.
	optional bool
}

// apply does the steps in order.
func apply(steps []mount) error {
	for _, m := range steps {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("make the mount point of %s: %w", m.what, err)
		}
		err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data)
		if err != nil && (!m.optional || !errors.Is(err, unix.ENODEV)) {
			return fmt.Errorf("mount %s: %w", m.what, err)
		}
	}
	return nil
}

// kernelMounts are the kernel's own file systems, which the drives are found by;
// they move into the machine's root later.
func kernelMounts() []mount {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	return []mount{
		{what: "/dev", source: "dev", target: "/dev", fstype: "devtmpfs", flags: unix.MS_NOSUID, data: "mode=755"},
		{what: "/proc", source: "proc", target: "/proc", fstype: "proc", flags: quiet},
		{what: "/sys", source: "sys", target: "/sys", fstype: "sysfs", flags: quiet},
	}
}

// driveMounts are the file systems on the drives.
func driveMounts(drives map[string]string) []mount {
	steps := []mount{
		{what: driveBase, target: baseDir, fstype: "squashfs", flags: unix.MS_RDONLY | unix.MS_NODEV},
		{what: driveAgent, target: agentDir, fstype: "ext4", flags: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV},
		{what: driveScratch, target: scratchDir, fstype: "ext4", flags: unix.MS_NODEV | unix.MS_NOATIME},
	}
	for i, m := range steps {
		steps[i].source = drives[m.what]
		steps[i].what = "the " + m.what + " drive " + drives[m.what]
	}
	return steps
}

// overlayDirs are made on the scratch drive before the overlay is mounted.
var overlayDirs = []string{scratchDir + "/upper", scratchDir + "/work"}

// rootMounts put the machine's root together at rootDir, out of the drives and
// the kernel's file systems.
func rootMounts() []mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	steps := []mount{{
		what: "the machine's root", source: "overlay", target: rootDir, fstype: "overlay",
		data: "lowerdir=" + baseDir + ",upperdir=" + overlayDirs[0] + ",workdir=" + overlayDirs[1],
	}}
	for _, m := range kernelMounts() {
		steps = append(steps, mount{what: m.target, source: m.target, target: rootDir + m.target, flags: unix.MS_MOVE})
	}
	for _, m := range []mount{
		{source: "devpts", target: "/dev/pts", fstype: "devpts", flags: unix.MS_NOSUID | unix.MS_NOEXEC, data: "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{source: "shm", target: "/dev/shm", fstype: "tmpfs", flags: quiet | unix.MS_NOEXEC, data: "mode=1777,size=50%"},
		{source: "mqueue", target: "/dev/mqueue", fstype: "mqueue", flags: quiet | unix.MS_NOEXEC, optional: true},
		{source: "run", target: "/run", fstype: "tmpfs", flags: quiet, data: "mode=755,size=25%"},
		{source: "vitrine", target: agentproto.Dir, fstype: "tmpfs", flags: quiet, data: "mode=711,size=32m,nr_inodes=4096"},
	} {
		m.what, m.target = m.target, rootDir+m.target
		steps = append(steps, m)
	}
	return steps
}

// devLinks are what programs expect in /dev and devtmpfs does not make.
var devLinks = map[string]string{
	"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
}

// bindAgent puts the agent's file, read-only, where it is looked for. A bind
// mount takes its flags in a second step.
func bindAgent(root string) error {
	from, to := agentDir+"/"+agentName, root+agentproto.Dir+"/"+agentproto.AgentFile
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("make the place of the agent: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the place of the agent: %w", err)
	}
	const flags = unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	for _, step := range []uintptr{unix.MS_BIND, flags | unix.MS_REMOUNT} {
		if err := unix.Mount(from, to, "", step, ""); err != nil {
			return fmt.Errorf("put the agent in its place: %w", err)
		}
	}
	return nil
}

// enterRoot makes rootDir the machine's root. What lies above it stays behind in
// the initramfs.
func enterRoot() error {
	if err := os.Chdir(rootDir); err != nil {
		return fmt.Errorf("enter the machine's root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the machine's root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("enter the machine's root: %w", err)
	}
	return os.Chdir("/")
}
