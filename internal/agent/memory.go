package agent

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// maxProcFile bounds what is read of one file of /proc or /sys, in bytes.
const maxProcFile = 64 << 10

// Where the kernel tells of memory. In a container /proc/meminfo is the host's
// and the cgroup's files are the machine's, so the cgroup wins where it has a
// limit; both hierarchies occur (v2 first).
var (
	pressureFiles = []string{"/sys/fs/cgroup/memory.pressure", "/proc/pressure/memory"}
	limitFiles    = [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	}
	oomFiles = [][2]string{
		{"/sys/fs/cgroup/memory.events", "oom_kill"},
		{"/sys/fs/cgroup/memory/memory.oom_control", "oom_kill"},
		{"/proc/vmstat", "oom_kill"},
	}
	statFiles = [][2]string{
		{"/sys/fs/cgroup/memory.stat", "inactive_file"},
		{"/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"},
	}
)

// readMemory tells how the machine's memory is; what the kernel does not tell
// is 0, or -1 for pressure.
func readMemory() agentproto.Memory {
	m := agentproto.Memory{SomeAvg10: -1, FullAvg10: -1}
	info := readFields("/proc/meminfo")
	m.TotalBytes, m.AvailableBytes = info["MemTotal:"]<<10, info["MemAvailable:"]<<10
	for i, f := range limitFiles {
		limit, ok1 := readInt(f[0])
		used, ok2 := readInt(f[1])
		if !ok1 || !ok2 || limit <= 0 || limit > m.TotalBytes {
			continue // no limit of its own: "max", or v1's huge number
		}
		// Cache that can be dropped is available, as in MemAvailable.
		used -= min(used, readFields(statFiles[i][0])[statFiles[i][1]])
		m.TotalBytes = limit
		m.AvailableBytes = min(m.AvailableBytes, max(limit-used, 0))
		break
	}
	for _, f := range pressureFiles {
		if some, full, ok := parsePressure(readProc(f)); ok {
			m.SomeAvg10, m.FullAvg10 = some, full
			break
		}
	}
	for _, f := range oomFiles {
		if n, ok := readFields(f[0])[f[1]]; ok {
			m.OOMKills = n
			break
		}
	}
	return m
}

// parsePressure reads "some avg10=1.23 …" and "full avg10=…" (kernel
// documentation, accounting/psi).
func parsePressure(data []byte) (some, full float64, ok bool) {
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimPrefix(fields[1], "avg10="), 64)
		if err != nil || !(v >= 0 && v <= 100) { // NaN is neither
			continue
		}
		switch fields[0] {
		case "some":
			some, ok = v, true
		case "full":
			full = v
		}
	}
	return some, full, ok
}

// readFields reads a file of "name value [unit]" lines.
func readFields(path string) map[string]int64 {
	out := make(map[string]int64)
	lines := bufio.NewScanner(bytes.NewReader(readProc(path)))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			out[fields[0]] = n
		}
	}
	return out
}

func readInt(path string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(readProc(path))), 10, 64)
	return n, err == nil
}

func readProc(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxProcFile))
	return data
}
