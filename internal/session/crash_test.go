package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// guillotine kills a daemon at its n-th deed: nothing the daemon tries after
// that has any effect, as if it had been killed with SIGKILL.
type guillotine struct {
	mu    sync.Mutex
	at    int // 0: never
	after bool
	n     int
	dead  chan struct{}
	name  string // of the deed it died at
}

var errDead = errors.New("this daemon is dead")

func (g *guillotine) deed(name string, do func() error) error {
	g.mu.Lock()
	select {
	case <-g.dead:
		g.mu.Unlock()
		return errDead
	default:
	}
	g.n++
	now := g.n == g.at
	if now {
		g.name = name
		close(g.dead)
	}
	g.mu.Unlock()
	if now && !g.after {
		return errDead
	}
	err := do()
	if now {
		return errDead
	}
	return err
}

type mortalStore struct {
	vitrine.Store
	g *guillotine
}

func (s *mortalStore) UpdateSession(ctx context.Context, id string, now time.Time, change func(*vitrine.Session) error) (one vitrine.Session, err error) {
	err = s.g.deed("UpdateSession", func() error { one, err = s.Store.UpdateSession(ctx, id, now, change); return err })
	return one, err
}

func (s *mortalStore) PutPhase(ctx context.Context, id string, p vitrine.Phase) error {
	return s.g.deed("PutPhase "+string(p.Name)+" "+string(p.Outcome), func() error { return s.Store.PutPhase(ctx, id, p) })
}

func (s *mortalStore) SaveConsole(ctx context.Context, id string, c []byte) error {
	return s.g.deed("SaveConsole", func() error { return s.Store.SaveConsole(ctx, id, c) })
}

type mortalRuntime struct {
	*fakeRuntime
	g *guillotine
}

func (r *mortalRuntime) Create(ctx context.Context, spec vitrine.MachineSpec) error {
	return r.g.deed("Create", func() error { return r.fakeRuntime.Create(ctx, spec) })
}

func (r *mortalRuntime) Start(ctx context.Context, id string) error {
	return r.g.deed("Start", func() error { return r.fakeRuntime.Start(ctx, id) })
}

func (r *mortalRuntime) Delete(ctx context.Context, id string) error {
	return r.g.deed("Delete", func() error { return r.fakeRuntime.Delete(ctx, id) })
}

type mortalNetwork struct {
	*fakeNetwork
	g *guillotine
}

func (n *mortalNetwork) Attach(ctx context.Context, id string, slot int, a netip.Addr) (at vitrine.Attachment, err error) {
	err = n.g.deed("Attach", func() error { at, err = n.fakeNetwork.Attach(ctx, id, slot, a); return err })
	return at, err
}

func (n *mortalNetwork) Detach(ctx context.Context, id string) error {
	return n.g.deed("Detach", func() error { return n.fakeNetwork.Detach(ctx, id) })
}

func (w *world) mortal(g *guillotine) func(*Config) {
	g.dead = make(chan struct{})
	return func(c *Config) {
		c.Store = &mortalStore{w.store, g}
		c.Runtimes = []vitrine.Runtime{&mortalRuntime{w.gvi, g}}
		c.Network = &mortalNetwork{w.net, g}
	}
}

// A daemon is killed at each of its deeds in turn, before and after the deed
// took effect, in a life from create over ready to delete. The next daemon
// finishes the life: nothing leaks, and a machine that had started is the one
// that goes on.
func TestKilledAtEveryDeed(t *testing.T) {
	for _, fault := range []string{"", "browser"} {
		deeds := countDeeds(t, fault)
		if deeds < 15 {
			t.Fatalf("only %d deeds: the guillotine is not wired", deeds)
		}
		for at := 1; at <= deeds; at++ {
			for _, after := range []bool{false, true} {
				inWorld(t, func(t *testing.T, w *world) { killedAt(t, w, fault, at, after) })
			}
		}
	}
}

func countDeeds(t *testing.T, fault string) (n int) {
	inWorld(t, func(t *testing.T, w *world) {
		g := &guillotine{}
		live(w, w.daemon(w.mortal(g)), fault, g)
		n = g.n
	})
	return n
}

