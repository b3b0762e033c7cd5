package firecracker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// digestBlock is the unit of digest, in bytes.
const digestBlock = 64 << 10

// digest is the SHA-256 of a file's size and of all its blocks that are not zero,
// each with its place. Holes cost nothing, and whether zeros are stored or left
// out, which a copy may change, does not matter.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	var word [8]byte
	number := func(n int64) {
		binary.BigEndian.PutUint64(word[:], uint64(n))
		h.Write(word[:])
	}
	number(st.Size())
	buf := make([]byte, digestBlock)
	done := int64(0) // blocks before this have been seen
	err = vm.Extents(f, st.Size(), func(at, n int64) error {
		for b := max(done, at/digestBlock*digestBlock); b < at+n; b += digestBlock {
			got, err := f.ReadAt(buf, b)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !zero(buf[:got]) {
				number(b)
				h.Write(buf[:got])
			}
			done = b + digestBlock
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// digests remembers digests by what stat says of a file, so that a second restore
// of a snapshot does not read gigabytes again.
type digests struct {
	mu   sync.Mutex
	seen map[fileID]string
}

func (d *digests) of(path string) (string, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return "", err
	}
	// The time of the last change of the inode cannot be set back.
	id := fileID{st.Dev, st.Ino, st.Size, st.Ctim.Nano()}
	d.mu.Lock()
	known, ok := d.seen[id]
	d.mu.Unlock()
	if ok {
		return known, nil
	}
	sum, err := digest(path)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[fileID]string{}
	}
	d.seen[id] = sum
	return sum, nil
}

// showTo mounts a directory of the host in the root of a VMM that runs.
func showTo(p machinedir.Process, dir, name string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("binding %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(tree) }()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("binding %s: %w", dir, err)
	}
	return inMountsOf(p, func() error {
		if err := unix.Mkdir("/"+name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		return unix.MoveMount(tree, "", unix.AT_FDCWD, "/"+name, unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
}

// hideFrom takes it away again.
func hideFrom(p machinedir.Process, name string) error {
	return inMountsOf(p, func() error { return unix.Unmount("/"+name, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
}

// inMountsOf runs f on a thread of its own in a process's mount namespace; the
// thread ends with it.
func inMountsOf(p machinedir.Process, f func() error) error {
	ns, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/ns/mnt")
	if err != nil {
		return err
	}
	defer ns.Close()
	if !p.Alive() {
		return machinedir.ErrGone // and the namespace is another's
	}
	return ownThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns wants a root of its own
			return err
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
		return f()
	})
}

// ownThread runs f on a thread that ends with it; never on the process's main
// thread, which cannot end and is held meanwhile when the scheduler gave us that.
func ownThread(f func() error) error {
	done := make(chan error, 1)
	var run func()
	run = func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return // still locked: the runtime ends the thread
		}
		other := make(chan struct{})
		go func() {
			defer close(other)
			run()
		}()
		<-other
		runtime.UnlockOSThread()
	}
	go run()
	return <-done
}
