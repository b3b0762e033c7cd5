package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/network"
	processrt "github.com/vitrine-dev/vitrine/internal/runtime/process"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// What a copy of the test program is: the host of the tests, a process that only
// stands there, or a maker that is killed in its work.
const (
	hostEnv  = "VITRINE_HOST_TEST"
	standEnv = "VITRINE_HOST_TEST_STAND"
	makerEnv = "VITRINE_HOST_TEST_MAKER"
)

// TestMain runs all tests in network and mount namespaces of their own: bridge,
// firewall and names are real, and the host that the tests run on sees none of
// them. Cgroups, processes and loop devices are the real host's, under names of
// this run's own.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(standEnv) != "":
		_, _ = io.Copy(io.Discard, os.Stdin) // until our end of it is closed, or we are killed
		os.Exit(0)
	case os.Getenv(makerEnv) != "":
		os.Exit(makeForEver(os.Getenv(makerEnv)))
	case os.Getenv(hostEnv) != "":
		if err := becomeHost(); err != nil {
			fmt.Fprintln(os.Stderr, "making the tests' host:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	case os.Geteuid() != 0:
		os.Exit(m.Run()) // needHost skips
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), hostEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "namespaces cannot be made here:", err)
	os.Exit(m.Run())
}

func becomeHost() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}

func needHost(t testing.TB) {
	t.Helper()
	if os.Getenv(hostEnv) == "" {
		t.Skip("needs root and namespaces")
	}
	for _, p := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("needs " + p)
		}
	}
}

// bridgeName is the tests' bridge; their instance is named after it and the run.
const bridgeName = "vtaudit0"

func subnet() vitrine.AddressPool {
	return vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.177.0/24")}
}

// makers are the real makers of a machine's things, over a data directory.
func makers(dataDir, instance string) (*network.Network, vitrine.Runtime, error) {
	n, err := network.New(network.Config{Bridge: bridgeName, Pool: subnet(), DNS: []netip.Addr{netip.MustParseAddr("203.0.113.53")}})
	if err != nil {
		return nil, nil, err
	}
	rt, err := processrt.New(processrt.Config{Dev: true, Config: supervised.Config{
		BaseDir: dataDir + "/machines/process", CgroupParent: "/" + instance, AgentPath: "/proc/self/exe", ShimCommand: []string{"/proc/self/exe", "shim"},
	}})
	return n, rt, err
}

// makeForEver makes machines, one after the other, until it is killed. Their ids
// are an hour old, so that no age guard hides them.
func makeForEver(dataDir string) int {
	n, rt, err := makers(dataDir, os.Getenv("INSTANCE"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	ctx := context.Background()
	for slot := 1; slot < 200; slot++ {
		id := vitrine.NewID(vitrine.PrefixMachine, anHourAgo())
		addr, _ := subnet().Address(slot)
		if _, err := n.Attach(ctx, id, slot, addr); err != nil {
			fmt.Println(err)
			return 1
		}
		err := rt.Create(ctx, vitrine.MachineSpec{ID: id, SessionID: "ses_x", Slot: slot, VCPU: 1, MemoryBytes: 64 << 20, MaxPIDs: 50, AgentConfig: []byte("{}")})
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}
