package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// nodeKey is the node's one secret, from which all others are derived, each
// under a label of its own.
type nodeKey [32]byte

// loadNodeKey reads the key from the data directory, or makes it there once.
func loadNodeKey(dataDir string) (nodeKey, error) {
	path := filepath.Join(dataDir, "node.key")
	var key nodeKey
	b, err := os.ReadFile(path)
	switch {
	case err == nil && len(b) == len(key):
		copy(key[:], b)
		return key, nil
	case err == nil:
		return key, vitrine.Errorf(vitrine.ClassInvalid, "node_key_broken", "%s holds %d bytes, not %d", path, len(b), len(key)).
			WithRemedy("restore it from a backup, or end all sessions and remove it: a new one is then made")
	case !errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("reading the node's key: %w", err)
	}
	_, _ = rand.Read(key[:]) // never fails (Go 1.24)
	tmp := path + ".tmp"
	if err := writeSynced(tmp, key[:]); err != nil {
		os.Remove(tmp)
		return key, fmt.Errorf("writing the node's key: %w", err)
	}
	return key, os.Rename(tmp, path)
}

// writeSynced writes a file of mode 0600 and waits until it is on the disk: a
// key that a power cut empties would cut the node off from its machines.
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// derive gives the secret for a purpose.
func (k nodeKey) derive(purpose string) []byte {
	m := hmac.New(sha256.New, k[:])
	m.Write([]byte(purpose))
	return m.Sum(nil)
}

// agentSecret is what the agent of a machine wants to see with every request.
func (k nodeKey) agentSecret(machineID string) string {
	return hex.EncodeToString(k.derive("agent " + machineID))
}

// prepareDataDir makes the directory and takes its lock, so that no two daemons
// ever work on one.
func prepareDataDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "data_dir_unusable", "the data directory %s cannot be made", dir).
			WithRemedy("run as root, or set VITRINE_DATA_DIR to a directory this user may write").WithCause(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "data_dir_unusable", "the data directory %s cannot be written", dir).
			WithRemedy("run as root, or set VITRINE_DATA_DIR to a directory this user may write").WithCause(err)
	}
	// A daemon that was killed while it started a program may leave the lock to that
	// child, which has it until it becomes the program.
	until := time.Now().Add(lockWait)
	for syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		if time.Now().Before(until) {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		f.Close()
		return nil, vitrine.Errorf(vitrine.ClassConflict, "data_dir_in_use", "another daemon is running over %s", dir).
			WithRemedy("stop it first, or give this one its own VITRINE_DATA_DIR, VITRINE_BRIDGE and ports (docs/operations.md)")
	}
	return func() { f.Close() }, nil
}

// lockWait is how long the lock of a killed daemon may outlive it.
const lockWait = time.Second
