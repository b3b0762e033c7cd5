package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// User is who runs us.
type User struct{ UID int }

// Judge wants root.
func (u User) Judge() vitrine.Finding {
	if u.UID == 0 {
		return pass("user", "root")
	}
	return fail("user", "sudo vitrine doctor", "uid %d may make no namespaces, mounts and bridge", u.UID)
}

// Kernel is what the kernel can.
type Kernel struct {
	Release string // uname(2)
	// Filesystems are those it has now; Modules those that it could load.
	Filesystems, Modules map[string]bool
	MaxUserNamespaces    int             // user.max_user_namespaces; -1: there are none
	Devices              map[string]bool // /dev/net/tun and others: is it there
	DataFS               string          // the file system of the data directory
	ImageFS              string          // that of the images, which the container runtime maps ids on
}

// devices are those that a runtime or the network needs.
var devices = []string{"/dev/net/tun", "/dev/loop-control", "/dev/kvm"}

// ReadKernel gathers them.
func ReadKernel(dataDir, imageDir string) Kernel {
	k := Kernel{Filesystems: map[string]bool{}, Modules: map[string]bool{}, MaxUserNamespaces: -1, Devices: map[string]bool{}}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		k.Release = unix.ByteSliceToString(u.Release[:])
	}
	b, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 {
			k.Filesystems[f[len(f)-1]] = true
		}
	}
	deps, _ := os.ReadFile(filepath.Join("/lib/modules", k.Release, "modules.dep"))
	for line := range strings.Lines(string(deps)) {
		path, _, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		k.Modules[strings.ReplaceAll(name, "-", "_")] = true
	}
	if b, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil {
		k.MaxUserNamespaces, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	for _, d := range devices {
		_, err := os.Stat(d)
		k.Devices[d] = err == nil
	}
	k.DataFS, k.ImageFS = fsType(dataDir), fsType(imageDir)
	return k
}

// magics are the numbers of statfs(2) for file systems that people put data on.
var magics = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", 0x2fc12fc1: "zfs", unix.F2FS_SUPER_MAGIC: "f2fs",
}

func fsType(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(existing(dir), &st) != nil {
		return ""
	}
	if name := magics[st.Type]; name != "" {
		return name
	}
	return fmt.Sprintf("0x%x", st.Type)
}

// existing is the nearest directory above that is there.
func existing(dir string) string {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// The least kernel: id-mapped mounts of ext4, xfs and btrfs, cgroup.kill and
// new mount calls are all in 5.15; 6.1, Debian 12's, is what is tested.
var leastKernel, testedKernel = [2]int{5, 15}, [2]int{6, 1}

// version reads "6.12.0-1-amd64"; what is no version is 0.0.
func version(release string) (v [2]int) {
	major, rest, _ := strings.Cut(release, ".")
	minor := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	v[0], _ = strconv.Atoi(major)
	if len(minor) > 0 {
		v[1], _ = strconv.Atoi(minor[0])
	}
	return v
}

func older(a, b [2]int) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

// Judge looks for what machines of every runtime need, and for what some do.
func (k Kernel) Judge() vitrine.Finding {
	const check = "kernel"
	v := version(k.Release)
	if older(v, leastKernel) {
		return fail(check, "install Linux 6.1 or later, as Debian 12 has", "Linux %s is older than %d.%d", k.Release, leastKernel[0], leastKernel[1])
	}
	if k.MaxUserNamespaces <= 0 {
		return fail(check, "sysctl -w user.max_user_namespaces=15000", "user namespaces are switched off")
	}
	if !k.Filesystems["overlay"] && !k.Modules["overlay"] {
		return fail(check, "install the kernel's modules package; the file system overlay is missing", "Linux %s without overlay", k.Release)
	}
	var lacks, load []string
	for _, d := range []struct{ path, module, of string }{
		{"/dev/net/tun", "tun", "virtual machines get their network by it"},
		{"/dev/loop-control", "loop", "without it a container's disk is in memory"},
	} {
		switch {
		case k.Devices[d.path]:
		case k.Modules[d.module]:
			lacks, load = append(lacks, d.path+" is missing: "+d.of), append(load, d.module)
		default:
			lacks = append(lacks, d.path+" is missing, and so is its module: "+d.of)
		}
	}
	if idMapped[k.ImageFS] == [2]int{} || older(v, idMapped[k.ImageFS]) {
		lacks = append(lacks, fmt.Sprintf("the images are on %s, on which Linux %s maps no ids: the container runtime needs ext4, xfs or btrfs", orUnknown(k.ImageFS), k.Release))
	}
	if older(v, testedKernel) {
		lacks = append(lacks, fmt.Sprintf("Linux %s is older than 6.1, the least that is tested", k.Release))
	}
	if len(lacks) > 0 {
		remedy := "set VITRINE_IMAGE_DIR, or use a kernel that has it"
		if len(load) > 0 {
			remedy = "modprobe " + strings.Join(load, " ")
		}
		return warn(check, remedy, "%s", strings.Join(lacks, "; "))
	}
	kvm := "no /dev/kvm"
	if k.Devices["/dev/kvm"] {
		kvm = "/dev/kvm"
	}
	return pass(check, "Linux %s: overlay, user namespaces, id-mapped mounts on %s, tun, loop, %s", k.Release, k.ImageFS, kvm)
}

// idMapped is since when a file system takes id-mapped mounts (mount_setattr(2)).
var idMapped = map[string][2]int{"ext4": {5, 12}, "xfs": {5, 12}, "btrfs": {5, 15}, "f2fs": {5, 18}, "tmpfs": {6, 3}, "zfs": {6, 1}}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown file system"
	}
	return s
}
