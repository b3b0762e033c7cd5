package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// fakeHost shows things and remembers what it was told to remove.
type fakeHost struct {
	things  []vitrine.Thing
	removed []string
	fail    error
	hang    bool
}

func (h *fakeHost) Things(ctx context.Context) ([]vitrine.Thing, []string, error) {
	if h.hang {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return slices.Clone(h.things), nil, nil
}

func (h *fakeHost) Remove(_ context.Context, l vitrine.Leftover) error {
	h.removed = append(h.removed, string(l.Deed))
	for _, gone := range l.Things {
		h.things = slices.DeleteFunc(h.things, func(t vitrine.Thing) bool { return h.fail == nil && t.Name == gone.Name })
	}
	return h.fail
}

func oldThings(id string) []vitrine.Thing {
	at := time.Now().Add(-time.Hour)
	return []vitrine.Thing{
		{Kind: vitrine.ThingMachine, Name: "/d/" + id, Machine: id, Runtime: "qemu", Since: at},
		{Kind: vitrine.ThingNetNS, Name: "/run/netns/" + id, Machine: id, Since: at},
		{Kind: vitrine.ThingBuild, Name: "/i/.tmp-1", Since: at},
	}
}

// A machine of a runtime that this daemon does not offer is the host's to
// remove, and its network goes only after it.
func TestAMachineThatCannotBeDeletedKeepsItsNetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := &fakeHost{things: oldThings("mch_1"), fail: errors.New("process 7 does not end")}
		s := NewSweeper(SweepConfig{Store: w.store, Runtimes: []vitrine.Runtime{w.gvi}, Host: h, AgeGuard: time.Minute})
		c, err := s.Collect(t.Context(), false, 0)
		if err != nil || len(c.Leftovers) != 3 {
			t.Fatalf("%+v, %v", c, err)
		}
		if want := []string{string(vitrine.DeedDeleteMachine), string(vitrine.DeedRemoveDir)}; !slices.Equal(h.removed, want) {
			t.Errorf("it was told to %q", h.removed)
		}
		for _, l := range c.Leftovers {
			if l.Done || l.Err == "" {
				t.Errorf("%s: done %v, %q", l.Deed, l.Done, l.Err)
			}
		}
		h.fail, h.removed = nil, nil
		if _, err = s.Collect(t.Context(), false, 0); err != nil || len(h.removed) != 3 {
			t.Errorf("the next time: %q, %v", h.removed, err)
		}
		if got := s.Counts(); got.Removed != 3 || got.Failed != 2 {
			t.Errorf("counted %+v", got)
		}
	})
}

// The daemon's sweep, a garbage collection and an audit at once.
func TestTwoSweepsDoNotRace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := &fakeHost{hang: true}
		s := NewSweeper(SweepConfig{Store: w.store, Host: h, AgeGuard: time.Minute})
		done := make(chan error, 1)
		go func() { _, err := s.Collect(context.Background(), false, 0); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Audit(ctx)
		var e *vitrine.Error
		if !errors.As(err, &e) || e.Code != "sweep_running" || e.Remedy == "" {
			t.Errorf("beside one at work: %v", err)
		}
		// A host that does not answer holds nobody up for ever.
		if err := <-done; err == nil || !strings.Contains(err.Error(), "looking at the host") {
			t.Errorf("a look that hangs: %v", err)
		}
	})
}

// Somebody sets the clock back: what a machine's id says is in the future, and
// the daemon goes by what it has seen itself.
func TestTheClockIsSetBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ahead := time.Now().Add(24 * time.Hour)
		h := &fakeHost{things: []vitrine.Thing{{Kind: vitrine.ThingMachine, Name: "/d/mch_1", Machine: "mch_1", Runtime: "qemu", Since: ahead}}}
		w.daemon(func(c *Config) { c.Host = h })
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if len(h.removed) != 0 {
			t.Errorf("it was removed at once: %q", h.removed)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(h.removed, []string{string(vitrine.DeedDeleteMachine)}) {
			t.Errorf("after the age guard: %q", h.removed)
		}
	})
}

// Something is being made while the audit looks.
func TestWhatIsInTheMakingIsNoLeftover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := &fakeHost{things: []vitrine.Thing{{Kind: vitrine.ThingCgroup, Name: "/vitrine/mch_1", Machine: "mch_1", Since: time.Now()}}}
		s := NewSweeper(SweepConfig{Store: w.store, Host: h, AgeGuard: time.Minute})
		found := make(chan vitrine.Collection, 2)
		go func() { c, _ := s.Audit(context.Background()); found <- c }()
		synctest.Wait()
		h.things = nil // its maker is done with it
		if c := <-found; len(c.Leftovers) != 0 {
			t.Errorf("%+v", c)
		}
		h.things = []vitrine.Thing{{Kind: vitrine.ThingCgroup, Name: "/vitrine/mch_1", Machine: "mch_1", Since: time.Now()}}
		if c, err := s.Audit(t.Context()); err != nil || len(c.Leftovers) != 1 || !c.Leftovers[0].Young {
			t.Errorf("what stays is told: %+v, %v", c, err)
		}
	})
}
