package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// queued is wanted, with a wait for room on a host of so many MiB.
func queued(n, hostMB int) vitrine.CreateSession {
	c := wanted(n)
	c.Capacity.MemoryMB = hostMB
	c.QueueUntil = c.Session.CreatedAt.Add(time.Hour)
	return c
}

func admit(t *testing.T, s vitrine.Store, id string, hostMB int) (vitrine.Session, error) {
	t.Helper()
	one, err := s.AdmitSession(t.Context(), vitrine.AdmitSession{ID: id, Now: start, Capacity: vitrine.Capacity{MemoryMB: hostMB}, Addresses: pool})
	if err != nil {
		wantClass(t, err, vitrine.ClassNoCapacity)
	}
	return one, err
}

func place(t *testing.T, s vitrine.Store, id string) int {
	t.Helper()
	one, err := s.Session(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if one.Queue == nil {
		return 0
	}
	return one.Queue.Position
}

func queueInOrder(t *testing.T, s vitrine.Store) {
	const host = 2048 // holds one
	first := mustCreate(t, s, queued(0, host))
	if first.Queue != nil || first.Slot != 1 {
		t.Fatalf("the first waits though there is room: %+v", first)
	}
	var ids []string
	for i := 1; i <= 3; i++ {
		one := mustCreate(t, s, queued(i, host))
		if one.Queue == nil || one.Queue.Position != i || !one.Queue.Deadline.Equal(one.CreatedAt.Add(time.Hour)) || one.Slot != 0 || one.Address.IsValid() || one.State != vitrine.StatePending {
			t.Fatalf("the %d. that waits is %+v, queue %+v", i, one, one.Queue)
		}
		ids = append(ids, one.ID)
	}
	if got, err := s.Reserved(t.Context()); err != nil || got.Sessions != 1 || got.MemoryMB != 2048 {
		t.Errorf("reserved %+v, %v: those who wait hold something", got, err)
	}
	if _, err := admit(t, s, ids[0], host); err == nil || !strings.Contains(err.Error(), first.ID) {
		t.Errorf("admitted without room: %v", err)
	}
	// Between start and end there is nothing for who waits.
	for _, to := range []vitrine.State{vitrine.StateStarting, vitrine.StateStopping} {
		_, err := s.UpdateSession(t.Context(), ids[0], start, func(x *vitrine.Session) error { x.State = to; return nil })
		wantClass(t, err, vitrine.ClassConflict)
	}
	release(t, s, first.ID, start)
	// There is room: not for the second of the queue, nor for one that is new.
	if _, err := admit(t, s, ids[1], host); err == nil || place(t, s, ids[1]) != 2 {
		t.Errorf("the second overtook the first: %v", err)
	}
	fresh := queued(9, host)
	fresh.QueueUntil = time.Time{}
	if _, _, err := s.CreateSession(t.Context(), fresh); err == nil || !strings.Contains(err.Error(), "come first: 3") {
		t.Errorf("a new one overtook the queue: %v", err)
	}
	small := queued(9, host)
	small.Session.MemoryMB = 1
	last := mustCreate(t, s, small)
	if last.Queue == nil || last.Queue.Position != 4 {
		t.Errorf("a small new one overtook the queue: %+v", last.Queue)
	}
	before, _ := s.LastEventID(t.Context())
	one, err := admit(t, s, ids[0], host)
	if err != nil || one.Queue != nil || one.Slot != 2 || !one.Address.IsValid() {
		t.Fatalf("admitted %+v, %v", one, err)
	}
	if again, err := admit(t, s, ids[0], host); err != nil || again.Version != one.Version {
		t.Errorf("admitted twice: %+v, %v", again, err)
	}
	// Everybody hears where they stand now.
	list, err := s.Events(t.Context(), before, "", "", 100)
	if err != nil || len(list) != 4 {
		t.Errorf("%d events of an admission before three others, %v", len(list), err)
	}
	// One in the middle leaves.
	release(t, s, ids[2], start)
	if a, b := place(t, s, ids[1]), place(t, s, last.ID); a != 1 || b != 2 {
		t.Errorf("after one in the middle left the places are %d and %d", a, b)
	}
}

func queueNever(t *testing.T, s vitrine.Store) {
	c := queued(1, 2047)
	_, _, err := s.CreateSession(t.Context(), c)
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Retryable || !strings.Contains(e.Message, "2047 in all") || !strings.Contains(e.Remedy, "2047") {
		t.Errorf("a wish that never fits: %v", err)
	}
	// A daemon that came back with less to lend: no need to wait for one's turn.
	mustCreate(t, s, queued(2, 2048))
	mustCreate(t, s, queued(3, 2048))
	second := mustCreate(t, s, queued(4, 2048))
	_, err = admit(t, s, second.ID, 2000)
	if !errors.As(err, &e) || e.Retryable {
		t.Errorf("one that waits and can never fit any more: %v", err)
	}
}

func queueBounds(t *testing.T, s vitrine.Store) {
	mustCreate(t, s, queued(0, 2048))
	n := 0
	for u := range vitrine.QueueLength / vitrine.QueueForUser {
		for range vitrine.QueueForUser {
			n++
			c := queued(n, 2048)
			c.Session.UserID = fmt.Sprint("user", u)
			mustCreate(t, s, c)
		}
		if n == vitrine.QueueForUser {
			c := queued(500, 2048)
			c.Session.UserID = "user0"
			if _, _, err := s.CreateSession(t.Context(), c); err == nil || !strings.Contains(err.Error(), "user0") {
				t.Errorf("one user's %d. that waits: %v", n+1, err)
			}
		}
	}
	_, _, err := s.CreateSession(t.Context(), queued(501, 2048))
	wantClass(t, err, vitrine.ClassNoCapacity)
	if !strings.Contains(err.Error(), "100 sessions wait") {
		t.Errorf("the queue's end: %v", err)
	}
}

func overheadIsHeld(t *testing.T, s vitrine.Store) {
	c := wanted(1)
	c.Session.OverheadBytes = 96<<20 + 1
	c.Capacity.MemoryMB = 2*(2048+97) - 1
	one := mustCreate(t, s, c)
	if got, err := s.Session(t.Context(), one.ID); err != nil || got.OverheadBytes != 96<<20+1 {
		t.Errorf("the overhead came back as %d, %v", got.OverheadBytes, err)
	}
	if got, err := s.Reserved(t.Context()); err != nil || got.MemoryMB != 2048+97 {
		t.Errorf("reserved %+v, %v", got, err)
	}
	next := c
	next.Session = wanted(2).Session
	next.Session.OverheadBytes = c.Session.OverheadBytes
	next.Capacity.MemoryMB = 2*2048 + 2*96 // two bytes short
	_, _, err := s.CreateSession(t.Context(), next)
	wantClass(t, err, vitrine.ClassNoCapacity)
	for _, says := range []string{"2145 MiB of memory asked for (2048 for the machine, 97 for what runs it under gvisor)", one.ID + " (2145 MiB, 2 vCPU)", "1 more must come free"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	next.Capacity.MemoryMB++
	mustCreate(t, s, next)
}

// queueUnderRace lets creates, admissions and ends run side by side: never is
// more lent than there is, no slot twice, and at the end the queue is whole.
func queueUnderRace(t *testing.T, s vitrine.Store) {
	const hostMB, n = 5 * 2048, 18 // 18: one user's creates, all of whom may wait
	var mu sync.Mutex
	var all []string
	together(n, func(i int) {
		one, _, err := s.CreateSession(t.Context(), queued(i, hostMB))
		if err != nil {
			t.Errorf("create %d: %v", i, err)
			return
		}
		mu.Lock()
		all = append(all, one.ID)
		mu.Unlock()
	})
	for round := 0; len(all) > 0 && !t.Failed(); round++ {
		checkQueue(t, s, hostMB)
		together(2*len(all), func(i int) {
			id := all[i%len(all)]
			if i >= len(all) && (i+round)%3 != 0 {
				return
			}
			if i < len(all) { // everybody tries to get in
				_, err := s.AdmitSession(t.Context(), vitrine.AdmitSession{ID: id, Now: start, Capacity: vitrine.Capacity{MemoryMB: hostMB}, Addresses: pool})
				if err != nil && vitrine.ClassOf(err) != vitrine.ClassNoCapacity {
					t.Errorf("admitting: %v", err)
				}
				return
			}
			_, err := s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error {
				if x.Queue == nil && !x.State.Over() {
					x.State, x.EndedAt, x.Released = vitrine.StateFailed, start, true
				}
				return nil
			})
			if err != nil {
				t.Errorf("ending: %v", err)
			}
		})
		live, err := s.Unsettled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = all[:0]
		for _, one := range live {
			all = append(all, one.ID)
		}
	}
}

// checkQueue holds all that lives to the rules, and gives the queue in order.
func checkQueue(t *testing.T, s vitrine.Store, hostMB int) []string {
	t.Helper()
	live, err := s.Unsettled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slots := map[int]bool{}
	var waits []vitrine.Session
	var sum int64
	for _, one := range live {
		switch {
		case one.Queue != nil:
			if one.Slot != 0 || one.Address.IsValid() {
				t.Errorf("%s waits, and has slot %d", one.ID, one.Slot)
			}
			waits = append(waits, one)
		case one.Slot == 0 || slots[one.Slot]:
			t.Errorf("%s holds slot %d, which is none or another's", one.ID, one.Slot)
		default:
			slots[one.Slot] = true
			sum += one.ReservedBytes()
		}
	}
	if sum > int64(hostMB)<<20 {
		t.Errorf("%d MiB are lent of %d", sum>>20, hostMB)
	}
	slices.SortFunc(waits, func(a, b vitrine.Session) int { return a.Queue.Position - b.Queue.Position })
	var ids []string
	for i, one := range waits {
		if one.Queue.Position != i+1 {
			t.Errorf("place %d of the queue is %d", i+1, one.Queue.Position)
		}
		ids = append(ids, one.ID)
	}
	return ids
}

// queueProperty does random things to a model and to the store: the order of the
// queue is that of arrival, who is admitted is always its first, and when enough
// has ended everybody has had a turn.
func queueProperty(t *testing.T, s vitrine.Store) {
	const hostMB = 8192
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var model, holds []string
	admitAll := func() {
		for len(model) > 0 {
			other := model[rnd.IntN(len(model))]
			if _, err := admit(t, s, other, hostMB); err == nil && other != model[0] {
				t.Fatalf("%s was admitted before %s", other, model[0])
			} else if err != nil {
				if _, err = admit(t, s, model[0], hostMB); err != nil {
					return
				}
			}
			holds, model = append(holds, model[0]), model[1:]
		}
	}
	for i := range 120 {
		switch pick := rnd.IntN(10); {
		case pick < 5: // somebody comes
			c := queued(i, hostMB)
			c.Session.MemoryMB = 1 + rnd.IntN(hostMB/2)
			c.Session.OverheadBytes = rnd.Int64N(64 << 20)
			c.Session.UserID = fmt.Sprint("user", rnd.IntN(5))
			one, _, err := s.CreateSession(t.Context(), c)
			switch {
			case err != nil: // the queue's bound
				wantClass(t, err, vitrine.ClassNoCapacity)
			case one.Queue != nil:
				model = append(model, one.ID)
			case len(model) > 0:
				t.Fatalf("%s overtook %d who wait", one.ID, len(model))
			default:
				holds = append(holds, one.ID)
			}
		case pick < 8 && len(holds) > 0: // one ends
			k := rnd.IntN(len(holds))
			release(t, s, holds[k], start)
			holds = slices.Delete(holds, k, k+1)
			if rnd.IntN(3) > 0 {
				admitAll()
			}
		case len(model) > 0: // one who waits is deleted, or its time is over
			k := rnd.IntN(len(model))
			release(t, s, model[k], start)
			model = slices.Delete(model, k, k+1)
		}
		if got := checkQueue(t, s, hostMB); !slices.Equal(got, model) || t.Failed() {
			t.Fatalf("step %d: the queue is %v, want %v", i, got, model)
		}
	}
	// Nobody starves: each end lets in who is first, and in the end all.
	for len(model) > 0 {
		admitAll()
		if len(model) == 0 {
			break
		}
		if len(holds) == 0 {
			t.Fatalf("%d wait, and nobody holds anything", len(model))
		}
		release(t, s, holds[0], start)
		holds = holds[1:]
	}
}
