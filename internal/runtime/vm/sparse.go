package vm

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// CopySparse copies a file to a new one: by sharing its blocks where the file
// system can (btrfs, xfs), else what is not a hole.
func CopySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return out.Close()
	}
	if err := out.Truncate(st.Size()); err != nil {
		return err
	}
	err = Extents(in, st.Size(), func(at, n int64) error {
		_, err := io.Copy(io.NewOffsetWriter(out, at), io.NewSectionReader(in, at, n))
		return err
	})
	return errors.Join(err, out.Close())
}

// Extents calls f for each part of a file that is not a hole.
func Extents(file *os.File, size int64, f func(at, n int64) error) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // a hole to the end
		}
		if err != nil {
			return fmt.Errorf("looking for holes: %w", err)
		}
		hole, err := unix.Seek(int(file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("looking for holes: %w", err)
		}
		if hole = min(hole, size); hole > data {
			if err := f(data, hole-data); err != nil {
				return err
			}
		}
		at = hole
	}
	return nil
}
