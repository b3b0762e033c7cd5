package guestinit

import (
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
}

// apply does the steps in order.
func apply(steps []mount) error {
	for _, m := range steps {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("make the mount point of %s: %w", m.what, err)
		}
		if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
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
		{"/dev", "dev", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"},
		{"/proc", "proc", "/proc", "proc", quiet, ""},
		{"/sys", "sys", "/sys", "sysfs", quiet, ""},
	}
}

// driveMounts are the file systems on the drives.
func driveMounts(drives map[string]string) []mount {
	at := func(drive string) string { return drive + " drive " + drives[drive] }
	return []mount{
		{"the " + at(driveBase), drives[driveBase], baseDir, "squashfs", unix.MS_RDONLY | unix.MS_NODEV, ""},
		{"the " + at(driveAgent), drives[driveAgent], agentDir, "ext4", unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV, ""},
		{"the " + at(driveScratch), drives[driveScratch], scratchDir, "ext4", unix.MS_NODEV | unix.MS_NOATIME, ""},
	}
}

// overlayDirs are made on the scratch drive before the overlay is mounted.
var overlayDirs = []string{scratchDir + "/upper", scratchDir + "/work"}

// rootMounts put the machine's root together at rootDir, out of the drives and
// the kernel's file systems.
func rootMounts() []mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	steps := []mount{{
		"the machine's root", "overlay", rootDir, "overlay", 0,
		"lowerdir=" + baseDir + ",upperdir=" + overlayDirs[0] + ",workdir=" + overlayDirs[1],
	}}
	for _, m := range kernelMounts() {
		steps = append(steps, mount{m.what + " in the machine's root", m.target, rootDir + m.target, "", unix.MS_MOVE, ""})
	}
	for _, m := range []mount{
		{"", "devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"", "shm", "/dev/shm", "tmpfs", quiet | unix.MS_NOEXEC, "mode=1777,size=50%"},
		{"", "mqueue", "/dev/mqueue", "mqueue", quiet | unix.MS_NOEXEC, ""},
		{"", "run", "/run", "tmpfs", quiet, "mode=755,size=25%"},
		{"", "vitrine", agentproto.Dir, "tmpfs", quiet, "mode=711,size=32m,nr_inodes=4096"},
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
