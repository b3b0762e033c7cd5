package session

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func TestAMachineThatStallsForAMomentWhileItStartsIsNotGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		if s := d.settled(d.create("stalls").ID); s.State != vitrine.StateReady {
			t.Errorf("settled %+v", s.Failure)
		}
	})
}

func TestDesktopFromCreateToDelete(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		s := d.create("")
		if s.State != vitrine.StatePending || s.Runtime != "gvisor" || s.Isolation != vitrine.IsolationGVisor || s.MemoryMB != 2048 || !s.Address.IsValid() {
			t.Errorf("created %+v", s)
		}
		if _, err := d.Agent(context.Background(), s.ID); codeOf(err) != "not_ready" {
			t.Errorf("the agent of a starting session: %v", err)
		}
		s = d.settled(s.ID)
		if s.State != vitrine.StateReady || s.ImageDigest != "sha256:d" || s.Node != "n1" || s.ReadyAt.IsZero() {
			t.Fatalf("settled %+v", s)
		}
		if took := s.ReadyAt.Sub(s.CreatedAt); took > 4*stepTime+50*time.Millisecond {
			t.Errorf("ready after %s though the machine took %s", took, 4*stepTime)
		}
		names, l := d.phases(s.ID)
		if !slices.Equal(names, desktopPhases) {
			t.Errorf("phases %v", names)
		}
		for _, p := range l.Phases {
			if p.Outcome != vitrine.OutcomeOK || p.Detail == "" {
				t.Errorf("phase %+v", p)
			}
		}
		if _, err := d.Agent(context.Background(), s.ID); err != nil {
			t.Error(err)
		}
		if text, err := d.Console(context.Background(), s.ID); err != nil || !strings.Contains(string(text), "booting") {
			t.Errorf("console %q, %v", text, err)
		}
		before := time.Now()
		d.delete(s.ID)
		s = d.released(s.ID)
		if s.State != vitrine.StateEnded || s.EndedReason != vitrine.EndedByUser || s.EndedAt.IsZero() || time.Since(before) > 5*time.Second {
			t.Errorf("ended %+v after %s", s, time.Since(before))
		}
		w.nothingLeft()
		if text, err := d.Console(context.Background(), s.ID); err != nil || !strings.Contains(string(text), "booting") {
			t.Errorf("the console afterwards: %q, %v", text, err)
		}
		if again := d.delete(s.ID); again.Version != s.Version {
			t.Error("deleting again changed the session")
		}
		if _, err := d.Agent(context.Background(), s.ID); codeOf(err) != "session_over" {
			t.Errorf("the agent of an ended session: %v", err)
		}
		if !slices.Equal(w.overs.ids, []string{s.ID}) {
			t.Errorf("told to be over: %v", w.overs.ids)
		}
	})
}

func TestTerminal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		s := d.settled(d.create("", func(n *vitrine.NewSession) { n.Kind = vitrine.KindTerminal }).ID)
		names, _ := d.phases(s.ID)
		if s.State != vitrine.StateReady || !slices.Equal(names, upTo(vitrine.PhaseAgent)) {
			t.Errorf("%s, phases %v", s.State, names)
		}
	})
}

func TestEachFailureIsNamedAndLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		fault  string
		phase  vitrine.PhaseName
		code   vitrine.FailureCode
		within time.Duration
		change func(*vitrine.NewSession)
	}{
		{"image", vitrine.PhaseImage, vitrine.FailImageCorrupt, time.Second, func(n *vitrine.NewSession) { n.Image = "rotten" }},
		{"network", vitrine.PhaseNetwork, vitrine.FailHostNetworkFailed, time.Second, nil},
		{"create", vitrine.PhaseMachine, vitrine.FailVMMFailed, time.Second, nil},
		{"create-full", vitrine.PhaseMachine, vitrine.FailHostDiskFull, time.Second, nil},
		{"create-hangs", vitrine.PhaseMachine, vitrine.FailStartTimeout, 31 * time.Second, nil},
		{"start", vitrine.PhaseMachine, vitrine.FailVMMFailed, time.Second, nil},
		{"start-hangs", vitrine.PhaseMachine, vitrine.FailStartTimeout, 31 * time.Second, nil},
		{"exit", vitrine.PhaseAgent, vitrine.FailVMMFailed, time.Second, nil},
		{"agent-silent", vitrine.PhaseAgent, vitrine.FailAgentTimeout, 31 * time.Second, nil},
		{"agent-hangs", vitrine.PhaseAgent, vitrine.FailAgentTimeout, 34 * time.Second, nil},
		{"oom-panic", vitrine.PhaseAgent, vitrine.FailGuestOOM, 31 * time.Second, nil},
		{"version", vitrine.PhaseAgent, vitrine.FailAgentVersionMismatch, time.Second, nil},
		{"display", vitrine.PhaseDisplay, vitrine.FailDisplayFailed, time.Second, nil},
		{"display-late", vitrine.PhaseDisplay, vitrine.FailStartTimeout, 31 * time.Second, nil},
		{"browser", vitrine.PhaseBrowser, vitrine.FailBrowserCrashed, 2 * time.Second, nil},
		{"never-paints", vitrine.PhaseBrowser, vitrine.FailBrowserUnresponsive, 92 * time.Second, nil},
		{"thrash", vitrine.PhaseBrowser, vitrine.FailGuestOOM, 20 * time.Second, nil},
		{"offline", vitrine.PhaseBrowser, vitrine.FailGuestNetworkDown, 8 * time.Second, nil},
	} {
		t.Run(c.fault, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.daemon()
				if c.fault == "network" {
					w.net.fail = context.DeadlineExceeded
				}
				var opt []func(*vitrine.NewSession)
				if c.change != nil {
					opt = append(opt, c.change)
				}
				s := d.settled(d.create(c.fault, opt...).ID)
				if s.State != vitrine.StateFailed || s.Failure == nil || s.EndedReason != vitrine.EndedFailedToStart {
					t.Fatalf("%s, %+v", s.State, s.Failure)
				}
				if s.Failure.Code != c.code || s.Failure.Phase != c.phase || s.Failure.Remedy == "" {
					t.Errorf("failure %+v, want %s in %s", s.Failure, c.code, c.phase)
				}
				if took := s.EndedAt.Sub(s.CreatedAt); took > c.within {
					t.Errorf("named after %s, want within %s", took, c.within)
				}
				names, l := d.phases(s.ID)
				if !slices.Equal(names, upTo(c.phase)) || l.Failure == nil {
					t.Errorf("phases %v", names)
				}
				for i, p := range l.Phases {
					if want := i < len(l.Phases)-1; (p.Outcome == vitrine.OutcomeOK) != want || p.Outcome == vitrine.OutcomeRunning {
						t.Errorf("line %+v", p)
					}
				}
				ended := s.EndedAt
				s = d.released(s.ID)
				if took := s.UpdatedAt.Sub(ended); took > 5*time.Second {
					t.Errorf("torn down after %s", took)
				}
				w.nothingLeft()
				if slices.Index(desktopPhases, c.phase) > slices.Index(desktopPhases, vitrine.PhaseMachine) {
					if text, err := d.Console(context.Background(), s.ID); err != nil || len(text) == 0 {
						t.Errorf("the console was not kept: %q, %v", text, err)
					}
				}
			})
		})
	}
}

// A ready machine that goes wrong.
func TestReadyAndThen(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(h *host, m *fakeMachine)
		code   vitrine.FailureCode
		reason vitrine.EndedReason
		within time.Duration
	}{
		{"the agent dies", func(h *host, m *fakeMachine) { h.exits(m, 2, 0) }, vitrine.FailAgentCrashed, vitrine.EndedMachineExited, 100 * time.Millisecond},
		{"memory runs out", func(h *host, m *fakeMachine) { h.exits(m, 137, 1) }, vitrine.FailGuestOOM, vitrine.EndedGuestOOM, 100 * time.Millisecond},
		{"Chromium gives up", func(_ *host, m *fakeMachine) {
			m.health = func(h *vitrine.AgentHealth) error {
				h.Problem = &vitrine.AgentProblem{Program: "chromium", Message: "signal: trap"}
				return nil
			}
		}, vitrine.FailBrowserCrashed, vitrine.EndedBrowserCrashed, 6 * time.Second},
		{"the agent hangs", func(_ *host, m *fakeMachine) {
			m.health = func(*vitrine.AgentHealth) error { return context.DeadlineExceeded }
		}, vitrine.FailAgentTimeout, vitrine.EndedMachineExited, 80 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.daemon()
				id := d.settled(d.create("").ID).ID
				m := w.host.only()
				time.Sleep(time.Minute) // all is well for a minute
				if s, _ := d.Get(context.Background(), id); s.State != vitrine.StateReady {
					t.Fatalf("%s after a minute", s.State)
				}
				at := time.Now()
				if strings.Contains(c.name, "agent dies") || strings.Contains(c.name, "memory") {
					c.spoil(w.host, m)
				} else {
					w.host.mu.Lock()
					c.spoil(w.host, m)
					w.host.mu.Unlock()
				}
				s := d.released(id)
				if s.State != vitrine.StateFailed || s.Failure.Code != c.code || s.EndedReason != c.reason || s.EndedAt.Sub(at) > c.within {
					t.Errorf("%s, %v, %s after %s", s.State, s.Failure, s.EndedReason, s.EndedAt.Sub(at))
				}
				w.nothingLeft()
			})
		})
	}
}

