package cgroup

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
)

// reported are the files that say what became of a group's processes, of both
// versions; a host has some of them.
var reported = map[string][]string{
	"memory": {
		"memory.events", "memory.max", "memory.current", "memory.peak", "memory.pressure", "memory.stat", // v2
		"memory.oom_control", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", // v1
	},
	"cpu":  {"cpu.stat", "cpu.max", "cpu.pressure", "cpu.cfs_quota_us"},
	"pids": {"pids.current", "pids.max", "pids.events"},
}

// maxReported bounds what is read of one file, in bytes: memory.stat, the
// longest, has some two thousand.
const maxReported = 8 << 10

// Report is what the kernel counts for the group, as text: each file under its
// name. It is empty when the group is gone.
func (g *Group) Report() []byte {
	var b bytes.Buffer
	for _, controller := range []string{"memory", "cpu", "pids"} {
		dir := g.Dir(controller)
		if dir == "" {
			continue
		}
		for _, name := range reported[controller] {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			text, _ := io.ReadAll(io.LimitReader(f, maxReported))
			f.Close()
			if text = bytes.TrimSpace(text); len(text) > 0 {
				b.WriteString(name + "\n  " + string(bytes.ReplaceAll(text, []byte("\n"), []byte("\n  "))) + "\n")
			}
		}
	}
	return b.Bytes()
}
