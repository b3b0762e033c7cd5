package vitrine

import "time"

// EventType says what an event tells.
type EventType string

// The event types. Data is JSON: the session for session.*, the phase for
// boot.phase.
const (
	EventSessionCreated EventType = "session.created"
	EventSessionUpdated EventType = "session.updated"
	EventSessionState   EventType = "session.state"
	EventBootPhase      EventType = "boot.phase"
)

// Event is one line of the event log. ID only grows, over all sessions.
type Event struct {
	ID        int64
	SessionID string
	UserID    string
	Type      EventType
	At        time.Time
	Data      []byte // JSON
}
