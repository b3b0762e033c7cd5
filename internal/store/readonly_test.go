package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/store"
)

func TestLookingAtADatabaseChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	if _, err := store.OpenReadOnly(t.Context(), path); code(err) != "database_missing" {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("looking has made it")
	}
	for _, running := range []bool{true, false} {
		w, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		one := session(time.Now())
		one.Session.UserID = "eve"
		made, _, err := w.CreateSession(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		if !running {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := store.OpenReadOnly(t.Context(), path)
		if err != nil {
			t.Fatalf("while the daemon runs (%v): %v", running, err)
		}
		list, err := r.Unsettled(t.Context())
		if err != nil || len(list) == 0 || list[len(list)-1].ID != made.ID {
			t.Errorf("while the daemon runs (%v): %d sessions, %v", running, len(list), err)
		}
		_, err = r.UpdateSession(t.Context(), made.ID, time.Now(), func(s *vitrine.Session) error { s.State = vitrine.StateFailed; return nil })
		if err == nil {
			t.Error("a write through it was taken")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if running {
			_, err = w.UpdateSession(t.Context(), made.ID, time.Now(), func(s *vitrine.Session) error { s.State = vitrine.StateFailed; return nil })
			if err != nil {
				t.Errorf("the daemon cannot write after we looked: %v", err)
			}
			_ = w.Close()
		}
	}
}

func TestAReleasedSessionLeavesNoTicketThatLetsIn(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "vitrine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	made, _, err := s.CreateSession(t.Context(), session(now))
	if err != nil {
		t.Fatal(err)
	}
	ticket := func(n byte) vitrine.Ticket {
		return vitrine.Ticket{ID: vitrine.NewID(vitrine.PrefixTicket, now), Hash: [32]byte{n}, SessionID: made.ID, UserID: "ada",
			Scope: vitrine.ScopeView, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	unused, used, late := ticket(1), ticket(2), ticket(3)
	for _, k := range []vitrine.Ticket{unused, used} {
		if err := s.PutTicket(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RedeemTicket(t.Context(), used.Hash, [32]byte{9}, now); err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateSession(t.Context(), made.ID, now, func(x *vitrine.Session) error {
		x.State, x.Released = vitrine.StateFailed, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := s.Ticket(t.Context(), unused.ID); err != nil || k.RevokedAt.IsZero() {
		t.Errorf("the unused ticket still lets in: %+v, %v", k, err)
	}
	if k, err := s.Ticket(t.Context(), used.ID); err != nil || !k.RevokedAt.IsZero() {
		t.Errorf("who watched the session is not shown how it ended: %+v, %v", k, err)
	}
	loose := s.(interface {
		LooseTickets(ctx context.Context, now time.Time) ([]vitrine.Ticket, error)
	})
	if list, err := loose.LooseTickets(t.Context(), now); err != nil || len(list) != 0 {
		t.Errorf("loose tickets: %v, %v", list, err)
	}
	if err := s.PutTicket(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	list, err := loose.LooseTickets(t.Context(), now)
	if err != nil || len(list) != 1 || list[0].ID != late.ID {
		t.Errorf("a ticket that was made after the release is not seen: %v, %v", list, err)
	}
	if list, err := loose.LooseTickets(t.Context(), now.Add(2*time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("one that has run out is seen: %v, %v", list, err)
	}
}
