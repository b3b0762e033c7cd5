package firecracker_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker"
	"github.com/vitrine-dev/vitrine/internal/runtime/kvm"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// linux is the runtime with a Linux in its machines, for the suite of all
// runtimes. On a host whose KVM is fast that is Debian's kernel image; on one that
// emulates, the test kernel (make test-kernel), which is told so by guest.json.
var linux = runtimetest.Factory{
	New: func(e runtimetest.Env) (vitrine.Runtime, error) {
		g, err := emulated()
		if err != nil {
			return nil, err
		}
		return firecracker.New(firecracker.Config{
			Program: os.Getenv("FIRECRACKER_BIN"), Jailer: os.Getenv("JAILER_BIN"), Floor: 1, CPUConfig: g.CPUConfig,
			Config: vm.Config{
				Config: supervised.Config{
					BaseDir: e.BaseDir, CgroupParent: e.CgroupParent, AgentPath: e.AgentPath, ShimCommand: e.ShimCommand,
					DiskBytes: e.DiskBytes, BootLimit: g.bootLimit,
				},
				Files: e.Guest.Files, InitPath: e.Guest.InitPath, CacheDir: e.Guest.CacheDir, KernelArgs: g.Args,
			},
		})
	},
	VM: &runtimetest.VM{
		Overhead: 65 << 20, Starts: 3, // the tiny guest does fifty
		Limit: 6 * time.Minute, // a boot takes half a minute where it is emulated, and the host may be busy
		Network: func(dir string) (vitrine.Network, error) {
			return network.New(network.Config{
				Bridge: "fcbr0", Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")},
				DNS: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, StateDir: dir,
			})
		},
	},
}

// guest is what a guest must be told of its processor.
type guest struct {
	Args      []string        `json:"args"`
	CPUConfig json.RawMessage `json:"cpu_config"`
	bootLimit time.Duration
}

// testKernel is where make test-kernel puts the kernel for hosts that emulate.
func testKernel() string {
	cache := os.Getenv("VITRINE_CACHE_DIR")
	if cache == "" {
		cache = "/var/cache/vitrine"
	}
	return filepath.Join(cache, "test-kernel", "current")
}

func emulated() (guest, error) {
	if os.Getenv("VITRINE_TEST_EMULATED") == "" {
		return guest{}, nil
	}
	g := guest{bootLimit: 4 * time.Minute}
	text, err := os.ReadFile(filepath.Join(testKernel(), "guest.json"))
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	return g, err
}

// TestLinux is the suite that every runtime passes.
func TestLinux(t *testing.T) {
	if os.Getenv("FIRECRACKER_BIN") == "" {
		t.Skip("skipped: no firecracker binary (FIRECRACKER_BIN and JAILER_BIN name them)")
	}
	if _, err := kvm.Probe(t.Context()); err != nil {
		t.Setenv("VITRINE_TEST_EMULATED", "1") // for the processes that the suite starts too
		if _, err := emulated(); err != nil {
			t.Fatalf("this host emulates guest kernels, and there is no test kernel: make test-kernel (%v)", err)
		}
		linux.VM.OneCPU, linux.VM.Flood = true, 64<<10
		linux.VM.Kernel = func(testing.TB) (string, string) { return filepath.Join(testKernel(), "vmlinux"), "" }
	}
	// A build for glibc, which is not a release, comes without its filters.
	linux.VM.Unfiltered = os.Getenv("FIRECRACKER_UNFILTERED") != ""
	runtimetest.Run(t, linux)
}
