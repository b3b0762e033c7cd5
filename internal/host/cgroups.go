package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// mount is one line of a mount table (proc(5), mountinfo).
type mount struct {
	at, fstype, source string
}

// parseMounts reads the text of a mountinfo. Lines that are none are left out.
func parseMounts(text string) []mount {
	var list []mount
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(tail) < 2 {
			continue
		}
		unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
		list = append(list, mount{unescape.Replace(fields[4]), tail[0], unescape.Replace(tail[1])})
	}
	return list
}

func mountTable() ([]mount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading the mount table: %w", err)
	}
	return parseMounts(string(b)), nil
}

// cgroups finds the instance's cgroups in every tree of the host.
func (l *look) cgroups() error {
	mounts, err := mountTable()
	if err != nil {
		return err
	}
	trees := map[string]int{} // path → in how many trees
	procs := map[string]map[string]bool{}
	var order []string
	for _, m := range mounts {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" {
			continue
		}
		parent := filepath.Join(m.at, l.cfg.Instance)
		children, err := os.ReadDir(parent)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return fmt.Errorf("listing cgroups: %w", err)
		}
		paths := []string{}
		for _, c := range children {
			if c.IsDir() {
				paths = append(paths, "/"+l.cfg.Instance+"/"+c.Name())
			}
		}
		if len(paths) == 0 {
			paths = append(paths, "/"+l.cfg.Instance)
		}
		for _, p := range paths {
			if trees[p]++; trees[p] == 1 {
				order, procs[p] = append(order, p), map[string]bool{}
			}
			b, _ := os.ReadFile(filepath.Join(m.at, p, "cgroup.procs"))
			for _, pid := range strings.Fields(string(b)) {
				procs[p][pid] = true
			}
		}
	}
	slices.Sort(order)
	for _, p := range order {
		l.cgroup(p, trees[p], len(procs[p]))
	}
	return nil
}

func (l *look) cgroup(path string, trees, procs int) {
	name := filepath.Base(path)
	t := vitrine.Thing{Kind: vitrine.ThingCgroup, Name: path, Detail: fmt.Sprintf("%d processes, in %d cgroup trees", procs, trees)}
	switch {
	case isMachine(name):
		t.Machine, t.Since = name, idTime(name)
	case name == supervisors || path == "/"+l.cfg.Instance:
		if procs > 0 {
			return // in use; who they are is told of each
		}
	default:
		t.Foreign = "no part of Vitrine makes a cgroup of this name"
	}
	l.add(t)
}

// mounts finds what should be in machines' own mount namespaces only.
func (l *look) mounts() error {
	list, err := mountTable()
	if err != nil {
		return err
	}
	for _, m := range list {
		id, ok := machineIn(l.cfg.machinesDir(), m.at)
		if !ok {
			// The source of a machine's shared directory names it.
			id, ok = strings.CutPrefix(m.source, "vitrine-")
			ok = ok && isMachine(id) && l.known[id]
		}
		if ok {
			l.add(vitrine.Thing{Kind: vitrine.ThingMount, Name: m.at, Machine: id, Detail: m.fstype, Since: idTime(id)})
		}
	}
	return nil
}

// loops finds loop devices over machines' disks.
func (l *look) loops() error {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // freed since
		}
		path := strings.TrimSpace(string(b))
		id, ok := machineIn(l.cfg.machinesDir(), strings.TrimSuffix(path, " (deleted)"))
		if !ok && l.probing(path) {
			_, rest, _ := strings.Cut(strings.TrimPrefix(path, l.cfg.TempDir+"/"), "/machines/")
			id, ok = machineIn("", "/"+rest)
		}
		if ok {
			dev := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(f)))
			l.add(vitrine.Thing{Kind: vitrine.ThingLoop, Name: dev, Machine: id, Detail: path, Since: idTime(id)})
		}
	}
	return nil
}
