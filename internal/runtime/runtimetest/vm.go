package runtimetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// VM is what a runtime under test says of its virtual machines.
type VM struct {
	// Overhead is what the host's limit holds beyond a guest's 256 MiB, in bytes.
	Overhead int64
	// Kernel gives the guest's kernel and its modules ("" for none); nil takes
	// the kernel image that `vitrine image build kernel` left in the cache.
	Kernel func(t testing.TB) (kernel, modules string)
	// Network makes the product's own network, with its state in dir.
	Network func(dir string) (vitrine.Network, error)
	// Starts is how many machines are started and killed in a row.
	Starts int
	// OneCPU says that the guest's kernel uses one processor however many it is
	// given.
	OneCPU bool
	// Unfiltered says that the VMM was built without the seccomp filters that its
	// releases have.
	Unfiltered bool
	// Flood is how many bytes a guest is to print at once; 0 is 3 MiB, which takes
	// minutes where each byte is an exit from an emulated kernel.
	Flood int
	// Limit is how long any one call may take before a test says that it hangs; 0
	// is two minutes.
	Limit time.Duration
}

// vmLimit is limit where a processor is emulated, on a host busy with tests.
const vmLimit = 2 * time.Minute

// Full says that tests may take many minutes (make test-all).
func Full() bool { return os.Getenv("VITRINE_TEST_FULL") != "" }

// Guest is what virtual machines are made of.
type Guest struct {
	InitPath string
	CacheDir string
	Kernel   string
	Modules  string
}

// Files is the vm.Source of the suite: an image's disk lies beside its root, as
// in the image store.
func (g Guest) Files(_ context.Context, spec vitrine.MachineSpec) (vm.Files, error) {
	f := vm.Files{Kernel: g.Kernel, Modules: g.Modules}
	if _, err := os.Stat(g.Kernel); err != nil {
		return f, vitrine.NewFailure(vitrine.FailKernelMissing, nil, "the guest kernel is not in the store").AsError()
	}
	if spec.RootFS != "" {
		f.Disk = filepath.Join(filepath.Dir(spec.RootFS), "disk.squashfs")
	}
	return f, nil
}

func (v *VM) guest(t *testing.T) Guest {
	t.Helper()
	init, err := buildInit()
	must(t, err)
	g := Guest{InitPath: init, CacheDir: filepath.Join(t.TempDir(), "cache")}
	if v.Kernel != nil {
		g.Kernel, g.Modules = v.Kernel(t)
	} else {
		g.Kernel, g.Modules = kernelImage(t)
	}
	return g
}

// buildInit builds the guest's init once a test binary; VITRINE_TEST_INIT names
// one that is built already.
var buildInit = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("VITRINE_TEST_INIT"); p != "" {
		return p, nil
	}
	return build("vitrine-init", "CGO_ENABLED=0", "-ldflags", "-s -w")
})

// imageRoot finds an image that was built into the cache by its name: the
// newest, "" when there is none.
func imageRoot(name string) string {
	cache := os.Getenv("VITRINE_CACHE_DIR")
	if cache == "" {
		cache = "/var/cache/vitrine"
	}
	manifests, _ := filepath.Glob(filepath.Join(cache, "images/*/manifest.json"))
	root, newest := "", time.Time{}
	for _, m := range manifests {
		var image vitrine.Manifest
		text, err := os.ReadFile(m)
		if err == nil && json.Unmarshal(text, &image) == nil && image.Name == name && !image.BuiltAt.Before(newest) {
			root, newest = filepath.Join(filepath.Dir(m), "rootfs"), image.BuiltAt
		}
	}
	return root
}

// kernelImage is the kernel image of the cache, or the directory that
// VITRINE_TEST_KERNEL names.
func kernelImage(t testing.TB) (kernel, modules string) {
	t.Helper()
	root := os.Getenv("VITRINE_TEST_KERNEL")
	if root == "" {
		root = imageRoot("kernel")
	}
	if root == "" {
		t.Skip("there is no guest kernel: vitrine image build kernel")
	}
	modules = filepath.Join(root, "modules.cpio")
	if _, err := os.Stat(modules); err != nil {
		modules = ""
	}
	return filepath.Join(root, "vmlinux"), modules
}

// makeDisk makes an image's disk beside its root. It is not compressed: who
// reads it is emulated.
func makeDisk(t testing.TB, root string) {
	t.Helper()
	tool, err := exec.LookPath("mksquashfs")
	if err != nil {
		t.Skip("mksquashfs is missing: apt-get install squashfs-tools")
	}
	out, err := exec.Command(tool, root, filepath.Join(filepath.Dir(root), "disk.squashfs"), "-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX").CombinedOutput()
	if err != nil {
		t.Fatalf("mksquashfs: %v\n%s", err, out)
	}
}

// nodeEnv is set in the copy of the test program that is the node.
const nodeEnv = "VITRINE_TEST_NODE"

// enterNode runs the tests in a network and a mount namespace of their own: the
// bridge and the firewall are the product's, and the host sees none of them.
func enterNode() {
	if os.Getenv(nodeEnv) != "" {
		err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err == nil {
			err = unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "making the tests' node:", err)
			os.Exit(1)
		}
		return
	}
	runtime.LockOSThread() // the death signal is this thread's, not the process's
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), nodeEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the tests' node:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
