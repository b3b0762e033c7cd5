package firecracker_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

func TestTheProbeBootsAGuest(t *testing.T) {
	b := newBench(t, "idle")
	p := b.rt.Probe(b.ctx())
	if !p.OK || p.Version == "" || p.Took <= 0 {
		t.Fatalf("the probe says %+v", p)
	}
	t.Logf("%s", p.Reason)
}

func TestAMachineComesUpWithWhatItWasGivenAndGoes(t *testing.T) {
	b := newBench(t, "idle")
	for _, mib := range []int64{64, 200} {
		s := b.attached()
		s.MemoryBytes = mib << 20
		id := b.up(s)
		var kib int64
		if _, err := fmt.Sscanf(b.console(id), tiny.Up+"%d KiB", &kib); err != nil || kib > mib<<10 || kib < mib<<10-1024 {
			t.Errorf("a guest of %d MiB sees %d KiB (%v): %q", mib, kib, err, b.console(id))
		}
		st := b.inspect(id)
		if st.State != vitrine.MachineRunning || st.PID == 0 || st.Memory.Limit < mib<<20 {
			t.Errorf("it is %+v", st)
		}
		if user := statusLine(t, st.PID, "Uid:"); !strings.HasPrefix(user, fmt.Sprint(1<<20+s.Slot*65536)) {
			t.Errorf("the VMM runs as %s", user)
		}
		if pids := strings.Fields(statusLine(t, st.PID, "NSpid:")); len(pids) != 2 || pids[1] != "1" {
			t.Errorf("the VMM's pids are %s, want 1 in a namespace of its own", pids)
		}
		b.start2(id)
		began := time.Now()
		must(t, b.rt.Stop(b.ctx(), id, 10*time.Second)) // nobody answers, so nothing is waited for
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("a guest without an agent was waited for: %s", took)
		}
		if st := b.exited(id); st.ExitCode != 137 {
			t.Errorf("it is %+v", st)
		}
		began = time.Now()
		must(t, b.rt.Delete(b.ctx(), id))
		t.Logf("deleted in %s", time.Since(began).Round(time.Millisecond))
		must(t, b.rt.Delete(b.ctx(), id))
	}
}

// start2 is a second Start, which must change nothing.
func (b *bench) start2(id string) {
	b.t.Helper()
	pid := b.inspect(id).PID
	must(b.t, b.rt.Start(b.ctx(), id))
	if again := b.inspect(id).PID; again != pid {
		b.t.Errorf("a second Start made process %d of %d", again, pid)
	}
}

func statusLine(t *testing.T, pid int, key string) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for l := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(l, key); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("process %d has no %s", pid, key)
	return ""
}

// anyCode: after a triple fault Firecracker leaves with 0 or 1, as it happens.
const anyCode = -1

func TestWhatAGuestDoesIsSeen(t *testing.T) {
	for _, c := range []struct {
		mode string
		code int
		want []string // on the console, in this order
	}{
		{"reboot", 0, []string{tiny.Up}},
		{"panic", 0, []string{"BUG: kernel NULL pointer dereference", "Kernel panic - not syncing: Fatal exception", "Call Trace:", "Rebooting in 1 seconds.."}},
		{"oom", 0, []string{"invoked oom-killer", "Out of memory and no killable processes...", "System is deadlocked on memory", "Rebooting in 1 seconds.."}},
		{"noroot", 0, []string{"VFS: Cannot open root device", "VFS: Unable to mount root fs"}},
		{"fault", anyCode, []string{tiny.Up, "vmm: "}},
	} {
		t.Run(c.mode, func(t *testing.T) {
			b := newBench(t, c.mode)
			id := b.start(b.spec())
			st := b.exited(id)
			if st.ExitCode != c.code && c.code != anyCode || st.ExitedAt.IsZero() {
				t.Errorf("it is %+v, want status %d", st, c.code)
			}
			console := b.console(id)
			rest := console
			for _, w := range c.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("the console has no %q at its place:\n%s", w, console)
				}
				rest = after
			}
			if err := b.rt.Start(b.ctx(), id); err == nil {
				t.Error("a machine that ran and left was started again")
			}
			if st2 := b.inspect(id); st2.ExitCode != st.ExitCode || b.console(id) != console {
				t.Errorf("later it is %+v", st2)
			}
		})
	}
}

func TestAGuestThatHangsIsKilled(t *testing.T) {
	for _, mode := range []string{"hang", "silent"} {
		b := newBench(t, mode)
		id := b.start(b.spec())
		if _, err := b.rt.Dial(b.ctx(), id, vitrine.AgentPort); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
			t.Errorf("%s: Dial of a guest without an agent: %v; want unavailable", mode, err)
		}
		began := time.Now()
		must(t, b.rt.Delete(b.ctx(), id))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: it took %s to delete", mode, took)
		}
	}
}

func TestAVMMThatIsKilledIsSeenToBe(t *testing.T) {
	b := newBench(t, "idle")
	id := b.up(b.spec())
	got := make(chan vitrine.MachineStatus, 1)
	go func() {
		st, _ := b.rt.Wait(b.ctx(), id)
		got <- st
	}()
	must(t, syscall.Kill(b.inspect(id).PID, syscall.SIGKILL))
	select {
	case st := <-got:
		if st.State != vitrine.MachineExited || st.ExitCode != 137 {
			t.Errorf("it is %+v", st)
		}
	case <-time.After(limit):
		t.Fatal("Wait did not wake")
	}
}

