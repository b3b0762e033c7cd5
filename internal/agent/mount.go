package agent

import (
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// scratch is what a desktop needs to be writable, and how.
var scratch = []struct {
	path string
	mode os.FileMode
}{
	{"/tmp", 0o777 | os.ModeSticky},
	{"/dev/shm", 0o777 | os.ModeSticky},
	{"/run/user", 0o755},
}

// prepareMachine makes what the runtime did not give. A failure is logged and
// not more: what really stands in the way shows itself with the program that
// needs it, and that one has a name.
func prepareMachine(log *slog.Logger) {
	for _, s := range scratch {
		if usable(s.path) {
			continue
		}
		_ = os.MkdirAll(s.path, s.mode.Perm())
		if usable(s.path) {
			_ = os.Chmod(s.path, s.mode)
			continue
		}
		if err := unix.Mount("tmpfs", s.path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			log.Warn("a directory that programs write to is missing", "path", s.path, "err", err)
			continue
		}
		_ = os.Chmod(s.path, s.mode)
	}
	// The X server refuses a socket directory that is not root's and sticky.
	x11 := "/tmp/.X11-unix"
	if err := os.Mkdir(x11, 0o777); err == nil {
		_ = os.Chmod(x11, 0o777|os.ModeSticky)
	}
}

// usable says whether files can be made in a directory.
func usable(dir string) bool {
	f, err := os.CreateTemp(dir, ".vitrine-*")
	if err != nil {
		return false
	}
	name := f.Name()
	_ = f.Close()
	return os.Remove(filepath.Clean(name)) == nil
}
