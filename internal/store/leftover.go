package store

import (
	"context"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// looseTickets are those that could be redeemed though nothing of their session
// is left. Releasing a session revokes its tickets, so there are none unless
// something of ours went wrong.
const looseTickets = ` FROM tickets WHERE redeemed_at = 0 AND revoked_at = 0 AND expires_at >= ?
	AND session_id IN (SELECT id FROM sessions WHERE released = 1)`

// LooseTickets lists them, oldest first, at most 500.
func (s *Store) LooseTickets(ctx context.Context, now time.Time) ([]vitrine.Ticket, error) {
	rows, err := s.query(ctx, `SELECT `+ticketColumns+looseTickets+` ORDER BY created_at, id LIMIT 500`, toMS(now))
	if err != nil {
		return nil, s.told("looking for tickets of sessions that are gone", err)
	}
	defer func() { _ = rows.Close() }()
	var list []vitrine.Ticket
	for rows.Next() {
		k, err := s.scanTicket(rows, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, s.told("looking for tickets of sessions that are gone", rows.Err())
}

// revokeUnused ends the tickets of a session that is being released. Those that
// were redeemed stay: their viewers are shown how the session ended.
func (t *tx) revokeUnused(ctx context.Context, sessionID string, now time.Time) error {
	_, err := t.exec(ctx, `UPDATE tickets SET revoked_at = ? WHERE session_id = ? AND redeemed_at = 0 AND revoked_at = 0`, toMS(now), sessionID)
	return err
}
