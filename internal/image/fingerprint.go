package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// fingerprint is a digest of the state of every inode below root: name, inode
// number, size, mode, owner, mtime and ctime. Nobody can change a file's
// content or attributes without changing its ctime, short of changing the
// clock or writing to the block device, so an equal fingerprint means that the
// tree is as it was when it was last read in full. It costs a directory read
// and an lstat(2) a path: about 30 ms for the 20 000 paths of a desktop.
func fingerprint(ctx context.Context, root string) (string, error) {
	w := &walker{root: root}
	w.wake = sync.NewCond(&w.mu)
	w.queue = []string{"."}
	w.open = 1
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { w.work(ctx) })
	}
	wg.Wait()
	if w.err != nil {
		return "", fmt.Errorf("look at the image's files: %w", w.err)
	}
	slices.SortFunc(w.sums, func(a, b dirSum) int { return cmp.Compare(a.path, b.path) })
	h := sha256.New()
	for _, s := range w.sums {
		fmt.Fprintf(h, "%q %x\n", s.path, s.sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// walker visits directories in any order, several at a time.
type walker struct {
	root string

	mu    sync.Mutex
	wake  *sync.Cond
	queue []string // directories to visit, relative to root
	open  int      // queued or being visited
	sums  []dirSum
	err   error
}

type dirSum struct {
	path string
	sum  [sha256.Size]byte
}

func (w *walker) work(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 && w.open > 0 && w.err == nil {
			w.wake.Wait()
		}
		if w.open == 0 || w.err != nil {
			return
		}
		dir := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.mu.Unlock()
		sum, below, err := sumDir(w.root, dir)
		if err == nil {
			err = ctx.Err()
		}
		w.mu.Lock()
		w.open += len(below) - 1
		w.queue = append(w.queue, below...)
		w.sums = append(w.sums, dirSum{dir, sum})
		if err != nil && w.err == nil {
			w.err = err
		}
		w.wake.Broadcast()
	}
}

// sumDir digests one directory's own inode and its entries, and gives the
// directories below it.
func sumDir(root, dir string) (sum [sha256.Size]byte, below []string, err error) {
	d, err := os.OpenFile(filepath.Join(root, dir), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return sum, nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return sum, nil, err
	}
	slices.Sort(names)
	var st unix.Stat_t
	fd := int(d.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return sum, nil, fmt.Errorf("stat %s: %w", dir, err)
	}
	buf := appendStat(make([]byte, 0, 96*(len(names)+1)), ".", &st)
	for _, name := range names {
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return sum, nil, fmt.Errorf("stat %s: %w", filepath.Join(dir, name), err)
		}
		buf = appendStat(buf, name, &st)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			below = append(below, filepath.Join(dir, name))
		}
	}
	return sha256.Sum256(buf), below, nil
}

func appendStat(buf []byte, name string, st *unix.Stat_t) []byte {
	le := binary.LittleEndian
	buf = le.AppendUint32(buf, uint32(len(name)))
	buf = append(buf, name...)
	buf = le.AppendUint64(buf, st.Ino)
	buf = le.AppendUint32(buf, st.Mode)
	buf = le.AppendUint32(buf, st.Uid)
	buf = le.AppendUint32(buf, st.Gid)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		buf = le.AppendUint64(buf, uint64(st.Size)) // a directory's depends on its past
	}
	for _, t := range []unix.Timespec{st.Mtim, st.Ctim} {
		buf = le.AppendUint64(buf, uint64(t.Sec))
		buf = le.AppendUint64(buf, uint64(t.Nsec))
	}
	return buf
}