func TestDeletedWhileItStarts(t *testing.T) {
	for _, fault := range []string{"", "create-hangs", "start-hangs", "agent-silent", "agent-hangs", "display-late", "never-paints"} {
		for _, after := range []time.Duration{0, time.Millisecond, stepTime + 30*time.Millisecond, 3 * stepTime} {
			t.Run(fault+" "+after.String(), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					d := w.daemon()
					id := d.create(fault).ID
					time.Sleep(after)
					at := time.Now()
					d.delete(id)
					s := d.released(id)
					if s.State != vitrine.StateEnded || s.EndedReason != vitrine.EndedByUser || s.Failure != nil {
						t.Errorf("%s, %s, %v", s.State, s.EndedReason, s.Failure)
					}
					if time.Since(at) > 5*time.Second {
						t.Errorf("took %s", time.Since(at))
					}
					_, l := d.phases(id)
					for _, p := range l.Phases {
						if p.Outcome == vitrine.OutcomeRunning {
							t.Errorf("the ledger says that %s still runs", p.Name)
						}
					}
					w.nothingLeft()
				})
			})
		}
	}
}

func TestLifetimes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var viewers atomic.Int32
		d := w.daemon(func(c *Config) { c.Viewers = func(string) int { return int(viewers.Load()) } })
		timed := d.create("", func(n *vitrine.NewSession) { n.Timeout = time.Minute })
		slow := d.create("display-late", func(n *vitrine.NewSession) { n.Timeout = 10 * time.Second })
		idle := d.create("", func(n *vitrine.NewSession) { n.IdleTimeout = 30 * time.Second })
		get := func(id string) vitrine.Session {
			t.Helper()
			synctest.Wait()
			s, err := d.Get(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		time.Sleep(20 * time.Second)
		d.Touch(idle.ID)
		if s := get(slow.ID); s.EndedReason != vitrine.EndedExpired || !s.Released {
			t.Errorf("expired while starting: %s %s", s.State, s.EndedReason)
		}
		time.Sleep(20 * time.Second)
		if s := get(idle.ID); s.State != vitrine.StateReady {
			t.Errorf("%s, %s though it was used 20 s ago", s.State, s.EndedReason)
		}
		viewers.Store(1)
		time.Sleep(19 * time.Second)
		if s := get(timed.ID); s.State != vitrine.StateReady {
			t.Errorf("%s before its time was over", s.State)
		}
		time.Sleep(2 * time.Second)
		if s := get(timed.ID); s.EndedReason != vitrine.EndedExpired || !s.Released {
			t.Errorf("after its time: %s, %s", s.State, s.EndedReason)
		}
		time.Sleep(time.Hour)
		if s := get(idle.ID); s.State != vitrine.StateReady {
			t.Errorf("%s while a viewer is there", s.State)
		}
		viewers.Store(0)
		time.Sleep(36 * time.Second)
		if s := get(idle.ID); s.EndedReason != vitrine.EndedIdle || !s.Released {
			t.Errorf("idle: %s, %s", s.State, s.EndedReason)
		}
		w.nothingLeft()
	})
}

func TestPatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		ctx := context.Background()
		id := d.settled(d.create("").ID).ID
		size, short := vitrine.Viewport{Width: 1000, Height: 700}, 5*time.Second
		if _, err := d.Patch(ctx, id, vitrine.SessionPatch{Viewport: &size, Metadata: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.host.only().resize; got != size {
			t.Errorf("the desktop is %+v, want %+v", got, size)
		}
		bad := vitrine.Viewport{Width: 1}
		if _, err := d.Patch(ctx, id, vitrine.SessionPatch{Viewport: &bad}); codeOf(err) != "invalid_viewport" {
			t.Errorf("a bad size: %v", err)
		}
		if _, err := d.Patch(ctx, id, vitrine.SessionPatch{Timeout: &short}); err != nil {
			t.Fatal(err)
		}
		if s := d.released(id); s.EndedReason != vitrine.EndedExpired || s.Metadata["a"] != "b" {
			t.Errorf("%s, %v", s.EndedReason, s.Metadata)
		}
		if _, err := d.Patch(ctx, id, vitrine.SessionPatch{Viewport: &size}); codeOf(err) != "session_over" {
			t.Errorf("a patch of one that is over: %v", err)
		}
	})
}

func TestOldSessionsArePruned(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(func(c *Config) { c.AgeGuard = time.Hour }) // fewer sweeps in eight days
		id := d.create("create").ID
		d.released(id)
		time.Sleep(6 * 24 * time.Hour)
		if _, err := d.Get(context.Background(), id); err != nil {
			t.Errorf("after six days: %v", err)
		}
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if _, err := d.Get(context.Background(), id); vitrine.ClassOf(err) != vitrine.ClassNotFound {
			t.Errorf("after eight days: %v", err)
		}
	})
}
