package machinedir

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ConsoleMax is the size of each of the ring's two files, in bytes.
const ConsoleMax = 1 << 20

// Ring writes the console: when the file is full it becomes console.log.1 and a
// new one begins, so the newest mebibyte is always there and a flood never
// takes more than two.
type Ring struct {
	dir  Dir
	file *os.File
	size int64
}

// OpenRing opens the console for appending.
func (d Dir) OpenRing() (*Ring, error) {
	r := &Ring{dir: d}
	return r, r.open()
}

func (r *Ring) open() error {
	f, err := os.OpenFile(r.dir.Join(ConsoleFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.file, r.size = f, st.Size()
	return nil
}

// Write appends. It never fails for want of disk: a console that cannot be kept
// must not stop the machine, so what does not fit is dropped.
func (r *Ring) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if r.size >= ConsoleMax {
			r.file.Close()
			_ = os.Rename(r.dir.Join(ConsoleFile), r.dir.Join(ConsoleFile+".1"))
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n := min(int64(len(p)), ConsoleMax-r.size)
		wrote, _ := r.file.Write(p[:n])
		r.size += int64(wrote)
		if int64(wrote) < n {
			break // the disk is full
		}
		p = p[n:]
	}
	return total, nil
}

// Close closes the file.
func (r *Ring) Close() error { return r.file.Close() }

// Console gives the last bytes of the console, at most ConsoleMax.
func (d Dir) Console() (io.ReadCloser, error) {
	var all []byte
	for _, name := range []string{ConsoleFile + ".1", ConsoleFile} {
		f, err := os.Open(d.Join(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, ConsoleMax))
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return io.NopCloser(bytes.NewReader(all[max(0, len(all)-ConsoleMax):])), nil
}

// Tail gives the last n non-empty lines of a text file, each cut at 400 bytes:
// evidence for a failure. None when it cannot be read.
func Tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 64<<10 {
		_, _ = f.Seek(-64<<10, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, 64<<10))
	var lines []string
	for _, l := range strings.Split(string(b), "\n") {
		if l = strings.TrimSpace(strings.ToValidUTF8(l, "?")); l != "" {
			lines = append(lines, l[:min(len(l), 400)])
		}
	}
	return lines[max(0, len(lines)-n):]
}
