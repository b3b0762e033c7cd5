package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-dev/vitrine"
)

const ticketColumns = `id, hash, session_id, user_id, scope, created_at, expires_at, redeemed_at, cookie_hash, revoked_at`

func (s *Store) scanTicket(row scanner, none error) (vitrine.Ticket, error) {
	var k vitrine.Ticket
	var hash, cookie []byte
	var created, expires, redeemed, revoked int64
	err := row.Scan(&k.ID, &hash, &k.SessionID, &k.UserID, &k.Scope, &created, &expires, &redeemed, &cookie, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return vitrine.Ticket{}, none
	}
	copy(k.Hash[:], hash)
	copy(k.CookieHash[:], cookie)
	k.CreatedAt, k.ExpiresAt, k.RedeemedAt, k.RevokedAt = fromMS(created), fromMS(expires), fromMS(redeemed), fromMS(revoked)
	return k, s.told("finding a ticket", err)
}

// PutTicket keeps a new ticket: ClassNotFound when its session is not there.
func (s *Store) PutTicket(ctx context.Context, k vitrine.Ticket) error {
	return s.write(ctx, "keeping ticket "+k.ID, func(t *tx) error {
		var n int
		if err := t.queryRow(ctx, `SELECT count(*) FROM sessions WHERE id = ?`, k.SessionID).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return vitrine.NotFound("session", k.SessionID)
		}
		_, err := t.exec(ctx, `INSERT INTO tickets (id, hash, session_id, user_id, scope, created_at, expires_at, redeemed_at, cookie_hash, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, 0)`,
			k.ID, k.Hash[:], k.SessionID, k.UserID, string(k.Scope), toMS(k.CreatedAt), toMS(k.ExpiresAt))
		return err
	})
}

// Ticket finds one: ClassNotFound otherwise.
func (s *Store) Ticket(ctx context.Context, id string) (vitrine.Ticket, error) {
	return s.scanTicket(s.queryRow(ctx, `SELECT `+ticketColumns+` FROM tickets WHERE id = ?`, id), vitrine.NotFound("ticket", id))
}

// TicketByCookie finds the ticket that a viewer's cookie came from, revoked ones
// too (RevokedAt says so): ClassNotFound otherwise.
func (s *Store) TicketByCookie(ctx context.Context, cookieHash [32]byte) (vitrine.Ticket, error) {
	return s.scanTicket(s.queryRow(ctx, `SELECT `+ticketColumns+` FROM tickets WHERE cookie_hash = ?`, cookieHash[:]), unknown("ticket"))
}

// RedeemTicket uses a ticket up, in one statement: of two who come with the same
// one, one is refused. A zero cookieHash (a program that holds no cookie) keeps
// none.
func (s *Store) RedeemTicket(ctx context.Context, hash, cookieHash [32]byte, now time.Time) (k vitrine.Ticket, err error) {
	var cookie []byte
	if cookieHash != ([32]byte{}) {
		cookie = cookieHash[:]
	}
	err = s.write(ctx, "redeeming a ticket", func(t *tx) (err error) {
		k, err = s.scanTicket(t.queryRow(ctx, `UPDATE tickets SET redeemed_at = ?, cookie_hash = ?
			WHERE hash = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at >= ? RETURNING `+ticketColumns,
			toMS(now), cookie, hash[:], toMS(now)), refused())
		return err
	})
	return k, err
}

// refused does not say which of the reasons it was: a guesser learns nothing.
func refused() error {
	return vitrine.Errorf(vitrine.ClassUnauthorized, "ticket_invalid", "the ticket is unknown, used, revoked or has run out").
		WithRemedy("ask for a new ticket: POST /v1/sessions/ID/tickets")
}

// RevokeTicket ends a ticket's use; the first time stays. ClassNotFound when
// there is none.
func (s *Store) RevokeTicket(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, "revoking ticket "+id, func(t *tx) error {
		return gone(vitrine.NotFound("ticket", id))(t.exec(ctx,
			`UPDATE tickets SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END WHERE id = ?`, toMS(now), id))
	})
}
