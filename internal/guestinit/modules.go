package guestinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxModules bounds how many modules are loaded; a machine needs about fifteen.
const maxModules = 128

// loadModules loads every *.ko in dir, in the order of their names: what one
// needs stands before it. No directory means that all is built in. One that
// cannot be loaded is told of and left out: what really needs it says so later.
func loadModules(dir string, say func(what string, err error)) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			say("list the modules", err)
		}
		return
	}
	for _, e := range entries[:min(len(entries), maxModules)] {
		if !strings.HasSuffix(e.Name(), ".ko") {
			continue
		}
		if err := loadModule(filepath.Join(dir, e.Name())); err != nil {
			say("load "+e.Name(), err)
		}
	}
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("finit_module: %w", err)
	}
	return nil
}
