package runtimetest

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// testCase is one promise, in a user's words.
type testCase struct {
	name string
	test func(*bench)
}

// all are what every runtime is held to.
var all = []testCase{
	{"the probe runs a machine and leaves nothing", probe},
	{"calls made twice, or on nothing, change nothing", idempotent},
	{"a command runs through the agent and the machine stops when asked", life},
	{"exit code and end are seen, and wait wakes", exits},
	{"a machine that is killed is seen to be", killed},
	{"a machine is deleted while it starts, twice, and from several sides", deletes},
	{"machines come and go at the same time", churn},
	{"two machines do not see each other's files or processes", apart},
	{"a new daemon finds the machine and goes on", reopened},
	{"the daemon is killed with -9 and the machine goes on", daemonKilled},
	{"the daemon is killed in the middle of a start", daemonKilledEarly},
	{"the supervisor is killed with -9 and the machine is seen right", supervisorKilled},
	{"the host was restarted", rebooted},
	{"a half-made machine is found and removed", halfMade},
	{"CPU limit", cpuLimit},
	{"disk limit", diskLimit},
	{"the network it was given", network},
	{"a flood on the console", consoleFlood},
	{"a paused machine stands still", paused},
	{"its logs are there until it is deleted", logs},
}

// hostKernel are for machines that share the host's kernel: what bounds them is
// the host's, and so is what they could reach.
var hostKernel = []testCase{
	{"memory limit", memoryLimit},
	{"process limit", processLimit},
	{"the machine puts a symlink where its socket was", symlinkSocket},
	{"what the machine sees of the host", confined},
}

// ownKernel are the same for machines with one of their own, and what only such
// machines can do.
var ownKernel = []testCase{
	{"memory and vCPU are what was asked, and memory ends where it should", guestMemory},
	{"processes are bounded in the guest", guestProcesses},
	{"what a VMM that was taken over can reach", vmmConfined},
	{"what the guest sees of the host", guestConfined},
	{"the console is captured from the first line to the last", consoleWhole},
	{"the guest kernel panics and the machine has ended", guestPanics},
	{"the guest kernel panics for want of memory", guestPanicsOnOOM},
	{"the guest reboots and is not booted again", guestReboots},
	{"the TAP is the VMM's, in the machine's namespace, and goes", tapState},
	{"two guests reach the internet and not each other, and cannot pass for another", guestsApart},
	{"the daemon is killed between the VMM's start and its guest's", daemonKilledBeforeBoot},
	{"the agent answers however often it is asked", dialledOften},
	{"machines are started and killed in a row", startsInARow},
	{"a snapshot is restored as a machine of its own", restored},
}

// Run holds a runtime to what vitrine.Runtime promises. Virtual machines run two
// cases at a time (go test's -parallel): most of a boot is waiting for one CPU.
func Run(t *testing.T, f Factory) {
	rest := hostKernel
	if f.VM != nil {
		rest = ownKernel
	}
	for _, c := range slices.Concat(all, rest) {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			if f.VM != nil {
				t.Parallel()
			}
			c.test(newBench(t, f))
		})
	}
}

func probe(b *bench) {
	p := b.rt.Probe(b.ctx())
	if !p.OK || p.Took <= 0 || p.Reason == "" {
		b.t.Fatalf("the probe says %+v", p)
	}
	b.t.Logf("%s (%s)", p.Reason, p.Took)
	if list, err := b.rt.List(b.ctx()); err != nil || len(list) > 0 {
		b.t.Errorf("after the probe List gives %v, %v", list, err)
	}
}

func idempotent(b *bench) {
	nobody := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	if err := b.rt.Stop(b.ctx(), nobody, 0); err != nil {
		b.t.Errorf("Stop of nothing: %v", err)
	}
	if err := b.rt.Delete(b.ctx(), nobody); err != nil {
		b.t.Errorf("Delete of nothing: %v", err)
	}
	if _, err := b.rt.Inspect(b.ctx(), nobody); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		b.t.Errorf("Inspect of nothing: %v; want not found", err)
	}
	if err := b.rt.Start(b.ctx(), nobody); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		b.t.Errorf("Start of nothing: %v; want not found", err)
	}
	if err := b.rt.Delete(b.ctx(), "../../etc"); err == nil {
		b.t.Error("Delete took a path for a machine's id")
	}
	s := b.spec()
	must(b.t, b.rt.Create(b.ctx(), s))
	must(b.t, b.rt.Create(b.ctx(), s))
	b.wantState(s.ID, vitrine.MachineCreated)
	if _, err := b.rt.Dial(b.ctx(), s.ID, vitrine.AgentPort); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
		b.t.Errorf("Dial before the start: %v; want unavailable", err)
	}
	must(b.t, b.rt.Stop(b.ctx(), s.ID, time.Second))
	b.start(s.ID)
	pid := b.wantState(s.ID, vitrine.MachineRunning).PID
	b.start(s.ID)
	if again := b.inspect(s.ID).PID; again != pid || pid == 0 {
		b.t.Errorf("a second Start made process %d of %d", again, pid)
	}
	list, err := b.rt.List(b.ctx())
	if err != nil || len(list) != 1 || list[0].ID != s.ID {
		b.t.Errorf("List gives %v, %v; want the one machine", list, err)
	}
	must(b.t, b.rt.Stop(b.ctx(), s.ID, 0))
	must(b.t, b.rt.Stop(b.ctx(), s.ID, time.Second))
	b.wantState(s.ID, vitrine.MachineExited)
	if err := b.rt.Start(b.ctx(), s.ID); !errors.Is(err, vitrine.ErrMachineExited) {
		b.t.Errorf("Start of an exited machine: %v; want ErrMachineExited", err)
	}
}

