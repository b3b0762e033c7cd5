package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Session finds one session.
func (s *Store) Session(ctx context.Context, id string) (vitrine.Session, error) {
	row := s.queryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`, id)
	return s.one("session", id, row)
}

// SessionOfMachine finds the session that a machine was made for, also when it
// is over and released: the machine's id is journaled in the session's row
// before anything of the machine is made.
func (s *Store) SessionOfMachine(ctx context.Context, machineID string) (vitrine.Session, error) {
	row := s.queryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE machine_id = ?`, machineID)
	return s.one("session of machine", machineID, row)
}

func (s *Store) one(what, id string, row *sql.Row) (vitrine.Session, error) {
	found, err := scanSession(row)
	if errors.Is(err, sql.ErrNoRows) {
		return vitrine.Session{}, vitrine.NotFound(what, id)
	}
	return found, s.told("reading "+what+" "+id, err)
}

// Sessions lists newest first, one page. A page is not disturbed by sessions
// that were made since the one before.
func (s *Store) Sessions(ctx context.Context, f vitrine.SessionFilter) ([]vitrine.Session, string, error) {
	var where []string
	var args []any
	if f.State != "" {
		where, args = append(where, `state = ?`), append(args, string(f.State))
	}
	if f.UserID != "" {
		where, args = append(where, `user_id = ?`), append(args, f.UserID)
	}
	if f.Cursor != "" {
		var at int64
		err := s.queryRow(ctx, `SELECT created_at FROM sessions WHERE id = ?`, f.Cursor).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, "", vitrine.Errorf(vitrine.ClassInvalid, "invalid_cursor", "the cursor is not of a page that still exists").
				WithRemedy("list from the start again, without cursor")
		}
		if err != nil {
			return nil, "", s.told("finding the page", err)
		}
		where, args = append(where, `(created_at, id) < (?, ?)`), append(args, at, f.Cursor)
	}
	limit := f.Limit
	if limit < 1 {
		limit = 50
	}
	limit = min(limit, 500)
	q := `SELECT ` + sessionColumns + ` FROM sessions`
	if len(where) > 0 {
		q += ` WHERE ` + strings.Join(where, ` AND `)
	}
	// One more than asked for says whether there is a next page.
	list, err := s.list(ctx, q+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, int64(limit+1))...)
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	return list[:limit], list[limit-1].ID, nil
}

