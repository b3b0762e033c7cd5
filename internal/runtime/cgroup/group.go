package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Group is one control group: the same path in every tree of the host.
type Group struct {
	host *Host
	path string // relative to each tree's root
}

// Limits are what a group is held to. Zero fields are not limited.
type Limits struct {
	MemoryBytes int64
	VCPU        int // whole CPUs' worth of time in each 100 ms
	PIDs        int
}

// cpuPeriod is the CFS bandwidth period in µs: the kernel's default, 100 ms.
const cpuPeriod = 100_000

// Group names the group "parent/name". It makes nothing.
func (h *Host) Group(parent, name string) *Group {
	return &Group{host: h, path: filepath.Join("/", parent, name)}
}

// Path is the group's path within each tree, such as /vitrine/mch_….
func (g *Group) Path() string { return g.path }

// Dir is the group's directory in the tree of a controller, or in the v2 tree
// for "unified"; "" when the host has no such tree.
func (g *Group) Dir(controller string) string {
	t := g.host.tree(controller)
	if controller == "unified" {
		t = g.host.unified()
	}
	if t == nil {
		return ""
	}
	return g.in(*t)
}

func (g *Group) in(t tree) string { return filepath.Join(t.mount, g.path) }

// Create makes the group in every tree and sets its limits. Making it again
// sets the limits again.
func (g *Group) Create(l Limits) error {
	for _, t := range g.host.trees {
		if err := g.mkdir(t); err != nil {
			return fmt.Errorf("making cgroup %s: %w", g.in(t), err)
		}
	}
	for _, s := range g.settings(l) {
		err := os.WriteFile(s.file, []byte(s.value), 0)
		absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL)
		if err != nil && (!s.optional || !absent) {
			return fmt.Errorf("setting %s to %s: %w", s.file, s.value, err)
		}
	}
	return nil
}

// mkdir makes the group's directory in one tree. Another group's Remove may
// take the empty parent away between our two steps: then it is made again.
func (g *Group) mkdir(t tree) error {
	dir := t.mount
	parts := strings.Split(strings.Trim(g.path, "/"), "/")
	for try := 0; ; try++ {
		err := func() error {
			dir = t.mount
			for _, p := range parts {
				if t.v2 && g.host.pure {
					if err := delegate(dir); err != nil {
						return err
					}
				}
				dir = filepath.Join(dir, p)
				if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
					return err
				}
				if slices.Contains(t.controllers, "cpuset") {
					if err := inheritCPUSet(dir); err != nil {
						return err
					}
				}
			}
			return nil
		}()
		vanished := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
		if err == nil || try == 5 || !vanished {
			return err
		}
	}
}

// delegate lets the children of a v2 group have the controllers we use. cpuset
// is for runsc, which reads the CPU count from it.
func delegate(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range []string{"memory", "cpu", "pids", "cpuset"} {
		if !slices.Contains(strings.Fields(string(have)), c) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil && c != "cpuset" {
			if errors.Is(err, syscall.EBUSY) {
				return fmt.Errorf("%s holds processes itself, so it cannot lend the %s controller; run vitrine in a cgroup of its own: %w", dir, c, err)
			}
			return err
		}
	}
	return nil
}

// inheritCPUSet gives a v1 cpuset its parent's CPUs and memory nodes: it starts
// with none, and nothing can join it then.
func inheritCPUSet(dir string) error {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		if have, err := os.ReadFile(filepath.Join(dir, f)); err == nil && strings.TrimSpace(string(have)) != "" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0); err != nil {
			return err
		}
	}
	return nil
}

type setting struct {
	file, value string
	optional    bool // older kernels, or no swap accounting
}

// settings is the limits as files. For v1 the order matters: memory before
// memory+swap, which may not be less.
func (g *Group) settings(l Limits) []setting {
	var out []setting
	add := func(controller, file, value string, optional bool) {
		if d := g.Dir(controller); d != "" {
			out = append(out, setting{filepath.Join(d, file), value, optional})
		}
	}
	v2 := g.host.pure
	if l.MemoryBytes > 0 {
		n := strconv.FormatInt(l.MemoryBytes, 10)
		if v2 {
			add("memory", "memory.swap.max", "0", true)
			add("memory", "memory.max", n, false)
		} else {
			add("memory", "memory.limit_in_bytes", n, false)
			add("memory", "memory.memsw.limit_in_bytes", n, true)
			add("memory", "memory.swappiness", "0", true)
		}
	}
	if l.VCPU > 0 {
		quota := strconv.Itoa(l.VCPU * cpuPeriod)
		if v2 {
			add("cpu", "cpu.max", quota+" "+strconv.Itoa(cpuPeriod), false)
			add("cpu", "cpu.weight", strconv.Itoa(min(100*l.VCPU, 10000)), true)
		} else {
			add("cpu", "cpu.cfs_period_us", strconv.Itoa(cpuPeriod), false)
			add("cpu", "cpu.cfs_quota_us", quota, false)
			add("cpu", "cpu.shares", strconv.Itoa(1024*l.VCPU), true)
		}
	}
	if l.PIDs > 0 {
		add("pids", "pids.max", strconv.Itoa(l.PIDs), false)
	}
	return out
}
