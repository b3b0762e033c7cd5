package storetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func roundTrip(t *testing.T, s vitrine.Store) {
	c := wanted(1)
	c.Session.Metadata["nul and bad"] = "a\x00b\"\u2028"
	made := mustCreate(t, s, c)
	if made.Slot < 1 || made.Address.String() != "192.168.100.2" || made.Version != 1 || !made.CreatedAt.Equal(c.Session.CreatedAt) {
		t.Errorf("lease: slot %d, address %s, version %d, created %s", made.Slot, made.Address, made.Version, made.CreatedAt)
	}
	got, err := s.Session(t.Context(), made.ID)
	if err != nil || !reflect.DeepEqual(got, made) {
		t.Fatalf("read back: %v\n got %+v\nmade %+v", err, got, made)
	}
	f := vitrine.NewFailure(vitrine.FailGuestOOM, []string{"Out of memory: Killed process 7 (chromium)"}, "256 MiB were not enough")
	ready := start.Add(time.Minute + 7*time.Millisecond)
	changed, err := s.UpdateSession(t.Context(), made.ID, start.Add(time.Hour), func(x *vitrine.Session) error {
		x.State, x.ImageDigest, x.Node, x.BootID, x.ReadyAt, x.Failure = vitrine.StateFailed, "sha256:1", "n1", "b1", ready, f
		x.EndedAt, x.EndedReason = ready, vitrine.EndedGuestOOM
		return nil
	})
	if err != nil || changed.Version != 2 || !changed.UpdatedAt.Equal(start.Add(time.Hour)) {
		t.Fatalf("update: %v, %+v", err, changed)
	}
	if got, _ = s.Session(t.Context(), made.ID); !reflect.DeepEqual(got, changed) || !reflect.DeepEqual(got.Failure, f) {
		t.Errorf("after the update:\n got %+v\nwant %+v", got, changed)
	}
}

func notFound(t *testing.T, s vitrine.Store) {
	ctx, id := t.Context(), vitrine.NewID(vitrine.PrefixSession, start)
	same := func(*vitrine.Session) error { return nil }
	_, e1 := s.Session(ctx, id)
	_, e2 := s.UpdateSession(ctx, id, start, same)
	_, e3 := s.WishSession(ctx, id, start, same)
	_, e4 := s.Ledger(ctx, id)
	e5 := s.PutPhase(ctx, id, vitrine.Phase{Name: vitrine.PhaseImage})
	e6 := s.SaveConsole(ctx, id, []byte("x"))
	_, e7 := s.SavedConsole(ctx, id)
	_, e8 := s.Ticket(ctx, "tkt_x")
	_, e9 := s.TicketByCookie(ctx, [32]byte{})
	_, e10 := s.KeyByHash(ctx, hash("x"))
	_, e11 := s.LoginByHash(ctx, hash("x"))
	for _, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11} {
		wantClass(t, err, vitrine.ClassNotFound)
	}
	if list, next, err := s.Sessions(ctx, vitrine.SessionFilter{}); err != nil || len(list) != 0 || next != "" {
		t.Errorf("an empty store lists %v, %q, %v", list, next, err)
	}
	if n, err := s.LastEventID(ctx); n != 0 || err != nil {
		t.Errorf("an empty store's last event is %d, %v", n, err)
	}
}

// transitions walks every pair of states and holds the store to the domain.
func transitions(t *testing.T, s vitrine.Store) {
	path := map[vitrine.State][]vitrine.State{
		vitrine.StatePending:  {},
		vitrine.StateStarting: {vitrine.StateStarting},
		vitrine.StateReady:    {vitrine.StateStarting, vitrine.StateReady},
		vitrine.StateStopping: {vitrine.StateStopping},
		vitrine.StateEnded:    {vitrine.StateEnded},
		vitrine.StateFailed:   {vitrine.StateFailed},
	}
	n := 0
	for from, steps := range path {
		for to := range path {
			n++
			id := mustCreate(t, s, wanted(n)).ID
			move(t, s, id, steps...)
			got, err := s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error { x.State = to; return nil })
			if vitrine.CanMove(from, to) {
				if err != nil || got.State != to {
					t.Errorf("%s → %s: %v, state %s", from, to, err, got.State)
				}
				continue
			}
			var e *vitrine.Error
			if !errors.As(err, &e) || e.Code != "bad_transition" || e.Class != vitrine.ClassConflict {
				t.Errorf("%s → %s: error %v, want bad_transition", from, to, err)
			}
			if now, _ := s.Session(t.Context(), id); now.State != from {
				t.Errorf("%s → %s was refused and written: %s", from, to, now.State)
			}
		}
	}
	id := mustCreate(t, s, wanted(100)).ID
	_, err := s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error { x.Released = true; return nil })
	wantClass(t, err, vitrine.ClassConflict)
	release(t, s, id, start)
	_, err = s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error { x.Released = false; return nil })
	wantClass(t, err, vitrine.ClassConflict)
}

