package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/session"
	"github.com/vitrine-dev/vitrine/internal/store"
)

func anHourAgo() time.Time { return time.Now().Add(-time.Hour) }

func newMachine() string { return vitrine.NewID(vitrine.PrefixMachine, anHourAgo()) }

// lab is an instance on the tests' host, with its real makers, and a sweeper as
// `vitrine gc` has it where no daemon runs.
type lab struct {
	t        *testing.T
	cfg      Config
	store    vitrine.Store
	net      *network.Network
	rt       vitrine.Runtime
	sweeper  *session.Sweeper
	cgroups  *cgroup.Host
	instance string
	strays   []*exec.Cmd
}

func sh(t testing.TB, command string, args ...any) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", fmt.Sprintf(command, args...)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", fmt.Sprintf(command, args...), err, out)
	}
	return string(out)
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needHost(t)
	dir := t.TempDir()
	l := &lab{t: t, instance: fmt.Sprintf("vitrine-%s-%d", bridgeName, os.Getpid())}
	l.cfg = Config{
		Bridge: bridgeName, Instance: l.instance, DataDir: dir + "/data", ImageDir: dir + "/images", TempDir: dir + "/tmp",
		DaemonDown: func() bool { return true },
	}
	for _, d := range []string{l.cfg.DataDir + "/machines/process", l.cfg.ImageDir, l.cfg.TempDir, "/run/netns"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if l.net, l.rt, err = makers(l.cfg.DataDir, l.instance); err != nil {
		t.Fatal(err)
	}
	if l.cgroups, err = cgroup.Detect(); err != nil {
		t.Skip(err)
	}
	if l.store, err = store.Open(t.Context(), filepath.Join(l.cfg.DataDir, "vitrine.db")); err != nil {
		t.Fatal(err)
	}
	l.cfg.DeleteMachine = func(ctx context.Context, runtime, id string) error {
		if runtime != "process" {
			return errors.New("no such runtime here")
		}
		return l.rt.Delete(ctx, id)
	}
	l.cfg.RemoveCgroup = func(ctx context.Context, path string) error {
		g := l.cgroups.Group("", path)
		return errors.Join(g.Kill(ctx), g.Remove(ctx))
	}
	l.cfg.Detach, l.cfg.MendRules = l.net.Detach, l.net.Repair
	h, err := New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.sweeper = session.NewSweeper(session.SweepConfig{Store: l.store, Host: h, AgeGuard: time.Minute, Budget: 1000})
	t.Cleanup(l.end)
	return l
}

// end removes what a failed test may have left on the real host.
func (l *lab) end() {
	for _, c := range l.strays {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := l.sweeper.Collect(ctx, false, 0); err != nil {
		l.t.Error(err)
	}
	_ = l.store.Close()
	mounts, _ := mountTable()
	for _, m := range mounts {
		if strings.HasPrefix(m.fstype, "cgroup") {
			children, _ := filepath.Glob(filepath.Join(m.at, l.instance, "*"))
			for _, c := range append(children, filepath.Join(m.at, l.instance)) {
				_ = os.Remove(c)
			}
		}
	}
}

// stand starts a process that calls itself args and only stands there.
func (l *lab) stand(group *cgroup.Group, args ...string) *exec.Cmd {
	l.t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Args, c.Env = args, append(os.Environ(), standEnv+"=1")
	if _, err := c.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	start := func(attr *syscall.SysProcAttr) error {
		c.SysProcAttr = attr
		return c.Start()
	}
	begin := func() error { return start(nil) }
	if group != nil {
		begin = func() error { return group.Start(nil, start) }
	}
	if err := begin(); err != nil {
		l.t.Fatal(err)
	}
	l.strays = append(l.strays, c)
	return c
}

// dead waits until a process that stood there has ended, and says whether.
func dead(c *exec.Cmd) bool {
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(5 * time.Second):
		return false
	}
}

func (l *lab) group(name string) *cgroup.Group { return l.cgroups.Group(l.instance, name) }

func (l *lab) mkdir(path string) string {
	l.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *lab) machineDir(id string) string {
	return l.mkdir(filepath.Join(l.cfg.DataDir, "machines/process", id))
}

func (l *lab) write(path, text string) {
	l.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// attach puts a machine on the network, for real.
func (l *lab) attach(id string, slot int) {
	l.t.Helper()
	addr, err := subnet().Address(slot)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.net.Attach(l.t.Context(), id, slot, addr); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) audit() []vitrine.Leftover {
	l.t.Helper()
	c, err := l.sweeper.Audit(l.t.Context())
	if err != nil || len(c.Blind) > 0 {
		l.t.Fatalf("audit: %v, blind to %v", err, c.Blind)
	}
	return c.Leftovers
}

// kinds are the kinds of all things in leftovers, sorted.
func kinds(list []vitrine.Leftover) string {
	var all []string
	for _, l := range list {
		for _, t := range l.Things {
			all = append(all, string(t.Kind))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// traces is all that this instance, and the decoys, have on the host.
func (l *lab) traces() string {
	l.t.Helper()
	var b strings.Builder
	b.WriteString(sh(l.t, "ip -o link | sed 's/^[0-9]*: //; s/@.*//; s/:.*//' | sort; nft list ruleset; ls /run/netns; ls /run/vitrine 2>/dev/null | grep -v lock || true; losetup -n -l -O BACK-FILE | grep %s || true", l.cfg.DataDir))
	var files []string
	for _, d := range []string{l.cfg.DataDir, l.cfg.ImageDir, l.cfg.TempDir} {
		_ = filepath.WalkDir(d, func(path string, _ os.DirEntry, _ error) error {
			if !strings.Contains(path, "vitrine.db") {
				files = append(files, path)
			}
			return nil
		})
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + l.instance + "/*")
	more, _ := filepath.Glob("/sys/fs/cgroup/" + l.instance + "/*")
	all := slices.Concat(files, groups, more)
	sort.Strings(all)
	b.WriteString(strings.Join(slices.DeleteFunc(all, func(p string) bool {
		st, err := os.Lstat(p)
		return err != nil || strings.HasPrefix(p, "/sys") && !st.IsDir()
	}), "\n"))
	return b.String()
}
