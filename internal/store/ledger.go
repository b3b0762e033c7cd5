package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// MaxConsole bounds a saved console, in bytes: the last ones are kept.
const MaxConsole = 256 << 10

// MaxDetail bounds the detail of a ledger line, in bytes.
const MaxDetail = 1 << 10

// PutPhase writes one line of a session's boot ledger and tells of it.
func (s *Store) PutPhase(ctx context.Context, sessionID string, p vitrine.Phase) error {
	place := slices.Index(vitrine.Phases, p.Name)
	if place < 0 {
		return vitrine.Errorf(vitrine.ClassInternal, "unknown_phase", "%q is not a phase of a start", p.Name)
	}
	if len(p.Detail) > MaxDetail {
		p.Detail = p.Detail[:MaxDetail]
	}
	p.Detail = plain(p.Detail)
	p.StartedAt = fromMS(toMS(p.StartedAt))
	return s.write(ctx, "writing the boot ledger of "+sessionID, func(t *tx) error {
		var user string
		err := t.queryRow(ctx, `SELECT user_id FROM sessions WHERE id = ?`, sessionID).Scan(&user)
		if errors.Is(err, sql.ErrNoRows) {
			return vitrine.NotFound("session", sessionID)
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO phases (session_id, name, place, started_at, duration_us, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (session_id, name) DO UPDATE SET started_at = excluded.started_at,
			duration_us = excluded.duration_us, outcome = excluded.outcome, detail = excluded.detail`,
			sessionID, string(p.Name), int64(place), toMS(p.StartedAt), p.Duration.Microseconds(), string(p.Outcome), p.Detail)
		if err != nil {
			return err
		}
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		at := p.StartedAt.Add(p.Duration)
		return t.log(ctx, vitrine.Event{SessionID: sessionID, UserID: user, Type: vitrine.EventBootPhase, At: at, Data: data})
	})
}

// Ledger gives the boot ledger in the order of phases, with the failure that
// stands in the session's row.
func (s *Store) Ledger(ctx context.Context, sessionID string) (vitrine.Ledger, error) {
	one, err := s.Session(ctx, sessionID)
	if err != nil {
		return vitrine.Ledger{}, err
	}
	l := vitrine.Ledger{SessionID: sessionID, Failure: one.Failure}
	rows, err := s.query(ctx, `SELECT name, started_at, duration_us, outcome, detail FROM phases WHERE session_id = ? ORDER BY place`, sessionID)
	if err != nil {
		return vitrine.Ledger{}, s.told("reading the boot ledger of "+sessionID, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p vitrine.Phase
		var at, took int64
		if err := rows.Scan(&p.Name, &at, &took, &p.Outcome, &p.Detail); err != nil {
			return vitrine.Ledger{}, s.told("reading the boot ledger of "+sessionID, err)
		}
		p.StartedAt, p.Duration = fromMS(at), time.Duration(took)*time.Microsecond
		l.Phases = append(l.Phases, p)
	}
	return l, s.told("reading the boot ledger of "+sessionID, rows.Err())
}

// SaveConsole keeps the last MaxConsole bytes of a console.
func (s *Store) SaveConsole(ctx context.Context, sessionID string, console []byte) error {
	if len(console) > MaxConsole {
		console = console[len(console)-MaxConsole:]
	}
	if console == nil {
		console = []byte{}
	}
	return s.write(ctx, "saving the console of "+sessionID, func(t *tx) error {
		var n int
		if err := t.queryRow(ctx, `SELECT count(*) FROM sessions WHERE id = ?`, sessionID).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return vitrine.NotFound("session", sessionID)
		}
		_, err := t.exec(ctx, `INSERT INTO consoles (session_id, data) VALUES (?, ?)
			ON CONFLICT (session_id) DO UPDATE SET data = excluded.data`, sessionID, console)
		return err
	})
}

// SavedConsole gives a saved console.
func (s *Store) SavedConsole(ctx context.Context, sessionID string) ([]byte, error) {
	var data []byte
	err := s.queryRow(ctx, `SELECT data FROM consoles WHERE session_id = ?`, sessionID).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, vitrine.NotFound("saved console of session", sessionID)
	}
	return data, s.told("reading the console of "+sessionID, err)
}

// Prune removes sessions that were released and over before t, with ledgers,
// consoles, events and tickets (the schema's cascades), and logins that ran out
// by then.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	var gone int64
	err := s.write(ctx, "pruning old sessions", func(t *tx) error {
		res, err := t.exec(ctx, `DELETE FROM sessions WHERE released = 1 AND ended_at < ?`, toMS(before))
		if err != nil {
			return err
		}
		if gone, err = res.RowsAffected(); err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM logins WHERE expires_at < ?`, toMS(before))
		return err
	})
	return int(gone), err
}
