package main

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

func newPool(p netip.Prefix) (vitrine.AddressPool, error) { return vitrine.NewAddressPool(p) }

// hostMemoryMB is the host's memory: MemTotal of /proc/meminfo, in MiB.
func hostMemoryMB() int { return meminfoMB("MemTotal:") }

// hostAvailableMB is what could be had now without swapping (MemAvailable).
func hostAvailableMB() int { return meminfoMB("MemAvailable:") }

func meminfoMB(field string) int {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return kb / 1024
		}
	}
	return 0
}

// capacity is what the host lends to sessions. Memory is never lent twice; CPU
// is shared, so the sum of vCPU may be sixteen times the cores: desktops idle
// most of their life (0.004 cores with a viewer on a still page), and one that
// does not is held by its own quota.
func capacity(s settings) vitrine.Capacity {
	const cpuOvercommit = 16
	return vitrine.Capacity{
		// At least one: none at all would mean no bound.
		MemoryMB: max(hostMemoryMB()-s.HostReserveMB, 1),
		VCPU:     runtime.NumCPU() * cpuOvercommit,
		Sessions: s.MaxSessions,
	}
}

// freeMB is the room on a directory's disk, MiB.
func freeMB(dir string) (int, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("looking at the data directory's disk: %w", err)
	}
	return int(st.Bavail * uint64(st.Bsize) >> 20), nil
}

// admitDisk refuses a new session while the data directory is under its low
// watermark: what desktops write in their first minutes (profile, caches), room
// for the database, and all that before running sessions must be ended.
func admitDisk(set settings) error {
	free, err := freeMB(set.DataDir)
	if err != nil || free >= set.DiskLowMB {
		return err
	}
	f := vitrine.NewFailure(vitrine.FailHostDiskFull, []string{fmt.Sprintf("free: %d MiB, needed: %d MiB", free, set.DiskLowMB)},
		"the data directory has %d MB free, and no session is started under %d MB", free, set.DiskLowMB)
	f.Remedy = "`vitrine gc --dry-run` shows what can go; else free space there, or set VITRINE_DISK_LOW_MB"
	return f.AsError()
}

// writtenMB is what a machine has written on the data directory's disk, MiB:
// blocks that are taken, as its disk is a sparse file.
func writtenMB(dataDir, machineID string) int {
	dirs, _ := filepath.Glob(filepath.Join(dataDir, "machines", "*", machineID))
	var blocks int64
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			var st unix.Stat_t
			if err == nil && d.Type().IsRegular() && unix.Lstat(path, &st) == nil {
				blocks += st.Blocks
			}
			return nil
		})
	}
	return int(blocks * 512 >> 20) // st_blocks counts 512 bytes (stat(2))
}

// bootID tells this boot of the host from another (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func hostName() string {
	if n, err := os.Hostname(); err == nil && n != "" {
		return n
	}
	return "localhost"
}
