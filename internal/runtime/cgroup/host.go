package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tree is one mounted cgroup hierarchy.
type tree struct {
	mount       string   // where it is mounted
	controllers []string // of v1; empty for v2
	v2          bool
}

// Host is the cgroup layout of this host.
type Host struct {
	trees []tree
	pure  bool // v2 only
}

// needed is what the limits are made of; a host without one of them cannot run
// machines within bounds.
var needed = []string{"memory", "cpu", "pids"}

// Detect reads the layout from /proc/self/mountinfo. The error names the
// controller that is missing.
func Detect() (*Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading the cgroup layout: %w", err)
	}
	defer f.Close()
	h, err := parse(f)
	if err != nil {
		return nil, err
	}
	return h, h.check()
}

// parse finds the cgroup mounts in the text of mountinfo (proc(5)). A hierarchy
// mounted twice counts once, at its first place.
func parse(r io.Reader) (*Host, error) {
	h := &Host{}
	seen := map[string]bool{}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(tail) < 3 {
			continue
		}
		t := tree{mount: unescape(fields[4])}
		switch tail[0] {
		case "cgroup2":
			t.v2 = true
		case "cgroup":
			for _, o := range strings.Split(tail[2], ",") {
				if o != "rw" && o != "ro" && o != "xattr" && o != "noprefix" && o != "clone_children" && !strings.HasPrefix(o, "release_agent=") {
					t.controllers = append(t.controllers, o)
				}
			}
		default:
			continue
		}
		key := strings.Join(t.controllers, ",")
		if seen[key] {
			continue
		}
		seen[key] = true
		h.trees = append(h.trees, t)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading the cgroup layout: %w", err)
	}
	if len(h.trees) == 0 {
		return nil, errors.New("no cgroup file system is mounted at /sys/fs/cgroup")
	}
	h.pure = len(h.trees) == 1 && h.trees[0].v2
	return h, nil
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// check says which needed controller the host lacks.
func (h *Host) check() error {
	for _, c := range needed {
		if h.tree(c) != nil {
			continue
		}
		return fmt.Errorf("the host has no %q cgroup controller, so machines could not be held to their limits", c)
	}
	return nil
}

// tree finds the tree that has a controller; nil when none does.
func (h *Host) tree(controller string) *tree {
	for i, t := range h.trees {
		if t.v2 && h.pure {
			b, _ := os.ReadFile(filepath.Join(t.mount, "cgroup.controllers"))
			if slices.Contains(strings.Fields(string(b)), controller) {
				return &h.trees[i]
			}
		}
		if slices.Contains(t.controllers, controller) {
			return &h.trees[i]
		}
	}
	return nil
}

// unified is the v2 tree, nil when there is none.
func (h *Host) unified() *tree {
	for i, t := range h.trees {
		if t.v2 {
			return &h.trees[i]
		}
	}
	return nil
}

// Layout is "v2", "v1" or "hybrid".
func (h *Host) Layout() string {
	switch {
	case h.pure:
		return "v2"
	case h.unified() != nil:
		return "hybrid"
	}
	return "v1"
}

// UnifiedMount is where the v2 tree of a hybrid host is mounted, "" elsewhere.
func (h *Host) UnifiedMount() string {
	if u := h.unified(); u != nil && !h.pure {
		return u.mount
	}
	return ""
}
