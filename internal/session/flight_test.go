package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// fakeRecorder keeps records in memory.
type fakeRecorder struct {
	vitrine.FlightRecorder
	host *host
	hang bool // as a disk that does not answer
	fail error

	mu     sync.Mutex
	kept   map[string]vitrine.FlightRecord
	alive  map[string]bool // by session: the machine was still there
	called int
}

func newRecorder(w *world) *fakeRecorder {
	return &fakeRecorder{host: w.host, kept: map[string]vitrine.FlightRecord{}, alive: map[string]bool{}}
}

func (f *fakeRecorder) Bundle(id string) (vitrine.Bundle, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.kept[id]
	return vitrine.Bundle{}, ok
}

func (f *fakeRecorder) Record(ctx context.Context, r vitrine.FlightRecord) error {
	f.host.mu.Lock()
	alive := f.host.machines[r.Session.MachineID] != nil
	f.host.mu.Unlock()
	f.mu.Lock()
	f.called++
	f.mu.Unlock()
	if f.hang {
		return f.host.hang(ctx, "deaf")
	}
	if f.fail != nil {
		return f.fail
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[r.Session.ID], f.alive[r.Session.ID] = r, alive
	return nil
}

func (f *fakeRecorder) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.called
}

// recorded waits until nothing of the session is left, and gives what was kept.
func (f *fakeRecorder) recorded(d *daemon, id string) (vitrine.FlightRecord, bool) {
	d.t.Helper()
	d.released(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.kept[id]
	return r, ok
}

func TestAFailureIsRecordedBeforeTheMachineGoes(t *testing.T) {
	for _, c := range []struct {
		name, fault     string
		machine, health bool // there was one; it had answered
		lives           bool // and still runs
		code            vitrine.FailureCode
	}{
		{"the browser never paints", "never-paints", true, true, true, vitrine.FailBrowserUnresponsive},
		{"the display gives up", "display", true, true, true, vitrine.FailDisplayFailed},
		{"the agent is silent", "agent-silent", true, false, true, vitrine.FailAgentTimeout},
		{"the kernel panics for want of memory", "oom-panic", true, false, true, vitrine.FailGuestOOM},
		{"the machine leaves at once", "exit", true, false, false, vitrine.FailVMMFailed},
		{"the machine cannot be made", "create", false, false, false, vitrine.FailVMMFailed},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f := newRecorder(w)
				d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
				s := d.create(c.fault)
				r, ok := f.recorded(d, s.ID)
				if !ok {
					t.Fatal("nothing was recorded")
				}
				if r.Session.Failure == nil || r.Session.Failure.Code != c.code || r.Session.State != vitrine.StateFailed {
					t.Errorf("the session is %s with %v", r.Session.State, r.Session.Failure)
				}
				if f.alive[s.ID] != c.machine {
					t.Errorf("the machine was there: %v", f.alive[s.ID])
				}
				if got := strings.Contains(string(r.Console), "booting"); got != c.machine {
					t.Errorf("the console is %q; without: %q", r.Console, r.Missing)
				}
				if (len(r.Logs) == 1) != c.machine || (r.Status != nil) != c.machine || (r.Health != nil) != c.health {
					t.Errorf("logs %v, status %v, health %v", r.Logs, r.Status, r.Health)
				}
				if got := string(r.Screenshot) == "picture of "+s.MachineID; got != (c.health && c.lives) {
					t.Errorf("the screenshot is %q", r.Screenshot)
				}
				open := slices.ContainsFunc(r.Ledger.Phases, func(p vitrine.Phase) bool { return p.Outcome == vitrine.OutcomeRunning })
				if len(r.Ledger.Phases) < 3 || open {
					t.Errorf("the ledger is %+v", r.Ledger.Phases)
				}
				if !c.machine && len(r.Missing) == 0 {
					t.Error("what is missing is not named")
				}
				w.nothingLeft()
			})
		})
	}
}

func TestAFailureAfterTheStartIsRecorded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := newRecorder(w)
		d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
		s := d.settled(d.create("").ID)
		w.host.exits(w.host.only(), 137, 1)
		r, ok := f.recorded(d, s.ID)
		if !ok || r.Session.Failure == nil || r.Session.Failure.Code != vitrine.FailGuestOOM || r.Status == nil || r.Status.OOMKills != 1 || r.Health == nil {
			t.Errorf("recorded %v: %+v", ok, r)
		}
	})
}

func TestWhatDidNotFailIsNotRecorded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := newRecorder(w)
		d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
		s := d.settled(d.create("").ID)
		d.delete(s.ID)
		if _, ok := f.recorded(d, s.ID); ok || f.calls() != 0 {
			t.Error("a session that was ended by its user was recorded")
		}
	})
}

// Deletion is promised within 5 s of a failure, and of these the recorder may
// take about one: also when the agent, the logs and the disk are all stuck.
func TestARecorderThatIsStuckHoldsUpNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := newRecorder(w)
		f.hang = true
		d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
		s := d.settled(d.create("mute").ID)
		if s.State != vitrine.StateFailed {
			t.Fatalf("the session is %s", s.State)
		}
		d.released(s.ID)
		if took := time.Since(s.EndedAt); took > wordsLimit+callGrace+writeLimit+100*time.Millisecond || took < writeLimit {
			t.Errorf("the teardown took %s", took)
		}
		if f.calls() != 1 {
			t.Errorf("the recorder was called %d times", f.calls())
		}
		w.nothingLeft()
		close(w.host.stuck)
	})
}

func TestARecordThatCannotBeKeptIsNotTriedForEver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := newRecorder(w)
		f.fail = errors.New("no space left on device")
		d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
		s := d.create("display")
		if _, ok := f.recorded(d, s.ID); ok || f.calls() != 1 {
			t.Errorf("kept %v, called %d times", ok, f.calls())
		}
		w.nothingLeft()
	})
}

// A daemon that is killed between the failure and the record leaves it to the
// next; one that is killed after it leaves nothing to record again.
func TestTheNextDaemonRecordsWhatTheLastCouldNot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := newRecorder(w)
		f.hang = true
		d := w.daemon(func(cfg *Config) { cfg.Recorder = f })
		s := d.settled(d.create("delete-hangs", func(n *vitrine.NewSession) { n.MemoryMB = 1024 }).ID)
		w.host.mu.Lock()
		for _, m := range w.host.machines {
			m.health = func(h *vitrine.AgentHealth) error {
				h.Problem = &vitrine.AgentProblem{Program: "chromium", Message: "left"}
				return nil
			}
		}
		w.host.mu.Unlock()
		for s.State != vitrine.StateFailed {
			time.Sleep(time.Second) // of the bubble's clock
			s, _ = d.Get(t.Context(), s.ID)
		}
		d.end() // the machine is still there: its deletion hangs, and so did the disk
		close(w.host.stuck)

		again := newRecorder(w)
		d = w.daemon(func(cfg *Config) { cfg.Recorder = again })
		r, ok := again.recorded(d, s.ID)
		if !ok || len(r.Console) == 0 || len(r.Logs) != 1 || r.Session.Failure == nil || r.Screenshot != nil {
			t.Errorf("recorded %v: %+v", ok, r)
		}
	})
}
