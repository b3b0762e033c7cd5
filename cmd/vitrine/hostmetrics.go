package main

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// registerHost shows on /metrics what the daemon needs of its host: room on the
// disks of its two directories, and memory.
func registerHost(reg prometheus.Registerer, set settings) {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	for label, dir := range map[string]string{"data": set.DataDir, "cache": set.CacheDir} {
		at := prometheus.Labels{"dir": label}
		gauge("vitrine_disk_free_bytes", "Room that is left on the disk of a directory.", at, func() float64 { return diskOf(dir).free })
		gauge("vitrine_disk_size_bytes", "Size of the disk of a directory.", at, func() float64 { return diskOf(dir).size })
	}
	gauge("vitrine_disk_watermark_bytes", "New sessions are refused when the data directory has less room than this.", nil,
		func() float64 { return float64(set.DiskLowMB) * (1 << 20) })
	gauge("vitrine_disk_stop_bytes", "Running sessions are ended when the data directory has less room than this.", nil,
		func() float64 { return float64(set.DiskStopMB) * (1 << 20) })
	gauge("vitrine_host_memory_bytes", "Memory of the host.", nil, func() float64 { return float64(hostMemoryMB()) * (1 << 20) })
	gauge("vitrine_host_memory_available_bytes", "Memory that could be had now without swapping.", nil,
		func() float64 { return float64(hostAvailableMB()) * (1 << 20) })
}

type disk struct{ free, size float64 }

// diskOf asks for the disk of a directory, or of where it will be made.
func diskOf(dir string) disk {
	var st unix.Statfs_t
	for unix.Statfs(dir, &st) != nil && dir != "/" {
		dir = filepath.Dir(dir)
	}
	return disk{float64(st.Bavail) * float64(st.Bsize), float64(st.Blocks) * float64(st.Bsize)}
}
