package image

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
	"runtime"
	"sort"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// capabilityAttr is where the kernel keeps file capabilities (capabilities(7)).
const capabilityAttr = "security.capability"

// scanTree lists the tree below root, sorted by path, with the SHA-256 of each
// file. report gets the bytes hashed so far and the bytes there are; it may be
// nil and is called from several goroutines. Anything but files, directories
// and links is refused.
func scanTree(ctx context.Context, root string, report func(done, total int64)) ([]entry, error) {
	var entries []entry
	var total int64
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e, err := statEntry(root, p)
		if err != nil {
			return err
		}
		total += e.Size
		entries = append(entries, e)
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list the image's files: %w", err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
	var done atomic.Int64
	err = eachFile(ctx, entries, func(i int) error {
		sum, _, err := hashFile(ctx, filepath.Join(root, entries[i].Path))
		if err != nil {
			return err
		}
		entries[i].SHA256 = sum
		n := done.Add(entries[i].Size)
		if report != nil {
			report(n, total)
		}
		return nil
	})
	return entries, err
}

// statEntry gives what lstat(2) tells of one path.
func statEntry(root, p string) (entry, error) {
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return entry{}, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return entry{}, fmt.Errorf("stat %s: %w", rel, err)
	}
	e := entry{Path: rel, Mode: st.Mode &^ unix.S_IFMT, UID: st.Uid, GID: st.Gid, ModTime: st.Mtim.Sec}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = typeFile, st.Size
		if st.Mode&0o111 != 0 {
			e.Capability, err = capability(p)
		}
	case unix.S_IFDIR:
		e.Type = typeDir
	case unix.S_IFLNK:
		e.Type, e.Mode = typeLink, 0o777
		e.Target, err = os.Readlink(p)
	default:
		err = fmt.Errorf("%s is a device, socket or pipe, which an image may not hold", rel)
	}
	return e, err
}

func capability(p string) (string, error) {
	buf := make([]byte, 64) // the kernel's largest form has 24 bytes
	n, err := unix.Lgetxattr(p, capabilityAttr, buf)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the capabilities of %s: %w", p, err)
	}
	return hex.EncodeToString(buf[:n]), nil
}

// eachFile runs f for the index of every regular file, on all processors.
func eachFile(ctx context.Context, entries []entry, f func(i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(entries) || ctx.Err() != nil {
					return ctx.Err()
				}
				if entries[i].Type != typeFile {
					continue
				}
				if err := f(i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// hashBuffers spares an allocation of 256 KiB for each of 15 000 files.
var hashBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// hashFile gives the SHA-256 of a file in hex, and how many bytes it has.
func hashFile(ctx context.Context, name string) (sum string, size int64, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	buf := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(buf)
	h := sha256.New()
	if size, err = io.CopyBuffer(h, untilDone{ctx, f}, *buf); err != nil {
		return "", 0, fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// untilDone reads until a context ends: a disk has hundreds of megabytes. It
// hides os.File's WriteTo, too, which would ignore a caller's buffer.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
