package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// poll is how often a group is looked at while it empties: v1 has nothing to
// wait on.
const poll = 5 * time.Millisecond

// Exists says whether the group is there in any tree.
func (g *Group) Exists() bool {
	for _, t := range g.host.trees {
		if _, err := os.Stat(g.in(t)); err == nil {
			return true
		}
	}
	return false
}

// Procs lists the processes in the group, in any tree. Zombies are not listed
// by v2 and are by v1; they are left out here. So is the caller: v1 lists a
// process for each thread it has in the group, and Start's may live a moment
// longer than Start.
func (g *Group) Procs() ([]int, error) {
	seen := map[int]bool{}
	var pids []int
	for _, t := range g.host.trees {
		b, err := os.ReadFile(filepath.Join(g.in(t), "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing cgroup %s: %w", g.path, err)
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err == nil && pid > 0 && pid != os.Getpid() && !seen[pid] && !zombie(pid) {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// zombie says whether a process has ended and only waits for its parent.
func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	i := strings.LastIndexByte(string(b), ')')
	return i > 0 && i+2 < len(b) && (b[i+2] == 'Z' || b[i+2] == 'X')
}

// Kill kills all processes of the group and returns when none is left. A frozen
// group is thawed: v1 does not let frozen processes die.
func (g *Group) Kill(ctx context.Context) error {
	for {
		pids, err := g.Procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		if d := g.Dir("unified"); d != "" {
			_ = os.WriteFile(filepath.Join(d, "cgroup.kill"), []byte("1"), 0) // Linux 5.14
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := g.Freeze(ctx, false); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("killing cgroup %s: %d processes are left: %w", g.path, len(pids), ctx.Err())
		case <-time.After(poll):
		}
	}
}

// Remove removes the group, which must be empty, from every tree, and its
// parent when that was the last. It waits out the kernel's EBUSY, which
// outlives the last process by a moment.
func (g *Group) Remove(ctx context.Context) error {
	for _, t := range g.host.trees {
		for {
			err := os.Remove(g.in(t))
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("removing cgroup %s: %w", g.in(t), err)
			case <-time.After(poll):
			}
		}
		for p := filepath.Dir(g.path); p != "/"; p = filepath.Dir(p) {
			if os.Remove(filepath.Join(t.mount, p)) != nil {
				break // others live there
			}
		}
	}
	return nil
}

// Freeze stops all processes of the group, or lets them go on, and returns when
// that is done. Freezing a group that does not exist is an error, thawing is
// not.
func (g *Group) Freeze(ctx context.Context, freeze bool) error {
	file, want := "cgroup.freeze", map[bool]string{true: "1", false: "0"}[freeze]
	dir := g.Dir("unified")
	if dir == "" {
		file, want = "freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[freeze]
		dir = g.Dir("freezer")
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(want), 0); err != nil {
		if !freeze && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("freezing cgroup %s: %w", g.path, err)
	}
	for !g.frozenIs(dir, file, freeze) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("freezing cgroup %s: %w", g.path, ctx.Err())
		case <-time.After(poll / 5):
		}
	}
	return nil
}

func (g *Group) frozenIs(dir, file string, want bool) bool {
	if file == "freezer.state" {
		b, err := os.ReadFile(filepath.Join(dir, file))
		return err != nil || (strings.TrimSpace(string(b)) == "FROZEN") == want
	}
	return (keyed(filepath.Join(dir, "cgroup.events"), "frozen") == 1) == want
}

// Memory is what the group holds now and may hold, in bytes; zero when the
// group is gone.
func (g *Group) Memory() (current, limit int64) {
	d := g.Dir("memory")
	if g.host.pure {
		return number(filepath.Join(d, "memory.current")), number(filepath.Join(d, "memory.max"))
	}
	return number(filepath.Join(d, "memory.usage_in_bytes")), number(filepath.Join(d, "memory.limit_in_bytes"))
}

// OOMKills is how many processes of the group the kernel has killed because the
// group was at its memory limit.
func (g *Group) OOMKills() int {
	d := g.Dir("memory")
	if g.host.pure {
		return int(keyed(filepath.Join(d, "memory.events"), "oom_kill"))
	}
	return int(keyed(filepath.Join(d, "memory.oom_control"), "oom_kill")) // Linux 4.13
}

func number(file string) int64 {
	b, _ := os.ReadFile(file)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

func keyed(file, key string) int64 {
	b, _ := os.ReadFile(file)
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, " "); ok && k == key {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}
