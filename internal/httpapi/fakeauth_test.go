package httpapi_test

import (
	"context"
	"errors"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// The auth store.

var errNone = vitrine.Errorf(vitrine.ClassNotFound, "not_found", "there is none")

func (w *world) PutKey(_ context.Context, k vitrine.APIKey) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[k.ID] = k
	return nil
}

func (w *world) KeyByHash(_ context.Context, hash [32]byte) (vitrine.APIKey, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		if k.Hash == hash {
			return k, nil
		}
	}
	return vitrine.APIKey{}, errNone
}

func (w *world) Keys(context.Context) (list []vitrine.APIKey, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		list = append(list, k)
	}
	return list, nil
}

func (w *world) DeleteKey(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.keys[id]; !ok {
		return errNone
	}
	delete(w.keys, id)
	return nil
}

func (w *world) PutTicket(_ context.Context, t vitrine.Ticket) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tickets[t.ID] = t
	return nil
}

func (w *world) Ticket(_ context.Context, id string) (vitrine.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tickets[id]
	if !ok {
		return t, errNone
	}
	return t, nil
}

func (w *world) TicketByCookie(_ context.Context, hash [32]byte) (vitrine.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tickets {
		if t.CookieHash == hash {
			return t, nil
		}
	}
	return vitrine.Ticket{}, errNone
}

func (w *world) RedeemTicket(_ context.Context, hash, cookie [32]byte, now time.Time) (vitrine.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, t := range w.tickets {
		if t.Hash == hash && t.RedeemedAt.IsZero() && t.RevokedAt.IsZero() && !now.After(t.ExpiresAt) {
			t.RedeemedAt, t.CookieHash = now, cookie
			w.tickets[id] = t
			return t, nil
		}
	}
	return vitrine.Ticket{}, vitrine.Errorf(vitrine.ClassUnauthorized, "ticket_invalid", "no")
}

func (w *world) RevokeTicket(_ context.Context, id string, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tickets[id]
	t.RevokedAt = now
	w.tickets[id] = t
	return nil
}

func (w *world) PutLogin(_ context.Context, l vitrine.Login) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logins[l.Hash] = l
	return nil
}

func (w *world) LoginByHash(_ context.Context, hash [32]byte) (vitrine.Login, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l, ok := w.logins[hash]; ok {
		return l, nil
	}
	return vitrine.Login{}, errNone
}

func (w *world) TakeLogin(ctx context.Context, hash [32]byte) (vitrine.Login, error) {
	l, err := w.LoginByHash(ctx, hash)
	return l, errors.Join(err, w.DeleteLogin(ctx, hash))
}

func (w *world) DeleteLogin(_ context.Context, hash [32]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.logins, hash)
	return nil
}