func life(b *bench) {
	began := time.Now()
	id := b.created()
	b.start(id)
	running := time.Since(began)
	b.awaitAgent(id)
	b.t.Logf("create and start %s, agent answers %s", running.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if got := b.sh(id, "id -u; echo $((6*7))"); got != "0\n42" {
		b.t.Errorf("the machine printed %q", got)
	}
	if _, err := b.rt.Dial(b.ctx(), id, 1); err == nil {
		b.t.Error("Dial gave a connection to a port that does not exist")
	}
	st := b.inspect(id)
	want := int64(256 << 20)
	if b.f.VM != nil {
		want += b.f.VM.Overhead
	}
	if st.Memory.Current <= 0 || st.Memory.Limit != want {
		b.t.Errorf("memory in use and limit are %+v", st.Memory)
	}
	stop := time.Now()
	must(b.t, b.rt.Stop(b.ctx(), id, 10*time.Second))
	if took := time.Since(stop); took > 8*time.Second {
		b.t.Errorf("the machine was asked to end and needed %s: it was not asked", took)
	}
	b.wantState(id, vitrine.MachineExited)
	if !strings.Contains(b.console(id), "the agent is up") {
		b.t.Errorf("the console of a machine that ended does not hold what it printed: %q", b.console(id))
	}
	gone := time.Now()
	must(b.t, b.rt.Delete(b.ctx(), id))
	b.t.Logf("stop %s, delete %s", gone.Sub(stop).Round(time.Millisecond), time.Since(gone).Round(time.Millisecond))
}

func exits(b *bench) {
	id := b.ready()
	w, ok := b.rt.(vitrine.Watcher)
	if !ok {
		b.t.Fatal("the runtime cannot be waited on")
	}
	got := make(chan vitrine.MachineStatus, 1)
	go func() {
		st, err := w.Wait(b.ctx(), id)
		if err != nil {
			b.t.Errorf("Wait: %v", err)
		}
		got <- st
	}()
	// The agent's first process is asked to end: it leaves with serve's status.
	_, _ = b.exec(id, "kill -TERM 1")
	select {
	case st := <-got:
		if st.State != vitrine.MachineExited || st.ExitCode != 0 || st.ExitedAt.IsZero() {
			b.t.Errorf("Wait gives %+v; want exited with status 0 and a time", st)
		}
	case <-time.After(limit):
		b.t.Fatal("Wait did not wake when the machine ended")
	}
}

func killed(b *bench) {
	id := b.ready()
	p, err := os.FindProcess(b.inspect(id).PID)
	must(b.t, err)
	must(b.t, p.Kill())
	st, err := b.rt.(vitrine.Watcher).Wait(b.ctx(), id)
	if err != nil || st.State != vitrine.MachineExited || st.ExitCode != 137 {
		b.t.Errorf("after its first process was killed the machine is %+v, %v; want exited with 137", st, err)
	}
	if err := b.call(id, http.MethodGet, agentproto.PathHealth, nil, &agentproto.Health{}); err == nil {
		b.t.Error("the agent of a killed machine answers")
	}
}

func deletes(b *bench) {
	id := b.created()
	errs := make(chan error, 6)
	go func() { errs <- ignoreRace(b.rt.Start(b.ctx(), id)) }()
	b.await("the start has begun", func() bool {
		_, err := os.Stat(b.file(id, "plan.json"))
		return err == nil
	})
	for range 5 {
		go func() { errs <- b.rt.Delete(b.ctx(), id) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			b.t.Error(err)
		}
	}
	if _, err := b.rt.Inspect(b.ctx(), id); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		b.t.Errorf("after Delete, Inspect gives %v", err)
	}
	must(b.t, b.rt.Delete(b.ctx(), id))
	if left := snapshot(id); len(left) > 0 {
		b.t.Errorf("after Delete this is left:\n%s", strings.Join(left, "\n"))
	}
}

// ignoreRace lets a start lose against a delete.
func ignoreRace(err error) error {
	if vitrine.ClassOf(err) == vitrine.ClassNotFound || errors.Is(err, vitrine.ErrMachineExited) {
		return nil
	}
	return err
}

// churn makes machines start while the last of the others goes: what they share
// (the parent cgroup, the supervisors' one) is made and removed under them.
func churn(b *bench) {
	errs := make(chan error)
	for range 3 {
		specs := []vitrine.MachineSpec{b.spec(), b.spec(), b.spec()}
		go func() {
			var all []error
			for _, s := range specs {
				all = append(all, b.rt.Create(b.ctx(), s), b.rt.Start(b.ctx(), s.ID), b.rt.Delete(b.ctx(), s.ID))
			}
			errs <- errors.Join(all...)
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			b.t.Error(err)
		}
	}
}

func apart(b *bench) {
	if b.f.Shared {
		b.t.Skip("this runtime keeps nothing apart, and says so")
	}
	one, two := b.ready(), b.ready()
	b.sh(one, "echo mine >/etc/mark; echo mine >/tmp/mark; sleep 987 >/dev/null 2>&1 &")
	if got := b.sh(two, "ls /etc/mark /tmp/mark 2>/dev/null; ps | grep -c '[s]leep 987' || true"); got != "0" {
		b.t.Errorf("the second machine sees the first's: %q", got)
	}
	if _, err := os.Stat(filepath.Join(b.root, "etc/mark")); err == nil {
		b.t.Error("a machine wrote into the image")
	}
	if got := b.sh(one, "cat /etc/mark; stat -c %u /bin/busybox /home/user"); got != "mine\n0\n1000" {
		b.t.Errorf("in the machine, owners are %q; want those of the image", got)
	}
}
