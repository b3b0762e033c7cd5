package qemu_test

import (
	"net/netip"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/runtime/qemu"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// config makes the runtime's configuration of the suite's environment: software
// emulation, which every host has.
func config(e runtimetest.Env) qemu.Config {
	return qemu.Config{Config: vm.Config{
		Config: supervised.Config{
			BaseDir: e.BaseDir, CgroupParent: e.CgroupParent, AgentPath: e.AgentPath, ShimCommand: e.ShimCommand,
			DiskBytes: e.DiskBytes,
		},
		Files: e.Guest.Files, InitPath: e.Guest.InitPath, CacheDir: e.Guest.CacheDir,
	}}
}

var factory = runtimetest.Factory{
	New: func(e runtimetest.Env) (vitrine.Runtime, error) { return qemu.New(config(e)) },
	VM: &runtimetest.VM{
		Overhead: qemu.Overhead(256 << 20), Starts: starts(),
		Network: func(dir string) (vitrine.Network, error) {
			return network.New(network.Config{
				Bridge: "fcbr0", Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")},
				DNS: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, StateDir: dir,
			})
		},
	},
}

func starts() int {
	if runtimetest.Full() {
		return 50
	}
	return 10
}

func TestMain(m *testing.M) { runtimetest.Main(m, factory) }

func TestRuntime(t *testing.T) {
	runtimetest.NeedProgram(t, "qemu-system-x86_64", "apt-get install qemu-system-x86")
	runtimetest.Run(t, factory)
}

func TestDesktop(t *testing.T) {
	if !runtimetest.Full() {
		t.Skip("skipped: a browser takes minutes where its processor is emulated (VITRINE_TEST_FULL=1 or make test-all)")
	}
	runtimetest.Desktop(t, factory)
}
