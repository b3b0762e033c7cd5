package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// slotsWithoutPool is how many machines fit when there is no subnet (machines
// without a network): the number of slots of a /24.
const slotsWithoutPool = 253

// retryAfter is what a caller is told to wait for room: about the time in which
// a person ends a session or an idle one is collected.
const retryAfter = 10 * time.Second

// CreateSession admits a session: row, lease and reservation in one transaction.
func (s *Store) CreateSession(ctx context.Context, c vitrine.CreateSession) (vitrine.Session, bool, error) {
	if c.Session.State != vitrine.StatePending {
		return vitrine.Session{}, false, vitrine.Errorf(vitrine.ClassInternal, "bad_transition", "a new session must be pending, not %q", c.Session.State)
	}
	var result vitrine.Session
	var created bool
	err := s.write(ctx, "making session "+c.Session.ID, func(t *tx) error {
		created = false
		if s.dialect.admission != "" {
			if _, err := t.exec(ctx, s.dialect.admission); err != nil {
				return err
			}
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
		if err := t.lend(ctx, &c, &one); err != nil {
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

// holding is what one session that is not released holds of the host.
type holding struct {
	id             string
	memoryMB, vcpu int
	slot           int
}

// lend gives the session its slot and address if the host has room.
func (t *tx) lend(ctx context.Context, c *vitrine.CreateSession, one *vitrine.Session) error {
	rows, err := t.query(ctx, `SELECT id, memory_mb, vcpu, slot FROM sessions WHERE released = 0 ORDER BY memory_mb DESC, id`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var held []holding
	taken := map[int]bool{}
	var sum vitrine.Capacity
	for rows.Next() {
		var h holding
		if err := rows.Scan(&h.id, &h.memoryMB, &h.vcpu, &h.slot); err != nil {
			return err
		}
		held = append(held, h)
		taken[h.slot] = true
		sum.MemoryMB += h.memoryMB
		sum.VCPU += h.vcpu
		sum.Sessions++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	slots := slotsWithoutPool
	if c.Addresses.Subnet.IsValid() {
		slots = c.Addresses.Slots()
	}
	var last int
	err = t.queryRow(ctx, `SELECT slot FROM sessions ORDER BY created_at DESC, id DESC LIMIT 1`).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	one.Slot = pickSlot(taken, last, slots)
	switch limit := c.Capacity; {
	case limit.MemoryMB > 0 && sum.MemoryMB+one.MemoryMB > limit.MemoryMB:
		return full("MiB of memory", one.MemoryMB, sum.MemoryMB, limit.MemoryMB, held)
	case limit.VCPU > 0 && sum.VCPU+one.VCPU > limit.VCPU:
		return full("vCPU", one.VCPU, sum.VCPU, limit.VCPU, held)
	case limit.Sessions > 0 && sum.Sessions+1 > limit.Sessions:
		return full("places for sessions", 1, sum.Sessions, limit.Sessions, held)
	case one.Slot == 0:
		return full("addresses", 1, sum.Sessions, slots, held)
	}
	if !c.Addresses.Subnet.IsValid() {
		return nil
	}
	one.Address, err = c.Addresses.Address(one.Slot)
	return err
}

// pickSlot gives the first free slot after the one lent last, going round, so
// that an address rests as long as possible before another machine has it; 0
// when all are taken.
func pickSlot(taken map[int]bool, last, slots int) int {
	for i := range slots {
		if n := (last+i)%slots + 1; !taken[n] {
			return n
		}
	}
	return 0
}

// told is how many holders a refusal names.
const toldHolders = 5

func full(what string, want, held, limit int, by []holding) error {
	var who []string
	for i, h := range by {
		if i == toldHolders {
			who = append(who, fmt.Sprintf("and %d more", len(by)-i))
			break
		}
		who = append(who, fmt.Sprintf("%s (%d MiB, %d vCPU)", h.id, h.memoryMB, h.vcpu))
	}
	msg := fmt.Sprintf("%d %s asked for, but %d of %d are held", want, what, held, limit)
	if len(who) > 0 {
		msg += " by " + strings.Join(who, ", ")
	}
	if want > limit {
		msg = fmt.Sprintf("%d %s asked for, but this host lends %d in all", want, what, limit)
	}
	e := vitrine.NewFailure(vitrine.FailHostNoCapacity, nil, "%s", msg).AsError()
	if e.RetryAfter = retryAfter; want > limit {
		e.Retryable, e.RetryAfter = false, 0
	}
	return e
}

func (t *tx) insertSession(ctx context.Context, one *vitrine.Session, c *vitrine.CreateSession) error {
	values, err := sessionValues(one)
	if err != nil {
		return err
	}
	values = append(values, c.IdempotencyKey, c.RequestHash)
	_, err = t.exec(ctx, `INSERT INTO sessions (`+sessionColumns+`, idempotency_key, request_hash)
		VALUES (`+strings.Repeat("?, ", len(values)-1)+`?)`, values...)
	return err
}

// Reserved sums what is held by sessions that are not released.
func (s *Store) Reserved(ctx context.Context) (vitrine.Capacity, error) {
	var c vitrine.Capacity
	err := s.queryRow(ctx, `SELECT CAST(coalesce(sum(memory_mb), 0) AS BIGINT), CAST(coalesce(sum(vcpu), 0) AS BIGINT), count(*)
		FROM sessions WHERE released = 0`).Scan(&c.MemoryMB, &c.VCPU, &c.Sessions)
	return c, s.told("summing reservations", err)
}
