package machinedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files of a machine's directory.
const (
	SpecFile       = "spec.json"
	PlanFile       = "plan.json"
	LockFile       = "supervisor.lock"
	SupervisorFile = "supervisor.json"
	MachineFile    = "machine.json"
	ExitFile       = "exit.json"
	ConsoleFile    = "console.log"
	ConsoleFIFO    = "console.fifo"
	RuntimeLog     = "runtime.log"
	ScratchFile    = "scratch.img"
	DeletingFile   = "deleting"
	BootFile       = "boot.img" // a VM's boot drive; ScratchFile is its disk
	// BootedFile is there when a VMM that runs has been told to run its guest.
	BootedFile = "booted"
)

// Dir is one machine's directory.
type Dir string

// Join names a file in it.
func (d Dir) Join(name string) string { return filepath.Join(string(d), name) }

// Has says whether a file is there.
func (d Dir) Has(name string) bool {
	_, err := os.Lstat(d.Join(name))
	return err == nil
}

// Exit is how a machine ended. Code is -1 when nobody saw it end: the
// supervisor was killed before it.
type Exit struct {
	Code     int       `json:"code"`
	Signal   int       `json:"signal,omitempty"`
	At       time.Time `json:"at"`
	OOMKills int       `json:"oom_kills"`
	// Error is set when the machine never ran.
	Error string `json:"error,omitempty"`
}

// maxState bounds a state file in bytes; they are ours, but a disk can lie.
const maxState = 8 << 20

// Read reads a JSON file; fs.ErrNotExist when it is not there.
func (d Dir) Read(name string, into any) error {
	f, err := os.Open(d.Join(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > maxState {
		return fmt.Errorf("reading %s: it is not a state file of ours", name)
	}
	if err := json.NewDecoder(f).Decode(into); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// Write writes a JSON file whole or not at all, mode 0600. It is not synced: a
// killed process loses nothing by that, and after a crash of the host no machine
// runs and the directory's name, by which it is deleted, is what counts. Five
// syncs a start cost seconds on a busy disk.
func (d Dir) Write(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	f, err := os.CreateTemp(string(d), name+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.Join(name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// Remove removes the directory. The deleting marker goes last, so that what an
// interrupted removal leaves is never taken for a machine that can start.
func (d Dir) Remove() error {
	if err := os.WriteFile(d.Join(DeletingFile), nil, 0o600); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != DeletingFile {
			if err := os.RemoveAll(d.Join(e.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(string(d))
}