func writers(t *testing.T, s vitrine.Store) {
	id := mustCreate(t, s, wanted(1)).ID
	for name, change := range map[string]func(*vitrine.Session){
		"state": func(x *vitrine.Session) { x.State = vitrine.StateStarting }, "failure": func(x *vitrine.Session) { x.Failure = &vitrine.Failure{} },
		"released": func(x *vitrine.Session) { x.Released = true }, "slot": func(x *vitrine.Session) { x.Slot++ },
		"machine": func(x *vitrine.Session) { x.MachineID = "mch_x" }, "id": func(x *vitrine.Session) { x.ID = "ses_x" },
	} {
		if _, err := s.WishSession(t.Context(), id, start, func(x *vitrine.Session) error { change(x); return nil }); err == nil {
			t.Errorf("a wish changed %s", name)
		}
	}
	for name, change := range map[string]func(*vitrine.Session){
		"desired": func(x *vitrine.Session) { x.Desired = vitrine.DesiredEnded }, "viewport": func(x *vitrine.Session) { x.Viewport.Width++ },
		"metadata": func(x *vitrine.Session) { x.Metadata["n"] = "other" }, "address": func(x *vitrine.Session) { x.Address = x.Address.Next() },
		"user": func(x *vitrine.Session) { x.UserID = "eve" }, "version": func(x *vitrine.Session) { x.Version = 9 },
	} {
		if _, err := s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error { change(x); return nil }); err == nil {
			t.Errorf("an update changed %s", name)
		}
	}
	got, err := s.WishSession(t.Context(), id, start, func(x *vitrine.Session) error {
		x.Desired, x.StopReason, x.Metadata["more"] = vitrine.DesiredEnded, vitrine.EndedByUser, "yes"
		return nil
	})
	if err != nil || got.Desired != vitrine.DesiredEnded || got.Metadata["more"] != "yes" || got.Version != 2 {
		t.Errorf("a wish: %v, %+v", err, got)
	}
}

func refusedChange(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	before := len(allEvents(t, s, one.ID))
	sorry := errors.New("changed my mind")
	for _, write := range []func() error{
		func() error {
			_, err := s.UpdateSession(t.Context(), one.ID, start, func(x *vitrine.Session) error { x.Node = "n9"; return sorry })
			return err
		},
		func() error {
			_, err := s.WishSession(t.Context(), one.ID, start, func(x *vitrine.Session) error { x.Metadata["n"] = "9"; return sorry })
			return err
		},
	} {
		if err := write(); !errors.Is(err, sorry) && (err == nil || !strings.Contains(err.Error(), sorry.Error())) {
			t.Errorf("error %v, want the change's own", err)
		}
	}
	if got, _ := s.Session(t.Context(), one.ID); !reflect.DeepEqual(got, one) {
		t.Errorf("a refused change was kept: %+v", got)
	}
	if _, err := s.UpdateSession(t.Context(), one.ID, start, func(*vitrine.Session) error { return nil }); err != nil {
		t.Error(err)
	}
	if n := len(allEvents(t, s, one.ID)); n != before {
		t.Errorf("%d events after refused and empty changes, want %d", n, before)
	}
}

func filters(t *testing.T, s vitrine.Store) {
	for i := range 6 {
		c := wanted(i)
		if i%2 == 0 {
			c.Session.UserID = "bob"
		}
		one := mustCreate(t, s, c)
		if i < 3 {
			move(t, s, one.ID, vitrine.StateStarting)
		}
		if i == 5 {
			release(t, s, one.ID, start)
		}
	}
	for _, c := range []struct {
		f    vitrine.SessionFilter
		want int
	}{
		{vitrine.SessionFilter{}, 6}, {vitrine.SessionFilter{UserID: "bob"}, 3}, {vitrine.SessionFilter{State: vitrine.StateStarting}, 3},
		{vitrine.SessionFilter{State: vitrine.StateStarting, UserID: "bob"}, 2}, {vitrine.SessionFilter{UserID: "nobody"}, 0},
	} {
		if list, _, err := s.Sessions(t.Context(), c.f); err != nil || len(list) != c.want {
			t.Errorf("%+v: %d sessions, %v; want %d", c.f, len(list), err, c.want)
		}
	}
	if list, err := s.Unsettled(t.Context()); err != nil || len(list) != 5 {
		t.Errorf("%d unsettled, %v; want 5", len(list), err)
	}
}

func paging(t *testing.T, s vitrine.Store) {
	for i := range 7 {
		c := wanted(i / 2) // pairs made in the same millisecond
		mustCreate(t, s, c)
	}
	seen := map[string]bool{}
	cursor, last := "", time.Time{}
	for page := 0; ; page++ {
		list, next, err := s.Sessions(t.Context(), vitrine.SessionFilter{Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if seen[one.ID] {
				t.Errorf("%s came twice", one.ID)
			}
			if !last.IsZero() && one.CreatedAt.After(last) {
				t.Errorf("%s is newer than the one before it", one.ID)
			}
			seen[one.ID], last = true, one.CreatedAt
		}
		mustCreate(t, s, wanted(1000+page)) // newer: belongs on no later page
		if cursor = next; next == "" {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d sessions on all pages, want 7", len(seen))
	}
	_, _, err := s.Sessions(t.Context(), vitrine.SessionFilter{Cursor: "ses_gone"})
	wantClass(t, err, vitrine.ClassInvalid)
}
