package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The agent is root and writes in directories of the user, whose programs may
// have put a link where a file is expected. Everything here goes through
// os.Root, which does not leave the directory it was opened on.

// base is the user's directory that path lies in, and path within it.
func (p place) base(path string) (*os.Root, string, error) {
	for _, dir := range []string{p.home, p.runtime} {
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, "", fmt.Errorf("open the user's directory: %w", err)
		}
		return root, rel, nil
	}
	return nil, "", fmt.Errorf("%s is not in a directory of the user", path)
}

// write replaces a file of the user, mode 0600, and makes the directories above.
func (p place) write(path string, data []byte) error {
	root, rel, err := p.base(path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := p.makeDirs(root, filepath.Dir(rel)); err != nil {
		return err
	}
	temp := rel + ".new"
	_ = root.Remove(temp)
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Chown(p.uid, p.gid); err != nil {
		return fmt.Errorf("give the user %s: %w", path, err)
	}
	if err := root.Rename(temp, rel); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// makeDirs makes dir, and those above it, as the user's.
func (p place) makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := p.makeDirs(root, filepath.Dir(dir)); err != nil {
		return err
	}
	err := root.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = root.Lchown(dir, p.uid, p.gid)
	}
	if err != nil {
		return fmt.Errorf("make the user's directory %s: %w", dir, err)
	}
	return nil
}

// read reads a regular file of the user of at most limit bytes.
func (p place) read(path string, limit int64) ([]byte, error) {
	root, rel, err := p.base(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(rel)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, limit)
	}
	f, err := root.OpenFile(rel, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// remove removes files of the user; those that are not there are no matter.
func (p place) remove(paths ...string) error {
	for _, path := range paths {
		root, rel, err := p.base(path)
		if err != nil {
			return err
		}
		err = root.Remove(rel)
		root.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}
