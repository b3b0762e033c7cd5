// Package tiny carries the tiny guest (guest/tiny, C and assembly of this
// repository) inside the daemon: a kernel of a few kilobytes that does the one
// thing that its command line says. The firecracker runtime's probe boots it, and
// its tests see with it in a second what a Linux shows in half a minute.
//
// `make` builds it into dist/ first; without it this package compiles and Install
// says what to run. It may write one file into a directory it is given.
package tiny

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed all:dist
var files embed.FS

// ErrNotBuilt says that this binary was built without the guest.
var ErrNotBuilt = errors.New("this binary holds no tiny guest: run make")

// Up is what the guest prints first when it came up; the memory that it was
// given, in KiB, and the word KiB follow.
const Up = "tiny: up with "

// Argument is the word of the kernel's command line that makes the guest do what
// mode says: idle, panic, oom, noroot, hang, silent, flood, reboot, fault.
func Argument(mode string) string { return "tiny=" + mode }

// Install writes the guest to dir, which must exist, under a name that holds its
// digest, and gives its path. One that is there already is left as it is.
func Install(dir string) (string, error) {
	guest, err := files.ReadFile("dist/tiny")
	if err != nil {
		return "", ErrNotBuilt
	}
	sum := sha256.Sum256(guest)
	path := filepath.Join(dir, "tiny-"+hex.EncodeToString(sum[:8]))
	if have, err := os.ReadFile(path); err == nil && sha256.Sum256(have) == sum {
		return path, nil
	}
	f, err := os.CreateTemp(dir, ".tiny-*")
	if err != nil {
		return "", fmt.Errorf("installing the tiny guest: %w", err)
	}
	_, err = f.Write(guest)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("installing the tiny guest: %w", err)
	}
	return path, nil
}
