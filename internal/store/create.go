package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// CreateSession admits a session: row, lease and reservation in one transaction,
// or row and place in the queue.
func (s *Store) CreateSession(ctx context.Context, c vitrine.CreateSession) (vitrine.Session, bool, error) {
	if c.Session.State != vitrine.StatePending {
		return vitrine.Session{}, false, vitrine.Errorf(vitrine.ClassInternal, "bad_transition", "a new session must be pending, not %q", c.Session.State)
	}
	var result vitrine.Session
	var created bool
	err := s.write(ctx, "making session "+c.Session.ID, func(t *tx) error {
		created = false
		if err := t.admissions(ctx); err != nil {
			return err
		}
		old, found, err := t.earlier(ctx, &c)
		if err != nil || found {
			result = old
			return err
		}
		one := c.Session
		one.CreatedAt = fromMS(toMS(one.CreatedAt))
		one.UpdatedAt = one.CreatedAt
		one.Version = 1
		if err := t.admit(ctx, &c, &one); err != nil {
			return err
		}
		if err := t.insertSession(ctx, &one, &c); err != nil {
			return err
		}
		result, created = one, true
		return t.logSession(ctx, vitrine.EventSessionCreated, one.CreatedAt, &one)
	})
	if err != nil {
		return vitrine.Session{}, false, err
	}
	return result, created, nil
}

// earlier finds the session that this request has made before, by its
// idempotency key or by the id of the caller's making.
func (t *tx) earlier(ctx context.Context, c *vitrine.CreateSession) (vitrine.Session, bool, error) {
	const q = `SELECT ` + sessionColumns + `, request_hash FROM sessions WHERE `
	var hash string
	if c.IdempotencyKey != "" {
		old, err := scanSession(t.queryRow(ctx, q+`user_id = ? AND idempotency_key = ?`, c.Session.UserID, c.IdempotencyKey), &hash)
		switch {
		case err == nil && hash == c.RequestHash:
			return old, true, nil
		case err == nil:
			return vitrine.Session{}, false, vitrine.Errorf(vitrine.ClassConflict, "idempotency_key_reused",
				"this Idempotency-Key has made session %s from another request", old.ID).
				WithRemedy("send a new key with a new request; repeat a request with its own key")
		case !errors.Is(err, sql.ErrNoRows):
			return vitrine.Session{}, false, err
		}
	}
	old, err := scanSession(t.queryRow(ctx, q+`id = ?`, c.Session.ID), &hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return vitrine.Session{}, false, nil
	case err != nil:
		return vitrine.Session{}, false, err
	case old.UserID == c.Session.UserID && hash == c.RequestHash:
		return old, true, nil
	}
	return vitrine.Session{}, false, vitrine.Errorf(vitrine.ClassConflict, "id_taken", "there is a session %s already, from another request", c.Session.ID).
		WithRemedy("leave id out, or make a new one")
}

func (t *tx) insertSession(ctx context.Context, one *vitrine.Session, c *vitrine.CreateSession) error {
	values, err := sessionValues(one)
	if err != nil {
		return err
	}
	values = append(values, c.IdempotencyKey, c.RequestHash, t.lease)
	_, err = t.exec(ctx, `INSERT INTO sessions (`+sessionColumns+`, idempotency_key, request_hash, lease)
		VALUES (`+strings.Repeat("?, ", len(values)-1)+`?)`, values...)
	return err
}
