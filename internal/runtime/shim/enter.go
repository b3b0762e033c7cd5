package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter is the third verb, `enter STAGE COMMAND…`: the first process of a pid and
// mount namespace that no OCI runtime sets up (the process runtime). It shows
// that namespace's own /proc and the machine's resolv.conf, and becomes the
// command. It returns only on failure.
func enter(args []string) int {
	err := func() error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			return fmt.Errorf("leaving the host's mounts: %w", err)
		}
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mounting /proc: %w", err)
		}
		resolv := filepath.Join(args[0], "etc", "resolv.conf")
		if st, err := os.Stat(resolv); err == nil && st.Size() > 0 {
			if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil && err != unix.ENOENT {
				return fmt.Errorf("showing resolv.conf: %w", err)
			}
		}
		return syscall.Exec(args[1], args[1:], os.Environ())
	}()
	fmt.Fprintln(os.Stderr, "starting the machine:", err)
	return 126
}
