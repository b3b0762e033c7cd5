package faults

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// left looks for what is of the world's machines on the host, by the names that
// docs/data-directory.md gives them, and without asking the product: processes,
// mounts, loop devices, cgroups, namespaces, interfaces, firewall tables,
// directories. The daemon itself is not counted.
func (w *world) left() []string {
	var out []string
	marks := []string{w.data() + "/machines", "vt-" + w.bridge + "-", w.instance() + "/mch_"}
	of := func(text string) bool {
		return slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(text, m) })
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		// One that has ended and waits for the host's init is nothing any more.
		if stat, _ := os.ReadFile(p + "/stat"); bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		cmdline, _ := os.ReadFile(p + "/cmdline")
		cgroup, _ := os.ReadFile(p + "/cgroup")
		if text := string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})); of(text) || of(string(cgroup)) {
			out = append(out, "process "+filepath.Base(p)+" "+text)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if of(line) {
			out = append(out, "mount "+strings.TrimSpace(line))
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if b, _ := os.ReadFile(l); of(string(b)) {
			out = append(out, "loop device "+l)
		}
	}
	for _, dir := range w.cgroups() {
		if strings.HasPrefix(filepath.Base(dir), "mch_") {
			out = append(out, "cgroup "+dir)
		}
	}
	spaces, _ := filepath.Glob("/run/netns/vt-" + w.bridge + "-*")
	dirs, _ := filepath.Glob(filepath.Join(w.data(), "machines/*/mch_*"))
	for _, name := range append(spaces, dirs...) {
		out = append(out, "file "+name)
	}
	// Interfaces and tables are in the world's own namespace.
	links, _ := exec.Command("ip", "-n", w.netns, "-o", "link", "show").Output()
	for line := range strings.Lines(string(links)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] != "lo:" && strings.HasPrefix(f[1], "vt") {
			out = append(out, "interface "+f[1])
		}
	}
	tables, _ := exec.Command("nsenter", "--net=/run/netns/"+w.netns, "nft", "list", "tables").Output()
	for line := range strings.Lines(string(tables)) {
		if strings.Contains(line, "vitrine_") {
			out = append(out, "firewall "+strings.TrimSpace(line))
		}
	}
	return out
}

// cgroups are the world's, in every tree, the deepest first.
func (w *world) cgroups() []string {
	var out []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		tops, _ := filepath.Glob(pattern + w.instance())
		for _, top := range tops {
			_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					out = append(out, path)
				}
				return nil
			})
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out)
}

// dissolveCgroups removes the instance's own groups, which a daemon keeps for
// its next machine.
func (w *world) dissolveCgroups() {
	for _, dir := range w.cgroups() {
		_ = os.Remove(dir)
	}
}
