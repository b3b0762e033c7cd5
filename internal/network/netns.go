package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// threadNetns is the network namespace of the calling thread (proc(5)).
const threadNetns = "/proc/thread-self/ns/net"

// makeNetns makes a namespace and binds it to path. It does not exist without
// that mount, so a kill at any point leaves at most a file that List sees.
func makeNetns(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	return aside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		// Before there is an interface, so that none ever has an IPv6 address.
		for _, who := range []string{"all", "default"} {
			if err := setSysctl("ipv6/conf/"+who+"/disable_ipv6", "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := unix.Mount(threadNetns, path, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind to %s: %w", path, err)
		}
		return nil
	})
}

// aside runs f on a thread that may leave its network namespace, and brings the
// thread back. A thread that cannot be brought back ends with its goroutine.
func aside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open(threadNetns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer unix.Close(home)
		err = f()
		// The main thread must come home above all: it is what others see as
		// the process's namespace.
		if back := unix.Setns(home, unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		} else if err == nil {
			err = fmt.Errorf("return to the host's namespace: %w", back)
		}
		done <- err
	}()
	return <-done
}

// removeNetns unbinds and removes the file at path; the kernel ends the
// namespace when its last process has gone.
func removeNetns(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // not, or no longer, a mount
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isNetns says whether a namespace is bound to path.
func isNetns(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// inhabited says whether a process lives in the namespace bound to path.
func inhabited(path string) bool {
	var want, st unix.Stat_t
	if unix.Stat(path, &want) != nil {
		return false
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, p := range procs {
		if name := p.Name(); name[0] >= '0' && name[0] <= '9' &&
			unix.Stat("/proc/"+name+"/ns/net", &st) == nil && st.Ino == want.Ino && st.Dev == want.Dev {
			return true
		}
	}
	return false
}

// netnsMachines lists the machines of this bridge that have a file in netnsDir.
func (n *Network) netnsMachines() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), n.netnsPrefix()); ok && machineForm.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// setSysctl writes a value below /proc/sys/net of the thread's namespace.
func setSysctl(name, value string) error {
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set net/%s to %s: %w", name, value, err)
	}
	return nil
}

func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/net/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
