package session

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// holdsOne is a host with room for one default desktop.
func holdsOne(c *Config) { c.Capacity = vitrine.Capacity{MemoryMB: 2048} }

func waits(d time.Duration) func(*vitrine.NewSession) {
	return func(n *vitrine.NewSession) { n.Queue = d }
}

func (d *daemon) get(id string) vitrine.Session {
	d.t.Helper()
	synctest.Wait()
	s, err := d.Get(context.Background(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *daemon) wantPlace(id string, want int) {
	d.t.Helper()
	s := d.get(id)
	have := 0
	if s.Queue != nil {
		have = s.Queue.Position
	}
	if have != want {
		d.t.Errorf("session %s (%s) has place %d, want %d", id, s.State, have, want)
	}
}

func TestSessionsWaitForRoomAndStartInTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(holdsOne)
		first := d.settled(d.create("").ID)
		if _, _, err := d.Create(t.Context(), vitrine.NewSession{}); codeOf(err) != string(vitrine.FailHostNoCapacity) {
			t.Errorf("without a wish to wait: %v", err)
		}
		a := d.create("", waits(time.Hour)).ID
		b := d.create("", waits(time.Hour)).ID
		c := d.create("", waits(time.Hour)).ID
		d.wantPlace(a, 1)
		d.wantPlace(c, 3)
		if _, l := d.phases(a); len(l.Phases) != 1 || l.Phases[0].Detail != "waits for room on the host" {
			t.Errorf("its boot ledger is %+v", l.Phases)
		}
		time.Sleep(time.Minute)
		before := time.Now()
		d.delete(first.ID)
		if s := d.settled(a); s.State != vitrine.StateReady || time.Since(before) > 2*time.Second {
			t.Errorf("the first in the queue is %s after %s", s.State, time.Since(before))
		}
		d.wantPlace(b, 1)
		d.wantPlace(c, 2)
		if _, l := d.phases(a); l.Phases[0].Outcome != vitrine.OutcomeOK || l.Phases[0].Duration < time.Minute {
			t.Errorf("its wait is told as %+v", l.Phases[0])
		}
		// The next one goes away: the last moves up, and is not started before there is room.
		d.delete(b)
		if s := d.released(b); s.State != vitrine.StateEnded || s.EndedReason != vitrine.EndedByUser {
			t.Errorf("deleted while it waited: %+v", s)
		}
		d.wantPlace(c, 1)
		d.delete(a)
		if s := d.settled(c); s.State != vitrine.StateReady {
			t.Errorf("the last is %s", s.State)
		}
		d.delete(c)
		d.released(c)
		w.nothingLeft()
		if w.host.created != 3 {
			t.Errorf("%d machines were made for three sessions that started", w.host.created)
		}
	})
}

func TestNoRoomCameInTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(holdsOne)
		holder := d.settled(d.create("").ID)
		one := d.create("", waits(5*time.Minute))
		next := d.create("", waits(time.Hour))
		s := d.released(one.ID)
		if s.State != vitrine.StateFailed || s.EndedReason != vitrine.EndedFailedToStart || s.Failure == nil ||
			s.Failure.Code != vitrine.FailHostNoCapacity || s.Failure.Phase != vitrine.PhaseAdmission || s.Queue != nil {
			t.Fatalf("it became %+v, failure %+v", s, s.Failure)
		}
		if took := s.EndedAt.Sub(s.CreatedAt); took < 5*time.Minute || took > 5*time.Minute+time.Second {
			t.Errorf("it gave up after %s", took)
		}
		if msg := s.Failure.Message; !strings.Contains(msg, "within 5m0s") || !strings.Contains(msg, holder.ID) {
			t.Errorf("the message %q does not say how long it waited, and for whom", msg)
		}
		if _, l := d.phases(one.ID); len(l.Phases) != 1 || l.Phases[0].Outcome != vitrine.OutcomeFailed {
			t.Errorf("its boot ledger is %+v", l.Phases)
		}
		d.wantPlace(next.ID, 1)
	})
}

func TestTheQueueOutlivesTheDaemon(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(holdsOne)
		holder := d.settled(d.create("").ID).ID
		short := d.create("", waits(time.Minute)).ID
		a := d.create("", waits(time.Hour)).ID
		b := d.create("", waits(time.Hour)).ID
		d.end()
		time.Sleep(2 * time.Minute)
		d = w.daemon(holdsOne)
		if s := d.released(short); s.State != vitrine.StateFailed {
			t.Errorf("one whose time ran out meanwhile is %s", s.State)
		}
		d.wantPlace(a, 1)
		d.wantPlace(b, 2)
		d.delete(holder)
		if s := d.settled(a); s.State != vitrine.StateReady {
			t.Errorf("the first is %s", s.State)
		}
		// A daemon that lends less: who can never fit is told so, and stops nobody.
		d.end()
		d = w.daemon(func(c *Config) { c.Capacity.MemoryMB = 1024 })
		if s := d.released(b); s.Failure == nil || s.Failure.Retryable || !strings.Contains(s.Failure.Message, "lends 1024 in all") {
			t.Errorf("one that can never fit any more: %+v", s.Failure)
		}
	})
}

func TestTheDiskFilledWhileOneWaited(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		full := false
		d := w.daemon(holdsOne, func(c *Config) {
			c.Admit = func(context.Context) error {
				if full {
					return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "1 MiB free").AsError()
				}
				return nil
			}
		})
		holder := d.settled(d.create("").ID).ID
		one := d.create("", waits(time.Hour)).ID
		full = true
		d.delete(holder)
		d.released(holder)
		time.Sleep(time.Minute)
		d.wantPlace(one, 1)
		full = false
		if s := d.settled(one); s.State != vitrine.StateReady {
			t.Errorf("after the disk was free again it is %s", s.State)
		}
	})
}

// thirsty is a runtime that takes memory itself.
type thirsty struct{ *fakeRuntime }

func (thirsty) Overhead(memory int64) int64 { return 100<<20 + memory/256 }

func TestWhatTheRuntimeTakesItselfIsReserved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(func(c *Config) {
			c.Runtimes = []vitrine.Runtime{thirsty{w.gvi}}
			c.Capacity.MemoryMB = 2*(2048+108) - 1
		})
		if one := d.create(""); one.ReservedBytes() != (2048+108)<<20 {
			t.Errorf("reserved %d bytes", one.ReservedBytes())
		}
		if _, _, err := d.Create(t.Context(), vitrine.NewSession{}); codeOf(err) != string(vitrine.FailHostNoCapacity) {
			t.Errorf("a second one, for which one MiB is missing: %v", err)
		}
	})
}
