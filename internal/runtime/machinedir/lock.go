package machinedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Lock takes the machine's lock, which serialises calls on it across processes
// (a daemon and a tool beside it). It is a flock of the directory itself, so it
// vanishes with its holder. fs.ErrNotExist when there is no such directory.
func (d Dir) Lock(ctx context.Context) (unlock func(), err error) {
	for {
		f, err := os.Open(string(d))
		if err != nil {
			return nil, err
		}
		switch err := flock(f); {
		case err == nil:
			// It may have been removed, and made again, before we had it.
			held, err1 := f.Stat()
			named, err2 := os.Stat(string(d))
			if err1 == nil && err2 == nil && os.SameFile(held, named) {
				return func() { f.Close() }, nil
			}
			f.Close()
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", d, err)
		}
		f.Close()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("locking %s: another process holds it: %w", d, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// ErrSupervised says that the machine has a supervisor already.
var ErrSupervised = errors.New("the machine has a supervisor already")

// Supervise makes the caller the machine's supervisor until it ends or closes
// the file; ErrSupervised when there is one.
func (d Dir) Supervise() (*os.File, error) {
	f, err := os.OpenFile(d.Join(LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrSupervised
		}
		return nil, err
	}
	return f, nil
}

// Supervised says whether the machine has a supervisor now.
func (d Dir) Supervised() bool {
	f, err := os.Open(d.Join(LockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		return true // cannot be ruled out
	}
	defer f.Close()
	// Shared, so that two who ask do not see each other.
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
