package main

import (
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

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
// is shared, so the sum of vCPU may be eight times the cores: desktops idle most
// of their life, and one that does not is held by its own quota.
func capacity(s settings) vitrine.Capacity {
	const cpuOvercommit = 8
	return vitrine.Capacity{
		MemoryMB: max(hostMemoryMB()-s.HostReserveMB, 0),
		VCPU:     max(runtime.NumCPU()*cpuOvercommit, 16),
		Sessions: s.MaxSessions,
	}
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
