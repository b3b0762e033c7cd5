package main

import (
	"fmt"
	"net/netip"
	"os"
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
		MemoryMB: max(hostMemoryMB()-s.HostReserveMB, 0),
		VCPU:     runtime.NumCPU() * cpuOvercommit,
		Sessions: s.MaxSessions,
	}
}

// diskWatermarkMB is the least free space for a new session: what a desktop
// writes in its first minutes (profile, caches), and room for the database.
const diskWatermarkMB = 512

// admitDisk refuses a new session while the data directory is nearly full.
func admitDisk(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("looking at the data directory's disk: %w", err)
	}
	free := int(st.Bavail * uint64(st.Bsize) >> 20)
	if free >= diskWatermarkMB {
		return nil
	}
	return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "the data directory has %d MB free; a session needs %d MB", free, diskWatermarkMB).AsError()
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
