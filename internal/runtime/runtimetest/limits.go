package runtimetest

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

func itoa(n int) string { return strconv.Itoa(n) }

func errorsIs(err, target error) bool { return errors.Is(err, target) }

func memoryLimit(b *bench) {
	id := b.ready()
	r, err := b.exec(id, "dd if=/dev/zero of=/dev/null bs=1024M count=1")
	if err == nil && r.ExitCode == 0 {
		b.t.Fatal("a process took 1 GiB in a machine of 256 MiB")
	}
	st := b.inspect(id)
	if st.OOMKills < 1 {
		b.t.Errorf("no kill for want of memory is counted: %+v (dd: %d, %v)", st, r.ExitCode, err)
	}
	if b.f.WholeMachine {
		b.t.Logf("the machine is %s after it, %d kills", st.State, st.OOMKills)
		return
	}
	if got := b.sh(id, "echo alive"); got != "alive" {
		b.t.Errorf("the rest of the machine does not live on: %q", got)
	}
}

func (b *bench) cgroup(id string) *cgroup.Group {
	h, err := cgroup.Detect()
	must(b.t, err)
	return h.Group(b.env.CgroupParent, id)
}

func processLimit(b *bench) {
	id := b.ready()
	// Far more than any reading of 128 allows; what could be started is counted
	// on the host while the machine holds them.
	n := 400
	if b.f.WholeMachine {
		n = 2000
	}
	_, _ = b.exec(id, "i=0; while [ $i -lt "+itoa(n)+" ]; do sleep 60 >/dev/null 2>&1 & i=$((i+1)); done; true")
	dir := b.cgroup(id).Dir("pids")
	limit, current := readNumber(dir, "pids.max"), readNumber(dir, "pids.current")
	b.t.Logf("%d of at most %d host threads after %d forks; the machine is %s", current, limit, n, b.inspect(id).State)
	if limit <= 0 || current > limit {
		b.t.Errorf("the machine has %d threads on the host, its limit is %d", current, limit)
	}
	if st := b.inspect(id); st.State == vitrine.MachineRunning && !b.f.WholeMachine && current < limit-8 {
		b.t.Errorf("only %d of %d were reached: the test does not test", current, limit)
	}
}

func readNumber(dir, file string) int64 {
	t, _ := os.ReadFile(filepath.Join(dir, file))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(t)), 10, 64)
	return n
}

// cpuTime is the CPU time that a machine has used.
func (b *bench) cpuTime(id string) time.Duration {
	g := b.cgroup(id)
	if d := g.Dir("cpuacct"); d != "" {
		return time.Duration(readNumber(d, "cpuacct.usage"))
	}
	t, _ := os.ReadFile(filepath.Join(g.Dir("cpu"), "cpu.stat"))
	for _, l := range strings.Split(string(t), "\n") {
		if v, ok := strings.CutPrefix(l, "usage_usec "); ok {
			n, _ := strconv.ParseInt(v, 10, 64)
			return time.Duration(n) * time.Microsecond
		}
	}
	return 0
}

func cpuLimit(b *bench) {
	id := b.ready()
	before, began := b.cpuTime(id), time.Now()
	b.sh(id, "for i in 1 2 3 4; do (while :; do :; done) & done; sleep 2; kill $(jobs -p) 2>/dev/null; kill -9 $(jobs -p) 2>/dev/null; true")
	used, wall := b.cpuTime(id)-before, time.Since(began)
	if b.f.VM != nil {
		if got := b.sh(id, "grep -c ^processor /proc/cpuinfo"); got != "1" {
			b.t.Errorf("the guest sees %s processors, want the one that was asked for", got)
		}
	}
	b.t.Logf("four busy loops used %s of CPU in %s", used.Round(time.Millisecond), wall.Round(time.Millisecond))
	if used > wall*5/4 {
		b.t.Errorf("four busy loops used %s of CPU in %s in a machine of one vCPU", used, wall)
	}
	if used < wall/20 {
		b.t.Errorf("the loops used %s only: the test does not test", used)
	}
}

func consoleFlood(b *bench) {
	id := b.ready()
	// 8 MiB to the machine's own console: more than both files of the ring. An
	// emulated serial port takes a byte at a time: 3 MiB there.
	size := 8 << 20
	if b.f.VM != nil {
		size = cmp.Or(b.f.VM.Flood, 3<<20)
	}
	line := "exec >/proc/1/fd/1; yes flooding-the-console | head -c " + itoa(size) + "; echo; echo the last line"
	if b.f.Shared {
		line = strings.ReplaceAll(line, "/proc/1/fd/1", b.file(id, machinedir.ConsoleFIFO))
	}
	b.sh(id, line)
	b.await("the last line is on the console", func() bool { return strings.Contains(b.console(id), "the last line") })
	if n := len(b.console(id)); n > 1<<20 {
		b.t.Errorf("Console gives %d bytes, at most a mebibyte is promised", n)
	}
	var total int64
	files, _ := filepath.Glob(b.file(id, machinedir.ConsoleFile) + "*")
	for _, f := range files {
		st, err := os.Stat(f)
		must(b.t, err)
		total += st.Size()
	}
	if total > 2*machinedir.ConsoleMax {
		b.t.Errorf("the console takes %d bytes of disk", total)
	}
}

func symlinkSocket(b *bench) {
	if b.f.Shared {
		b.t.Skip("the machine is the host here")
	}
	id := b.ready()
	// machinedir's own test has all the tricks; here one of them, through a real
	// machine. The agent's secret is in the first bytes of every request.
	b.sh(id, "cd /run/vitrine && mv agent.sock kept.sock && ln -s ../../../../../../../../run/vitrine/kept.sock agent.sock")
	if c, err := b.rt.Dial(b.ctx(), id, vitrine.AgentPort); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
		if err == nil {
			c.Close()
		}
		b.t.Errorf("Dial through a symlink: %v; want unavailable", err)
	}
	if err := b.call(id, http.MethodGet, agentproto.PathHealth, nil, &agentproto.Health{}); err == nil {
		b.t.Error("the agent answers through something that is not its socket")
	}
}

func paused(b *bench) {
	p, ok := b.rt.(vitrine.Pauser)
	if !ok {
		b.t.Skip("the runtime does not pause")
	}
	id := b.ready()
	b.sh(id, "(while :; do :; done) >/dev/null 2>&1 & true")
	must(b.t, p.Pause(b.ctx(), id))
	before := b.cpuTime(id)
	<-time.After(200 * time.Millisecond) // what must not happen has no event
	if used := b.cpuTime(id) - before; used > 10*time.Millisecond {
		b.t.Errorf("a paused machine used %s of CPU", used)
	}
	b.wantState(id, vitrine.MachineRunning)
	began := time.Now()
	must(b.t, p.Resume(b.ctx(), id))
	b.awaitAgent(id)
	b.t.Logf("resumed and answering in %s", time.Since(began).Round(time.Millisecond))
	must(b.t, p.Pause(b.ctx(), id))
	must(b.t, b.rt.Delete(b.ctx(), id))
}
