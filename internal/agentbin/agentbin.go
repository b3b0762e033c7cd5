// Package agentbin carries the guest agent inside the daemon's own binary, so
// that its file cannot go missing from an image and its version cannot drift
// from the daemon's. `make` builds the agent into dist/ first; without it this
// package compiles and Install says what to run.
//
// It may write one file into a directory it is given. It must not run it.
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

// ErrNotBuilt says that this binary was built without the agent.
var ErrNotBuilt = errors.New("this binary holds no agent: agent not built: run make")

// Install writes the agent to dir, which is made, and gives its path. The name
// holds the digest of the content, so that machines of an earlier version keep
// the file they run; one that is there and whole is not written again. It is
// root's, mode 0755, and gets its name only when it is whole.
func Install(dir string) (string, error) {
	agent, err := files.ReadFile("dist/vitrine-agent")
	if err != nil {
		return "", ErrNotBuilt
	}
	return install(dir, agent)
}

func install(dir string, agent []byte) (string, error) {
	sum := sha256.Sum256(agent)
	path := filepath.Join(dir, "vitrine-agent-"+hex.EncodeToString(sum[:8]))
	if whole(path, sum) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("installing the agent: %w", err)
	}
	f, err := os.CreateTemp(dir, ".vitrine-agent-*")
	if err != nil {
		return "", fmt.Errorf("installing the agent: %w", err)
	}
	_, err = f.Write(agent)
	err = errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("installing the agent: %w", err)
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
