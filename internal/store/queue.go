package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// The queue is the sessions whose queue_position is not 0: 1..n without a gap, in
// the order of the transactions that made them. It is changed only under the
// lock of admissions.

// admissions makes this transaction wait for creates and admissions under way,
// and others for it.
func (t *tx) admissions(ctx context.Context) error {
	if t.s.dialect.admission == "" {
		return nil
	}
	_, err := t.exec(ctx, t.s.dialect.admission)
	return err
}

// waiting counts who waits: all, and of one user.
func (t *tx) waiting(ctx context.Context, user string) (all, own int, err error) {
	err = t.queryRow(ctx, `SELECT count(*), CAST(coalesce(sum(CASE WHEN user_id = ? THEN 1 ELSE 0 END), 0) AS BIGINT)
		FROM sessions WHERE queue_position > 0`, user).Scan(&all, &own)
	return all, own, err
}

// admit gives a new session its lease, or its place in the queue.
func (t *tx) admit(ctx context.Context, c *vitrine.CreateSession, one *vitrine.Session) error {
	all, own, err := t.waiting(ctx, one.UserID)
	if err != nil {
		return err
	}
	wish := *one
	refusal, err := t.lend(ctx, c.Capacity, c.Addresses, &wish)
	switch {
	case err != nil:
		return err
	case refusal == nil && all == 0:
		*one = wish
		return nil
	case refusal != nil && !refusal.Retryable:
		return refusal
	case refusal == nil:
		refusal = behind(all)
	}
	t.lease = 0
	switch {
	case c.QueueUntil.IsZero():
		return refusal
	case all >= vitrine.QueueLength:
		return noCapacity(fmt.Sprintf("%d sessions wait for room already, as many as may", all),
			"try again later, or end a session: `vitrine session list`, `vitrine session rm ID`")
	case own >= vitrine.QueueForUser:
		return noCapacity(fmt.Sprintf("%d sessions of user %s wait for room already, as many as one user's may", own, one.UserID),
			"wait for those, or end some of them: `vitrine session rm ID`")
	}
	one.Queue = &vitrine.QueuePlace{Position: all + 1, Deadline: fromMS(toMS(c.QueueUntil))}
	return nil
}

// behind refuses what would overtake those who wait.
func behind(n int) *vitrine.Error {
	return noCapacity(fmt.Sprintf("sessions that wait for room come first: %d", n),
		"wait behind them: queue_seconds (`vitrine session create --queue 5m`); or end a session: `vitrine session list`, `vitrine session rm ID`")
}

// AdmitSession gives the first of the queue its lease.
func (s *Store) AdmitSession(ctx context.Context, a vitrine.AdmitSession) (vitrine.Session, error) {
	var result vitrine.Session
	err := s.write(ctx, "admitting session "+a.ID, func(t *tx) error {
		if err := t.admissions(ctx); err != nil {
			return err
		}
		one, err := scanSession(t.queryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`+s.dialect.forUpdate, a.ID))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return vitrine.NotFound("session", a.ID)
		case err != nil:
			return err
		case one.Queue == nil:
			result = one
			return nil
		}
		// Before its turn too: one that can never fit need not wait for it.
		refusal, err := t.lend(ctx, a.Capacity, a.Addresses, &one)
		switch {
		case err != nil:
			return err
		case refusal != nil && !refusal.Retryable:
			return refusal
		case one.Queue.Position > 1:
			return behind(one.Queue.Position - 1)
		case refusal != nil:
			return refusal
		}
		left := one.Queue.Position
		one.Queue = nil
		one.Version++
		one.UpdatedAt = fromMS(toMS(a.Now))
		if err := t.saveSession(ctx, &one); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE sessions SET lease = ? WHERE id = ?`, t.lease, one.ID); err != nil {
			return err
		}
		if err := t.moveUp(ctx, left, a.Now); err != nil {
			return err
		}
		result = one
		return t.logSession(ctx, vitrine.EventSessionUpdated, a.Now, &one)
	})
	if err != nil {
		return vitrine.Session{}, err
	}
	return result, nil
}

// moveUp closes the gap that somebody left, and tells those who moved.
func (t *tx) moveUp(ctx context.Context, left int, now time.Time) error {
	if _, err := t.exec(ctx, `UPDATE sessions SET queue_position = queue_position - 1, version = version + 1, updated_at = ?
		WHERE queue_position > ?`, toMS(now), int64(left)); err != nil {
		return err
	}
	rows, err := t.query(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE queue_position >= ? ORDER BY queue_position`, int64(left))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var moved []vitrine.Session
	for rows.Next() {
		one, err := scanSession(rows)
		if err != nil {
			return err
		}
		moved = append(moved, one)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i := range moved {
		if err := t.logSession(ctx, vitrine.EventSessionUpdated, now, &moved[i]); err != nil {
			return err
		}
	}
	return nil
}
