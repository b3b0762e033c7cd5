package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	v2Info     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	hybridInfo = `25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
31 25 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
32 25 0:27 / /mnt/again rw,relatime - cgroup2 cgroup2 rw
`
)

func TestTheLayoutOfTheHostIsRecognised(t *testing.T) {
	for _, c := range []struct{ name, info, layout, wrong string }{
		{"a hybrid host, one tree mounted twice", hybridInfo, "hybrid", ""},
		{"v1 alone", strings.Split(hybridInfo, "31 25")[0], "v1", ""},
		{"a host whose memory controller is off", strings.ReplaceAll(hybridInfo, "memory", "blkio"), "hybrid", `no "memory" cgroup controller`},
		{"no cgroups at all", "23 1 8:1 / / rw - ext4 /dev/sda rw\n", "", "no cgroup file system"},
		{"v2 alone", v2Info, "v2", ""},
		{"lines that are no mounts", "x\n - \n1 2 3 4 - cgroup2\n" + v2Info, "v2", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := parse(strings.NewReader(c.info))
			if h != nil && c.layout != h.Layout() {
				t.Errorf("layout %q, want %q", h.Layout(), c.layout)
			}
			if err == nil && c.layout != "v2" { // whose controllers are this host's
				err = h.check()
			}
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("error %v, want %q", err, c.wrong)
			}
		})
	}
}

func TestLimitsOnAHostWithV2Only(t *testing.T) {
	root := t.TempDir()
	h := &Host{pure: true, trees: []tree{{mount: root, v2: true}}}
	for _, d := range []string{"", "vitrine", "vitrine/m"} {
		dir := filepath.Join(root, d)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("cpuset cpu io memory pids\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := h.Group("vitrine", "m")
	for range 2 {
		if err := g.Create(Limits{MemoryBytes: 256 << 20, VCPU: 2, PIDs: 100}); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"vitrine/m/memory.max": "268435456", "vitrine/m/memory.swap.max": "0", "vitrine/m/cpu.max": "200000 100000",
		"vitrine/m/pids.max": "100", "vitrine/cgroup.subtree_control": "+cpuset", "cgroup.subtree_control": "+cpuset",
	} {
		// The files of this imitation exist because they were written to.
		if got, err := os.ReadFile(filepath.Join(root, file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
	events := filepath.Join(root, "vitrine/m/memory.events")
	if err := os.WriteFile(events, []byte("low 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := g.OOMKills(); n != 2 {
		t.Errorf("%d kills are counted, want 2", n)
	}
}

// layouts gives this host's layout, and its v2 tree alone where there is one:
// what v2 does without controllers is done as on a host that has nothing else.
func layouts(t *testing.T) map[string]*Host {
	if os.Geteuid() != 0 {
		t.Skip("cgroups need root")
	}
	h, err := Detect()
	if err != nil {
		t.Skip(err)
	}
	all := map[string]*Host{h.Layout(): h}
	if u := h.unified(); u != nil && !h.pure {
		all["v2 tree alone"] = &Host{pure: true, trees: []tree{*u}}
	}
	return all
}

func TestAProcessIsBornInItsGroupAndKilledWithIt(t *testing.T) {
	for name, h := range layouts(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			g := h.Group(fmt.Sprintf("vitrine-test-%d", os.Getpid()), "m")
			if err := g.Create(Limits{MemoryBytes: 64 << 20, PIDs: 20, VCPU: 1}); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", "sleep 100 & sleep 100 & wait")
			err := g.Start(nil, func(attr *syscall.SysProcAttr) error {
				cmd.SysProcAttr = attr
				return cmd.Start()
			})
			if err != nil {
				t.Fatal(err)
			}
			for len(procs(t, g)) < 3 && ctx.Err() == nil {
				time.Sleep(poll) // until the shell has forked twice: no event tells
			}
			own, _ := os.ReadFile("/proc/self/cgroup")
			if strings.Contains(string(own), g.Path()) {
				t.Errorf("the caller went with its child:\n%s", own)
			}
			if err := g.Freeze(ctx, true); err != nil {
				t.Error(err)
			}
			if err := g.Kill(ctx); err != nil { // frozen as it is
				t.Error(err)
			}
			_ = cmd.Wait()
			if left := procs(t, g); len(left) > 0 {
				t.Errorf("after Kill, %v are left", left)
			}
			for range 2 {
				if err := g.Remove(ctx); err != nil {
					t.Error(err)
				}
			}
			if g.Exists() || h.Group("", filepath.Dir(g.Path())).Exists() {
				t.Error("after Remove, the group or its empty parent is left")
			}
			if err := g.Kill(ctx); err != nil {
				t.Errorf("Kill of what is gone: %v", err)
			}
		})
	}
}

func procs(t *testing.T, g *Group) []int {
	t.Helper()
	p, err := g.Procs()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
