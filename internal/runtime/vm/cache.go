package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cacheKeep is how many files of one kind the cache holds: those of this version
// of the daemon for two kernels, and those of the one before it.
const cacheKeep = 4

// cached gives a file of the cache, made by make under another name when it is
// not there. Of files of the same kind (what stands before the first "-") the
// least used are removed; a VMM that has one open keeps it.
func (k *Kit) cached(ctx context.Context, name string, make func(tmp string) error) (string, error) {
	at := filepath.Join(k.cfg.CacheDir, name)
	now := time.Now()
	if os.Chtimes(at, now, now) == nil {
		return at, nil
	}
	unlock, err := k.lockCache(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(at); err == nil {
		return at, nil // another start was faster
	}
	tmp := at + ".tmp"
	if err := os.RemoveAll(tmp); err != nil { // of one that was killed
		return "", err
	}
	if err := make(tmp); err != nil {
		_ = os.RemoveAll(tmp)
		return "", err
	}
	if err := os.Rename(tmp, at); err != nil {
		return "", err
	}
	kind, _, _ := strings.Cut(name, "-")
	k.prune(kind)
	return at, nil
}

// prune removes all but the newest files of a kind.
func (k *Kit) prune(kind string) {
	names, _ := filepath.Glob(filepath.Join(k.cfg.CacheDir, kind+"-*"))
	age := map[string]time.Time{}
	for _, n := range names {
		if st, err := os.Stat(n); err == nil {
			age[n] = st.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return age[b].Compare(age[a]) })
	for _, n := range names[min(len(names), cacheKeep):] {
		_ = os.Remove(n)
	}
}

// lockCache serialises who makes files, across processes.
func (k *Kit) lockCache(ctx context.Context) (func(), error) {
	f, err := os.OpenFile(filepath.Join(k.cfg.CacheDir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the cache: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking the cache: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("locking the cache: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond): // flock cannot be waited on with a limit
		}
	}
}

// sums remembers files' digests by what stat says of them, so that a start does
// not read 30 MB to find out that nothing changed.
type sums struct {
	mu   sync.Mutex
	seen map[string]sum
}

type sum struct {
	size  int64
	mtime time.Time
	hash  [sha256.Size]byte
}

func newSums() *sums { return &sums{seen: map[string]sum{}} }

// of gives a key for the content of files, in their order.
func (s *sums) of(paths ...string) (string, error) {
	all := sha256.New()
	for _, p := range paths {
		one, err := s.one(p)
		if err != nil {
			return "", err
		}
		all.Write(one[:])
	}
	return hex.EncodeToString(all.Sum(nil))[:32], nil
}

func (s *sums) one(path string) ([sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	if !st.Mode().IsRegular() {
		return [sha256.Size]byte{}, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a file")}
	}
	s.mu.Lock()
	known, ok := s.seen[path]
	s.mu.Unlock()
	if ok && known.size == st.Size() && known.mtime.Equal(st.ModTime()) {
		return known.hash, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return [sha256.Size]byte{}, err
	}
	known = sum{size: st.Size(), mtime: st.ModTime(), hash: [sha256.Size]byte(h.Sum(nil))}
	s.mu.Lock()
	s.seen[path] = known
	s.mu.Unlock()
	return known.hash, nil
}