func TestAPausedMachineStandsStill(t *testing.T) {
	b := newBench(t, "flood")
	id := b.start(b.spec())
	b.await("it prints", func() bool { return strings.Contains(b.console(id), "tiny: flood 9") })
	must(t, b.rt.Pause(b.ctx(), id))
	var before string
	b.await("what was under way is on the console", func() bool {
		was := before
		before = b.console(id)
		return was == before
	})
	<-time.After(100 * time.Millisecond) // what must not happen has no event
	if b.console(id) != before {
		t.Error("a paused machine prints")
	}
	must(t, b.rt.Resume(b.ctx(), id))
	b.await("it prints again", func() bool { return b.console(id) != before })
	must(t, b.rt.Pause(b.ctx(), id))
	must(t, b.rt.Delete(b.ctx(), id))
}

func TestTheVMMOutlivesTheDaemonAndIsAdopted(t *testing.T) {
	b := newBench(t, "idle")
	s := b.attached()
	cmd, said := b.daemon(s)
	if a, z := said(), said(); a != "created" || z != "started <nil>" {
		t.Fatalf("the other process says %q, %q", a, z)
	}
	before := b.inspect(s.ID)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	b.reopen()
	list, err := b.rt.List(b.ctx())
	if err != nil || len(list) != 1 || list[0].PID != before.PID || list[0].State != vitrine.MachineRunning {
		t.Fatalf("List gives %+v, %v; it was %+v", list, err, before)
	}
	b.start2(s.ID)

	// Its supervisor too: another takes over, and the console goes on.
	d := machinedir.Dir(b.set.Base + "/" + s.ID)
	var first machinedir.Process
	must(t, d.Read(machinedir.SupervisorFile, &first))
	must(t, first.Signal(syscall.SIGKILL))
	must(t, first.Wait(b.ctx()))
	b.await("another supervisor is there", func() bool {
		var now machinedir.Process
		return b.inspect(s.ID).State == vitrine.MachineRunning && d.Read(machinedir.SupervisorFile, &now) == nil && now.PID != first.PID
	})
	if got := b.inspect(s.ID); got.PID != before.PID {
		t.Errorf("the machine was %+v and is %+v", before, got)
	}
	// The VMM's sockets are reached through the VMM's own root now.
	for range 3 { // each empties the file
		if m, err := b.rt.Metrics(b.ctx(), s.ID); err != nil || !strings.HasPrefix(string(m), "{") {
			t.Errorf("the VMM's API without its first supervisor: %.80s, %v", m, err)
		}
	}
}

func TestTheDaemonIsKilledInTheMiddleOfAStart(t *testing.T) {
	b := newBench(t, "idle")
	for _, wait := range []time.Duration{0, 5, 10, 20, 30, 45, 60, 75, 90, 105} {
		s := b.attached()
		cmd, said := b.daemon(s)
		if a := said(); a != "created" {
			t.Fatalf("the other process says %q", a)
		}
		<-time.After(wait * time.Millisecond) // there is no event inside a start; ten moments of it
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		b.reopen()
		if err := b.rt.Start(b.ctx(), s.ID); err != nil {
			t.Errorf("killed after %d ms, the machine does not start: %v", wait, err)
			continue
		}
		b.await("the guest is up", func() bool { return strings.Contains(b.console(s.ID), tiny.Up) })
		if n := strings.Count(b.console(s.ID), tiny.Up); n != 1 {
			t.Errorf("killed after %d ms, the guest came up %d times", wait, n)
		}
		must(t, b.rt.Delete(b.ctx(), s.ID))
		must(t, b.net.Detach(b.ctx(), s.ID))
	}
}

func TestFiftyStartsAndKillsLeaveNothing(t *testing.T) {
	b := newBench(t, "idle")
	var starts, ends []time.Duration
	for i := range 50 {
		s := b.attached()
		b.slot %= 5 // the same few slots again: uid, address and TAP are used anew
		began := time.Now()
		id := b.start(s)
		starts = append(starts, time.Since(began))
		switch i % 3 {
		case 0:
			must(t, syscall.Kill(b.inspect(id).PID, syscall.SIGKILL))
		case 1:
			b.await("the guest is up", func() bool { return strings.Contains(b.console(id), tiny.Up) })
		}
		began = time.Now()
		must(t, b.rt.Delete(b.ctx(), id))
		must(t, b.net.Detach(b.ctx(), id))
		ends = append(ends, time.Since(began))
	}
	t.Logf("create and start: p50 %s, p95 %s; delete and detach: p50 %s, p95 %s", at(starts, 50), at(starts, 95), at(ends, 50), at(ends, 95))
	// newBench holds the node to what it was.
}

func at(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)*percent/100].Round(100 * time.Microsecond)
}

func TestMachinesComeAndGoAtTheSameTime(t *testing.T) {
	b := newBench(t, "idle")
	errs := make(chan error)
	for range 4 {
		s := b.attached()
		go func() {
			err := b.rt.Create(b.ctx(), s)
			if err == nil {
				err = b.rt.Start(b.ctx(), s.ID)
			}
			if err == nil {
				err = b.rt.Delete(b.ctx(), s.ID)
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
