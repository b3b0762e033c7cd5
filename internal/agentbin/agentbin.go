// Package agentbin carries the guest's programs inside the daemon's own binary,
// so that their files cannot go missing from an image and their version cannot
// drift from the daemon's: the agent, and the init that comes before it in a
// virtual machine. `make` builds both into dist/ first; without them this package
// compiles and Install says what to run.
//
// It may write its files into a directory it is given. It must not run them.
package agentbin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:embed all:dist
var files embed.FS

// The programs, as they lie in dist/.
const (
	agentName = "vitrine-agent"
	initName  = "vitrine-init"
)

// ErrNotBuilt says that this binary was built without the guest's programs.
var ErrNotBuilt = errors.New("this binary was built without the guest's programs: run make")

// Install writes the agent to dir, which is made, and gives its path. The name
// holds the digest of the content, so that machines of an earlier version keep
// the file they run; one that is there and whole is not written again. It is
// root's, mode 0755, and gets its name only when it is whole.
func Install(dir string) (string, error) { return installNamed(dir, agentName) }

// InstallInit does the same for a virtual machine's first program, /init of its
// initramfs.
func InstallInit(dir string) (string, error) { return installNamed(dir, initName) }

func installNamed(dir, name string) (string, error) {
	program, err := files.ReadFile("dist/" + name)
	if err != nil {
		return "", ErrNotBuilt
	}
	return install(dir, name, program)
}

func install(dir, name string, program []byte) (string, error) {
	sum := sha256.Sum256(program)
	path := filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:8]))
	if whole(path, sum) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	_, err = f.Write(program)
	err = errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	return path, nil
}

// whole says whether the file is there, ours alone to write, and unchanged.
func whole(path string, want [sha256.Size]byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Mode().Perm() != 0o755 {
		return false
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false
	}
	return [sha256.Size]byte(h.Sum(nil)) == want
}
