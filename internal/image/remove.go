package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// Remove deletes one image by digest or by digits that only it begins with;
// also a damaged one. Removing what is not there is image_missing; removing one
// from which a machine runs is ClassConflict "image_in_use".
func (s *Store) Remove(ctx context.Context, ref string) error {
	hex, err := s.hexFor(ctx, ref)
	if err != nil {
		return err
	}
	pid, err := mountedBy(filepath.Join(hex, rootName))
	if err == nil && pid == "" {
		pid, err = openedBy(filepath.Join(s.dir, hex, diskName))
	}
	if err != nil {
		return err
	}
	if pid != "" {
		return vitrine.Errorf(vitrine.ClassConflict, "image_in_use", "a machine (process %s) runs from image %s", pid, hex[:12]).
			WithRemedy("end the sessions that use it, see `vitrine session list`")
	}
	// Out of sight in one step, then file by file: a kill in between leaves
	// what the next build removes.
	gone := filepath.Join(s.dir, tmpPrefix+"rm-"+hex)
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove what an earlier removal of image %s left: %w", hex[:12], err)
	}
	if err := os.Rename(filepath.Join(s.dir, hex), gone); err != nil {
		return fmt.Errorf("remove image %s: %w", hex[:12], err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove image %s: %w", hex[:12], err)
	}
	return nil
}

// hexFor finds the one image directory that ref names.
func (s *Store) hexFor(ctx context.Context, ref string) (string, error) {
	img, err := s.Find(ctx, ref)
	if err == nil {
		return img.Digest[len(digestPrefix):], nil
	}
	var c *corruptError
	if errors.As(err, &c) {
		return c.hex, nil
	}
	return "", err
}

// mountedBy gives a process in whose mount namespace something is mounted from
// the directory tail ("<hex>/rootfs"), or "". A bind mount shows it as the
// mount's root, an overlay as its lowerdir; both are in mountinfo (proc(5)).
func mountedBy(tail string) (string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return "", err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended, or is a kernel thread's
		}
		if bytes.Contains(text, []byte("/"+tail)) {
			return filepath.Base(filepath.Dir(name)), nil
		}
	}
	return "", nil
}

// openedBy gives a process that has the file open, or "". It is found by its
// inode: a VMM in a chroot of its own knows it by another name.
func openedBy(file string) (string, error) {
	var want, st unix.Stat_t
	err := unix.Stat(file, &want)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", file, err)
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	if err != nil {
		return "", err
	}
	for _, fd := range fds {
		if unix.Stat(fd, &st) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
			return filepath.Base(filepath.Dir(filepath.Dir(fd))), nil
		}
	}
	return "", nil
}
