package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func tickets(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	k := vitrine.Ticket{
		ID: "tkt_1", Hash: hash("secret"), SessionID: one.ID, UserID: "ada", Scope: vitrine.ScopeControl,
		CreatedAt: start, ExpiresAt: start.Add(time.Minute),
	}
	if err := s.PutTicket(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Ticket(t.Context(), k.ID); err != nil || got != k {
		t.Errorf("ticket: %v\n got %+v\nwant %+v", err, got, k)
	}
	_, err := s.RedeemTicket(t.Context(), k.Hash, hash("late"), start.Add(time.Minute+time.Millisecond))
	wantClass(t, err, vitrine.ClassUnauthorized)
	_, err = s.RedeemTicket(t.Context(), hash("guess"), hash("c"), start)
	wantClass(t, err, vitrine.ClassUnauthorized)
	var in atomic.Int32
	together(12, func(i int) {
		got, err := s.RedeemTicket(t.Context(), k.Hash, hash("cookie"), start.Add(time.Second))
		if err == nil {
			in.Add(1)
			if got.SessionID != one.ID || got.Scope != k.Scope || !got.RedeemedAt.Equal(start.Add(time.Second)) {
				t.Errorf("redeemed %+v", got)
			}
		} else if vitrine.ClassOf(err) != vitrine.ClassUnauthorized {
			t.Errorf("viewer %d: %v", i, err)
		}
	})
	if in.Load() != 1 {
		t.Errorf("%d viewers came in by one ticket", in.Load())
	}
	if got, err := s.TicketByCookie(t.Context(), hash("cookie")); err != nil || got.ID != k.ID {
		t.Errorf("by cookie: %v, %+v", err, got)
	}
	// Two tickets used by programs that hold no cookie do not get in each other's way.
	for _, id := range []string{"tkt_2", "tkt_3"} {
		if err := s.PutTicket(t.Context(), vitrine.Ticket{ID: id, Hash: hash(id), SessionID: one.ID, ExpiresAt: k.ExpiresAt}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RedeemTicket(t.Context(), hash(id), [32]byte{}, start); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	_, err = s.TicketByCookie(t.Context(), [32]byte{})
	wantClass(t, err, vitrine.ClassNotFound)
	wantClass(t, s.PutTicket(t.Context(), vitrine.Ticket{ID: "tkt_4", SessionID: "ses_none"}), vitrine.ClassNotFound)
}

func revokedTicket(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	k := vitrine.Ticket{ID: "tkt_1", Hash: hash("secret"), SessionID: one.ID, ExpiresAt: start.Add(time.Hour)}
	if err := s.PutTicket(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{start, start.Add(time.Minute)} {
		if err := s.RevokeTicket(t.Context(), k.ID, at); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.RedeemTicket(t.Context(), k.Hash, hash("c"), start)
	wantClass(t, err, vitrine.ClassUnauthorized)
	if got, _ := s.Ticket(t.Context(), k.ID); !got.RevokedAt.Equal(start) {
		t.Errorf("revoked at %s, want the first time, %s", got.RevokedAt, start)
	}
	wantClass(t, s.RevokeTicket(t.Context(), "tkt_none", start), vitrine.ClassNotFound)
}

func logins(t *testing.T, s vitrine.Store) {
	l := vitrine.Login{Hash: hash("link"), Link: true, UserID: "ada", Role: vitrine.RoleAdmin, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
	if err := s.PutLogin(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoginByHash(t.Context(), l.Hash); err != nil || got != l {
		t.Errorf("login: %v, %+v", err, got)
	}
	var in atomic.Int32
	together(12, func(int) {
		if got, err := s.TakeLogin(t.Context(), l.Hash); err == nil && got == l {
			in.Add(1)
		} else if vitrine.ClassOf(err) != vitrine.ClassNotFound {
			t.Errorf("taking: %v", err)
		}
	})
	if in.Load() != 1 {
		t.Errorf("%d logins from one link", in.Load())
	}
	l.Hash = hash("cookie")
	if err := s.PutLogin(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.DeleteLogin(t.Context(), l.Hash); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.LoginByHash(t.Context(), l.Hash)
	wantClass(t, err, vitrine.ClassNotFound)
}

func keys(t *testing.T, s vitrine.Store) {
	k := vitrine.APIKey{ID: "key_1", Hash: hash("k1"), Role: vitrine.RoleUser, UserID: "ada", Name: "laptop", CreatedAt: start}
	other := vitrine.APIKey{ID: "key_2", Hash: hash("k2"), Role: vitrine.RoleAdmin, CreatedAt: start.Add(time.Second)}
	for _, one := range []vitrine.APIKey{k, k, other} {
		if err := s.PutKey(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.KeyByHash(t.Context(), k.Hash); err != nil || got != k {
		t.Errorf("key: %v, %+v", err, got)
	}
	if list, err := s.Keys(t.Context()); err != nil || len(list) != 2 || list[0] != k || list[1] != other {
		t.Errorf("keys: %v, %+v", err, list)
	}
	if err := s.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	_, err := s.KeyByHash(t.Context(), k.Hash)
	wantClass(t, err, vitrine.ClassNotFound)
	wantClass(t, s.DeleteKey(t.Context(), k.ID), vitrine.ClassNotFound)
}
