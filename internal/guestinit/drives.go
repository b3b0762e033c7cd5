package guestinit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The drives of a machine, by what they are for.
const (
	driveBase    = "base"
	driveAgent   = "agent"
	driveScratch = "scratch"
	driveBoot    = "boot"
)

var allDrives = []string{driveBase, driveAgent, driveScratch, driveBoot}

// Labels of the ext4 drives; the host gives them when it makes them.
const (
	labelAgent   = "vitrine-agent"
	labelScratch = "vitrine-disk"
)

// What a drive begins with. The superblock of ext4 lies at 1024 and has its
// magic at 0x38 and its label of 16 bytes at 0x78 (kernel documentation,
// filesystems/ext4/super.rst); squashfs has its magic at 0 (fs/squashfs).
const (
	squashMagic = "hsqs"
	extSuper    = 1024
	extMagicAt  = extSuper + 0x38
	extLabelAt  = extSuper + 0x78
	extLabelLen = 16
	extMagic    = 0xEF53

	headLen = extLabelAt + extLabelLen
)

// driveWait is how long the drives may take to appear after the modules are
// loaded. On the VMMs we know all are there at once: a driver looks at its
// devices while it is loaded.
const driveWait = 5 * time.Second

// maxDrives bounds how many block devices are looked at.
const maxDrives = 64

// recognise tells what a drive is for by its first bytes, "" when it is none of
// ours.
func recognise(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte(squashMagic)):
		return driveBase
	case bytes.HasPrefix(head, []byte(agentproto.BootMagic)):
		return driveBoot
	case len(head) < headLen || binary.LittleEndian.Uint16(head[extMagicAt:]) != extMagic:
		return ""
	}
	label, _, _ := bytes.Cut(head[extLabelAt:headLen], []byte{0})
	switch string(label) {
	case labelAgent:
		return driveAgent
	case labelScratch:
		return driveScratch
	}
	return ""
}

// findDrives gives the device of each drive, by what it is for. It waits until
// all are there.
func findDrives(sys, dev string, wait time.Duration) (map[string]string, error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		found, seen, err := lookAtDrives(sys, dev)
		if err != nil {
			return nil, err
		}
		missing := slices.DeleteFunc(slices.Clone(allDrives), func(d string) bool { return found[d] != "" })
		if len(missing) == 0 {
			return found, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no drive is the %s, among %d drives (%s)", strings.Join(missing, " and none the "), len(seen), strings.Join(seen, " "))
		}
	}
}

// lookAtDrives reads the head of every block device that sys lists.
func lookAtDrives(sys, dev string) (found map[string]string, seen []string, err error) {
	entries, err := os.ReadDir(sys)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("list the drives: %w", err)
	}
	found = make(map[string]string)
	for _, e := range entries[:min(len(entries), maxDrives)] {
		path := filepath.Join(dev, e.Name())
		head, err := readHead(path)
		if err != nil {
			seen = append(seen, e.Name()+": unreadable")
			continue
		}
		what := recognise(head)
		seen = append(seen, e.Name()+": "+orNone(what))
		if what == "" {
			continue
		}
		if other := found[what]; other != "" {
			return nil, nil, fmt.Errorf("both %s and %s are the %s", filepath.Base(other), e.Name(), what)
		}
		found[what] = path
	}
	return found, seen, nil
}

func orNone(what string) string {
	if what == "" {
		return "none of ours"
	}
	return what
}

func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, headLen)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it is small
	}
	return head[:n], err
}