// Unsettled lists the sessions that something may still exist of, oldest first.
func (s *Store) Unsettled(ctx context.Context) ([]vitrine.Session, error) {
	return s.list(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE released = 0 ORDER BY created_at, id`)
}

func (s *Store) list(ctx context.Context, q string, args ...any) ([]vitrine.Session, error) {
	rows, err := s.query(ctx, q, args...)
	if err != nil {
		return nil, s.told("listing sessions", err)
	}
	defer func() { _ = rows.Close() }()
	var list []vitrine.Session
	for rows.Next() {
		one, err := scanSession(rows)
		if err != nil {
			return nil, s.told("listing sessions", err)
		}
		list = append(list, one)
	}
	return list, s.told("listing sessions", rows.Err())
}

// WishSession changes wish fields. A change that changes nothing writes nothing.
func (s *Store) WishSession(ctx context.Context, id string, now time.Time, change func(*vitrine.Session) error) (vitrine.Session, error) {
	return s.change(ctx, id, now, change, func(before, after *vitrine.Session) error {
		probe := *after
		copyWish(&probe, before)
		if !reflect.DeepEqual(probe, *before) {
			return vitrine.Errorf(vitrine.ClassInternal, "not_a_wish", "a wish for session %s would change what the reconciler writes", id)
		}
		return nil
	})
}

// UpdateSession changes course fields, along the transition table.
func (s *Store) UpdateSession(ctx context.Context, id string, now time.Time, change func(*vitrine.Session) error) (vitrine.Session, error) {
	return s.change(ctx, id, now, change, func(before, after *vitrine.Session) error {
		probe := *after
		copyCourse(&probe, before)
		switch {
		case !reflect.DeepEqual(probe, *before):
			return vitrine.Errorf(vitrine.ClassInternal, "not_a_course", "an update of session %s would change what the API writes", id)
		case before.Queue != nil && !before.MayBecome(after.State):
			return vitrine.Errorf(vitrine.ClassConflict, "bad_transition", "session %s waits for room and cannot become %s", id, after.State)
		case !before.MayBecome(after.State):
			return vitrine.Errorf(vitrine.ClassConflict, "bad_transition", "session %s is %s and cannot become %s", id, before.State, after.State)
		case after.Released && !after.State.Over():
			return vitrine.Errorf(vitrine.ClassConflict, "bad_transition", "session %s is %s and cannot be released before it is over", id, after.State)
		case before.Released && !after.Released:
			return vitrine.Errorf(vitrine.ClassConflict, "bad_transition", "session %s is released and its lease is lent to others", id)
		}
		return nil
	})
}

func (s *Store) change(ctx context.Context, id string, now time.Time, change func(*vitrine.Session) error, allowed func(before, after *vitrine.Session) error) (vitrine.Session, error) {
	var result vitrine.Session
	err := s.write(ctx, "changing session "+id, func(t *tx) error {
		// The lock of admissions comes before a row's. Who does not wait never will.
		var place int64
		err := t.queryRow(ctx, `SELECT queue_position FROM sessions WHERE id = ?`, id).Scan(&place)
		if err == nil && place > 0 {
			err = t.admissions(ctx)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		before, err := scanSession(t.queryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`+s.dialect.forUpdate, id))
		if errors.Is(err, sql.ErrNoRows) {
			return vitrine.NotFound("session", id)
		}
		if err != nil {
			return err
		}
		after := before
		after.Metadata = maps.Clone(before.Metadata)
		if before.Queue != nil {
			place := *before.Queue
			after.Queue = &place
		}
		if err := change(&after); err != nil {
			return err
		}
		if err := allowed(&before, &after); err != nil {
			return err
		}
		after.ReadyAt, after.EndedAt = fromMS(toMS(after.ReadyAt)), fromMS(toMS(after.EndedAt))
		if result = before; reflect.DeepEqual(before, after) {
			return nil
		}
		if after.State.Over() {
			after.Queue = nil
		}
		after.Version++
		after.UpdatedAt = fromMS(toMS(now))
		if err := t.saveSession(ctx, &after); err != nil {
			return err
		}
		result = after
		if after.Released && !before.Released {
			if err := t.revokeUnused(ctx, id, now); err != nil {
				return err
			}
		}
		if before.Queue != nil && after.Queue == nil {
			if err := t.moveUp(ctx, before.Queue.Position, now); err != nil {
				return err
			}
		}
		kind := vitrine.EventSessionUpdated
		if before.State != after.State {
			kind = vitrine.EventSessionState
		}
		return t.logSession(ctx, kind, now, &after)
	})
	if err != nil {
		return vitrine.Session{}, err
	}
	return result, nil
}

// saveSession writes every column of a session that is there.
func (t *tx) saveSession(ctx context.Context, one *vitrine.Session) error {
	values, err := sessionValues(one)
	if err != nil {
		return err
	}
	set := strings.ReplaceAll(sessionColumns, ",", " = ?,") + " = ?"
	_, err = t.exec(ctx, `UPDATE sessions SET `+set+` WHERE id = ?`, append(values, one.ID)...)
	return err
}

// copyWish and copyCourse carry over the fields that one writer may change; what
// is in neither (id, lease, version) nobody may.
func copyWish(dst, src *vitrine.Session) {
	dst.Kind, dst.UserID, dst.Image, dst.Runtime = src.Kind, src.UserID, src.Image, src.Runtime
	dst.Isolation, dst.MinIsolation, dst.VCPU, dst.MemoryMB = src.Isolation, src.MinIsolation, src.VCPU, src.MemoryMB
	dst.Viewport, dst.StartURL, dst.Timeout, dst.IdleTimeout = src.Viewport, src.StartURL, src.Timeout, src.IdleTimeout
	dst.Metadata, dst.Desired, dst.StopReason = src.Metadata, src.Desired, src.StopReason
}

func copyCourse(dst, src *vitrine.Session) {
	dst.State, dst.ImageDigest, dst.ReadyAt, dst.EndedAt = src.State, src.ImageDigest, src.ReadyAt, src.EndedAt
	dst.EndedReason, dst.Failure, dst.Node, dst.BootID = src.EndedReason, src.Failure, src.Node, src.BootID
	dst.Released = src.Released
}
