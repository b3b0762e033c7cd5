package storetest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// together runs n functions at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}

func concurrentCreates(t *testing.T, s vitrine.Store) {
	const n = 40
	var mu sync.Mutex
	slots := map[int]string{}
	together(n, func(i int) {
		one, _, err := s.CreateSession(t.Context(), wanted(i))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			t.Errorf("create %d: %v", i, err)
		case slots[one.Slot] != "":
			t.Errorf("%s and %s both hold slot %d", slots[one.Slot], one.ID, one.Slot)
		}
		slots[one.Slot] = one.ID
	})
	if len(slots) != n {
		t.Errorf("%d slots lent to %d sessions", len(slots), n)
	}
}

func slotsGoRound(t *testing.T, s vitrine.Store) {
	small := pool
	small.Subnet, _ = small.Subnet.Addr().Prefix(28) // 13 slots
	var before int
	for i := range 2 * small.Slots() {
		c := wanted(i)
		c.Addresses = small
		one := mustCreate(t, s, c)
		if want := before%small.Slots() + 1; one.Slot != want {
			t.Fatalf("session %d got slot %d, want %d", i, one.Slot, want)
		}
		before = one.Slot
		release(t, s, one.ID, start)
	}
}

func leaseComesBack(t *testing.T, s vitrine.Store) {
	small := pool
	small.Subnet, _ = small.Subnet.Addr().Prefix(29) // 5 slots
	var ids []string
	for i := range small.Slots() {
		c := wanted(i)
		c.Addresses = small
		ids = append(ids, mustCreate(t, s, c).ID)
	}
	c := wanted(10)
	c.Addresses = small
	_, _, err := s.CreateSession(t.Context(), c)
	wantClass(t, err, vitrine.ClassNoCapacity)
	// Over is not enough: its machine may still have the address.
	move(t, s, ids[2], vitrine.StateFailed)
	_, _, err = s.CreateSession(t.Context(), c)
	wantClass(t, err, vitrine.ClassNoCapacity)
	release(t, s, ids[2], start)
	if one := mustCreate(t, s, c); one.Slot != 3 {
		t.Errorf("slot %d, want the one that came back, 3", one.Slot)
	}
}

func noRoom(t *testing.T, s vitrine.Store) {
	first := mustCreate(t, s, wanted(1))
	for name, c := range map[string]struct {
		limit     vitrine.Capacity
		says      string
		retryable bool
	}{
		"memory":   {vitrine.Capacity{MemoryMB: 4000}, "2048 of 4000", true},
		"vcpu":     {vitrine.Capacity{VCPU: 3}, "2 of 3 are held", true},
		"sessions": {vitrine.Capacity{Sessions: 1}, "1 of 1 are held", true},
		"ever":     {vitrine.Capacity{MemoryMB: 1024}, "lends 1024 in all", false},
	} {
		more := wanted(2)
		more.Capacity = c.limit
		_, created, err := s.CreateSession(t.Context(), more)
		var e *vitrine.Error
		if created || !errors.As(err, &e) || e.Class != vitrine.ClassNoCapacity || e.Code != string(vitrine.FailHostNoCapacity) {
			t.Errorf("%s: created %v, error %v", name, created, err)
			continue
		}
		if !strings.Contains(e.Message, c.says) || (c.retryable && !strings.Contains(e.Message, first.ID)) {
			t.Errorf("%s: the message %q does not say %q and who holds it", name, e.Message, c.says)
		}
		if e.Retryable != c.retryable || (e.RetryAfter > 0) != c.retryable || e.Remedy == "" {
			t.Errorf("%s: retryable %v after %s, remedy %q", name, e.Retryable, e.RetryAfter, e.Remedy)
		}
	}
	if got, err := s.Reserved(t.Context()); err != nil || got != (vitrine.Capacity{MemoryMB: 2048, VCPU: 2, Sessions: 1}) {
		t.Errorf("reserved %+v, %v", got, err)
	}
	release(t, s, first.ID, start)
	if got, err := s.Reserved(t.Context()); err != nil || got != (vitrine.Capacity{}) {
		t.Errorf("reserved %+v, %v after the release", got, err)
	}
}

func capacityUnderRace(t *testing.T, s vitrine.Store) {
	var mu sync.Mutex
	made := 0
	together(20, func(i int) {
		c := wanted(i)
		c.Capacity = vitrine.Capacity{MemoryMB: 5 * 2048}
		_, created, err := s.CreateSession(t.Context(), c)
		mu.Lock()
		defer mu.Unlock()
		if created {
			made++
		} else if vitrine.ClassOf(err) != vitrine.ClassNoCapacity {
			t.Errorf("create %d: %v", i, err)
		}
	})
	if made != 5 {
		t.Errorf("%d sessions of 2048 MiB were admitted to 10240 MiB", made)
	}
}

func idempotency(t *testing.T, s vitrine.Store) {
	c := wanted(1)
	c.IdempotencyKey, c.RequestHash = "key-1", "h1"
	var mu sync.Mutex
	ids, made := map[string]bool{}, 0
	together(8, func(int) {
		again := c
		again.Session.ID = vitrine.NewID(vitrine.PrefixSession, time.Now())
		again.Session.MachineID = vitrine.NewID(vitrine.PrefixMachine, time.Now())
		one, created, err := s.CreateSession(t.Context(), again)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("a repeat: %v", err)
		}
		if ids[one.ID] = true; created {
			made++
		}
	})
	if made != 1 || len(ids) != 1 {
		t.Errorf("one request made %d sessions, %d ids", made, len(ids))
	}
	wantCode := func(c vitrine.CreateSession, code string) {
		t.Helper()
		var e *vitrine.Error
		if _, _, err := s.CreateSession(t.Context(), c); !errors.As(err, &e) || e.Class != vitrine.ClassConflict || e.Code != code {
			t.Errorf("error %v, want %s", err, code)
		}
	}
	other := wanted(2)
	other.IdempotencyKey, other.RequestHash = "key-1", "h2"
	wantCode(other, "idempotency_key_reused")
	other.Session.UserID = "bob" // his keys are his own
	bobs := mustCreate(t, s, other)

	named := wanted(3)
	named.RequestHash = "h3"
	one := mustCreate(t, s, named)
	if again, created, err := s.CreateSession(t.Context(), named); err != nil || created || again.ID != one.ID {
		t.Errorf("the same id again: %v, created %v", err, created)
	}
	named.RequestHash = "h4"
	wantCode(named, "id_taken")
	named.RequestHash, named.Session.ID = "h2", bobs.ID
	wantCode(named, "id_taken")
}
