package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nodeEnv is set in the copy of the test program that is the node.
const nodeEnv = "VITRINE_NETWORK_TEST_NODE"

// TestMain runs all tests in a network namespace and a mount namespace of their
// own: the node is real, down to its bridge and firewall, and the host that the
// tests run on sees none of it.
func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		if err := becomeNode(); err != nil {
			fmt.Fprintln(os.Stderr, "make the test's node:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // needNode skips
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), nodeEnv+"=1")
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

func becomeNode() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}

// needNode skips where there is no node: no root, or no namespaces.
func needNode(t testing.TB) {
	t.Helper()
	if os.Getenv(nodeEnv) == "" {
		t.Skip("needs root and network namespaces")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft: apt-get install nftables")
	}
}
