package flight

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hostFigures are how the host was when a session failed. What the kernel does
// not tell is left out.
type hostFigures struct {
	At          time.Time         `json:"at"`
	Kernel      string            `json:"kernel"`
	CPUs        int               `json:"cpus"`
	Load        string            `json:"load"`      // of 1, 5 and 15 min; running/all threads; newest pid (proc(5))
	MemoryKB    map[string]int64  `json:"memory_kb"` // /proc/meminfo
	Pressure    map[string]string `json:"pressure"`  // PSI: share of time, percent, in which some or all work waited
	VM          map[string]int64  `json:"vm"`        // since boot: processes killed for want of memory, pages swapped
	Processes   int               `json:"processes"` // on the host now
	Disk        diskFigures       `json:"disk"`      // of the data directory
	DaemonBytes uint64            `json:"daemon_heap_bytes"`
	Goroutines  int               `json:"daemon_goroutines"`
}

type diskFigures struct {
	TotalBytes uint64 `json:"total_bytes"`
	FreeBytes  uint64 `json:"free_bytes"` // for everybody, without root's reserve
	Inodes     uint64 `json:"inodes"`
	FreeInodes uint64 `json:"free_inodes"`
}

// maxProc bounds what is read of one file in /proc, in bytes.
const maxProc = 64 << 10

// lookAtHost reads the figures. proc is "/proc", and dir where bundles are.
func lookAtHost(proc, dir string, now time.Time) hostFigures {
	h := hostFigures{
		At: now.UTC(), Kernel: strings.TrimSpace(read(proc + "/sys/kernel/osrelease")), CPUs: runtime.NumCPU(),
		Load:     strings.TrimSpace(read(proc + "/loadavg")),
		MemoryKB: map[string]int64{}, Pressure: map[string]string{}, VM: map[string]int64{},
		Goroutines: runtime.NumGoroutine(),
	}
	for _, line := range strings.Split(read(proc+"/meminfo"), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			if n, ok := number(strings.TrimSuffix(strings.TrimSpace(value), " kB")); ok {
				h.MemoryKB[name] = n
			}
		}
	}
	for _, of := range []string{"memory", "cpu", "io"} {
		if text := strings.TrimSpace(read(proc + "/pressure/" + of)); text != "" {
			h.Pressure[of] = strings.ReplaceAll(text, "\n", "; ")
		}
	}
	for _, line := range strings.Split(read(proc+"/vmstat"), "\n") {
		name, value, _ := strings.Cut(line, " ")
		if name == "oom_kill" || name == "pswpin" || name == "pswpout" {
			h.VM[name], _ = number(value)
		}
	}
	if entries, err := os.ReadDir(proc); err == nil {
		for _, e := range entries {
			if _, ok := number(e.Name()); ok {
				h.Processes++
			}
		}
	}
	h.Disk, _ = lookAtDisk(dir)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.DaemonBytes = m.HeapAlloc
	return h
}

func lookAtDisk(dir string) (diskFigures, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return diskFigures{}, err
	}
	size := uint64(max(st.Bsize, 0))
	return diskFigures{TotalBytes: st.Blocks * size, FreeBytes: st.Bavail * size, Inodes: st.Files, FreeInodes: st.Ffree}, nil
}

func read(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxProc))
	return string(b)
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}