// live runs a session's life until its end or the daemon's.
func live(w *world, d *daemon, fault string, g *guillotine) vitrine.Session {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-g.dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	s := d.create(fault)
	if _, err := d.WaitSettled(ctx, s.ID); err == nil {
		d.delete(s.ID)
		_, _ = d.WaitReleased(ctx, s.ID)
	}
	s, err := w.store.Session(context.Background(), s.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func killedAt(t *testing.T, w *world, fault string, at int, after bool) {
	g := &guillotine{at: at, after: after}
	first := w.daemon(w.mortal(g))
	s := live(w, first, fault, g)
	first.end()
	name := fmt.Sprintf("%q killed at deed %d (%s), after %v, in state %s", fault, at, g.name, after, s.State)
	if g.name == "" {
		return // this life had fewer deeds
	}
	before := w.host.only()
	created := w.host.created

	d := w.daemon()
	if s.Desired == vitrine.DesiredEnded {
		s = d.released(s.ID)
	} else {
		s = d.settled(s.ID)
	}
	switch {
	case fault != "":
		if s.State != vitrine.StateFailed || s.Failure.Code != vitrine.FailBrowserCrashed {
			t.Errorf("%s: %s, %v", name, s.State, s.Failure)
		}
	case s.Desired == vitrine.DesiredRunning:
		if s.State != vitrine.StateReady {
			t.Fatalf("%s: %s, %v", name, s.State, s.Failure)
		}
		if now := w.host.only(); before != nil && before.state == vitrine.MachineRunning && (now != before || w.host.created != created) {
			t.Errorf("%s: the running machine was replaced", name)
		}
	case s.State != vitrine.StateEnded:
		t.Errorf("%s: %s, %v", name, s.State, s.Failure)
	}
	if _, l := d.phases(s.ID); true {
		for _, p := range l.Phases {
			if p.Outcome == vitrine.OutcomeRunning {
				t.Errorf("%s: the ledger says that %s still runs", name, p.Name)
			}
		}
	}
	d.delete(s.ID)
	if s = d.released(s.ID); !s.State.Over() {
		t.Errorf("%s: %s at the end", name, s.State)
	}
	if left := w.host.left(); len(left) > 0 {
		t.Errorf("%s: left %v", name, left)
	}
	w.nothingLeft()
	d.end()
}

// A stop of the daemon leaves every machine as it is; the next daemon goes on.
func TestRestartedDaemonGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		ready := d.settled(d.create("").ID)
		starting := d.create("")
		time.Sleep(2*stepTime + 50*time.Millisecond)
		d.end()
		if s, _ := w.store.Session(context.Background(), starting.ID); s.State != vitrine.StateStarting {
			t.Fatalf("the stop left the starting one %s", s.State)
		}
		created := w.host.created
		time.Sleep(time.Hour)
		d = w.daemon()
		s := d.settled(starting.ID)
		if s.State != vitrine.StateReady || w.host.created != created {
			t.Errorf("%s, %v, %d machines made anew", s.State, s.Failure, w.host.created-created)
		}
		time.Sleep(time.Minute)
		if s, _ := d.Get(context.Background(), ready.ID); s.State != vitrine.StateReady || s.Version != ready.Version {
			t.Errorf("the ready one is %s, version %d → %d", s.State, ready.Version, s.Version)
		}
		d.delete(starting.ID)
		d.released(starting.ID)
		d.end()

		// The machine dies while no daemon is there.
		w.host.exits(w.host.only(), 1, 0)
		d = w.daemon()
		s = d.released(ready.ID)
		if s.State != vitrine.StateFailed || s.EndedReason != vitrine.EndedMachineExited {
			t.Errorf("%s, %s", s.State, s.EndedReason)
		}
		w.nothingLeft()
	})
}

func TestMachineGoneWithTheDaemon(t *testing.T) {
	for name, gone := range map[string]func(w *world, c *Config){
		"somebody deleted it":       func(w *world, _ *Config) { clear(w.host.machines) },
		"the host restarted":        func(w *world, c *Config) { clear(w.host.machines); c.BootID = "boot-2" },
		"the runtime is not listed": func(_ *world, c *Config) { c.BootID = "boot-2" },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.daemon()
				ready, starting := d.settled(d.create("").ID), d.create("display-late")
				time.Sleep(time.Second)
				d.end()
				d = w.daemon(func(c *Config) { gone(w, c) })
				for _, id := range []string{ready.ID, starting.ID} {
					s := d.released(id)
					want := vitrine.EndedNodeLost
					switch {
					case name == "somebody deleted it" && id == ready.ID:
						want = vitrine.EndedMachineExited
					case name == "somebody deleted it":
						want = vitrine.EndedFailedToStart
					}
					if s.State != vitrine.StateFailed || s.EndedReason != want {
						t.Errorf("%s, %s, %v; want %s", s.State, s.EndedReason, s.Failure, want)
					}
				}
				w.nothingLeft()
			})
		})
	}
}

// What belongs to no session goes: at once when our journal knows it, after an
// age guard when nobody does.
func TestSweep(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon()
		live, over := d.settled(d.create("").ID), d.settled(d.create("").ID)
		d.delete(over.ID)
		d.released(over.ID)
		put := func(id string) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.machines[id] = &fakeMachine{state: vitrine.MachineRunning, gone: make(chan struct{})}
			w.host.attached[id] = true
		}
		put(over.MachineID)
		put("mch_stranger")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if left := w.host.left(); len(left) != 4 || !slices.Contains(left, "attachment mch_stranger") {
			t.Errorf("after one sweep: %v", left)
		}
		time.Sleep(91 * time.Second)
		synctest.Wait()
		want := []string{"attachment " + live.MachineID, "machine " + live.MachineID + " running"}
		if left := w.host.left(); !slices.Equal(left, want) {
			t.Errorf("after the age guard: %v", left)
		}
	})
}
