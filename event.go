package vitrine

import "time"

// EventType says what an event tells.
type EventType string

// The event types. Data is json.Marshal of the Session for session.* and of the
// Phase for boot.phase: the domain's own types, which the HTTP layer turns into
// the API's.
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
