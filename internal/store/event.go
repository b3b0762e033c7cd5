package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// logSession writes an event that tells of a session. Its data is the domain's
// Session as encoding/json writes it, so that any reader can have it back whole.
func (t *tx) logSession(ctx context.Context, kind vitrine.EventType, at time.Time, one *vitrine.Session) error {
	data, err := json.Marshal(one)
	if err != nil {
		return err
	}
	return t.log(ctx, vitrine.Event{SessionID: one.ID, UserID: one.UserID, Type: kind, At: at, Data: data})
}

// log writes an event. It must be a transaction's last statement: from here to
// the commit no other transaction can write one, so a reader that has seen an
// id will never meet a smaller one later.
func (t *tx) log(ctx context.Context, e vitrine.Event) error {
	if lock := t.s.dialect.beforeLog; lock != "" {
		if _, err := t.exec(ctx, lock); err != nil {
			return err
		}
	}
	t.logged = true
	_, err := t.exec(ctx, `INSERT INTO events (session_id, user_id, type, at, data) VALUES (?, ?, ?, ?, ?)`,
		e.SessionID, e.UserID, string(e.Type), toMS(e.At), string(e.Data))
	return err
}

// Events gives events after an id, oldest first, at most limit (1..1000).
func (s *Store) Events(ctx context.Context, after int64, sessionID, userID string, limit int) ([]vitrine.Event, error) {
	where, args := []string{`id > ?`}, []any{after}
	if sessionID != "" {
		where, args = append(where, `session_id = ?`), append(args, sessionID)
	}
	if userID != "" {
		where, args = append(where, `user_id = ?`), append(args, userID)
	}
	limit = min(max(limit, 1), 1000)
	rows, err := s.query(ctx, `SELECT id, session_id, user_id, type, at, data FROM events WHERE `+
		strings.Join(where, ` AND `)+` ORDER BY id LIMIT ?`, append(args, int64(limit))...)
	if err != nil {
		return nil, s.told("reading events", err)
	}
	defer func() { _ = rows.Close() }()
	var list []vitrine.Event
	for rows.Next() {
		var e vitrine.Event
		var at int64
		if err := rows.Scan(&e.ID, &e.SessionID, &e.UserID, &e.Type, &at, &e.Data); err != nil {
			return nil, s.told("reading events", err)
		}
		e.At = fromMS(at)
		list = append(list, e)
	}
	return list, s.told("reading events", rows.Err())
}

// LastEventID is the newest event's id.
func (s *Store) LastEventID(ctx context.Context) (int64, error) {
	var id int64
	err := s.queryRow(ctx, `SELECT coalesce(max(id), 0) FROM events`).Scan(&id)
	return id, s.told("reading the newest event", err)
}

// Changed is closed at the next event.
func (s *Store) Changed() <-chan struct{} { return s.wake.wait() }
