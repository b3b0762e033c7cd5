package vitrine

import (
	"context"
	"time"
)

// Capacity is what the host may lend to sessions; zero means no bound.
type Capacity struct {
	MemoryMB int
	VCPU     int // of the sum of all sessions' vCPU (CPU is shared, so this is an overcommit bound)
	Sessions int
}

// CreateSession is the input of SessionStore.CreateSession.
type CreateSession struct {
	Session        Session // ID, wish and MachineID set; State pending
	IdempotencyKey string  // "" for none; scoped to the user
	RequestHash    string  // of the request's body, to tell a re-used key from a retry
	Capacity       Capacity
	// Addresses is the pool of the bridge's subnet: slot n is Addresses[n-1].
	Addresses AddressPool
	// QueueUntil is how long the session may wait for room; zero: it is refused
	// when there is none.
	QueueUntil time.Time
}

// AdmitSession is the input of SessionStore.AdmitSession.
type AdmitSession struct {
	ID        string
	Now       time.Time
	Capacity  Capacity
	Addresses AddressPool
}

// SessionFilter narrows a list. Zero fields do not narrow. Cursor is the id of
// the last session of the page before.
type SessionFilter struct {
	State  State
	UserID string
	Limit  int // 1..500
	Cursor string
}

// SessionStore keeps sessions, their leases and their ledgers.
type SessionStore interface {
	// CreateSession makes the row, its address lease and its reservation in one
	// transaction. A repeated idempotency key with the same hash gives the first
	// session and created=false; with another hash ClassConflict
	// "idempotency_key_reused". An id that exists: the same session when user
	// and hash agree, ClassConflict otherwise. No room: ClassNoCapacity
	// "host_no_capacity", whose message says what is held.
	//
	// With QueueUntil a session for which there is no room now is made without a
	// lease, at the end of the queue (Session.Queue), whose order is that of these
	// transactions. Nothing overtakes: while any session waits, a new one waits
	// behind it, or is refused. One that the host could never hold, or for which
	// the queue is full (QueueLength, QueueForUser), is refused all the same.
	CreateSession(ctx context.Context, c CreateSession) (s Session, created bool, err error)
	// AdmitSession gives the first of the queue its lease, when there is room for
	// it. Not its turn, or no room: ClassNoCapacity as of CreateSession, not
	// Retryable when the host can never hold it, and the session goes on waiting.
	// One that does not wait is given as it is.
	AdmitSession(ctx context.Context, a AdmitSession) (Session, error)
	// Session finds one: ClassNotFound otherwise.
	Session(ctx context.Context, id string) (Session, error)
	// Sessions lists newest first; next is the cursor of the next page or "".
	Sessions(ctx context.Context, f SessionFilter) (list []Session, next string, err error)
	// Unsettled lists sessions that the reconciler still has to act on: not
	// over, or over and not Released.
	Unsettled(ctx context.Context) ([]Session, error)
	// WishSession is how the API writes: it changes wish fields only.
	WishSession(ctx context.Context, id string, now time.Time, change func(*Session) error) (Session, error)
	// UpdateSession is how the reconciler writes: it changes course fields
	// only, refuses what Transitions does not allow (ClassConflict
	// "bad_transition"), and logs an event for each change of state. Setting
	// Released gives back address and slot. Who waits for room may only come to an
	// end (MayBecome), leaves the queue by it, and those behind move up, each with
	// an event.
	UpdateSession(ctx context.Context, id string, now time.Time, change func(*Session) error) (Session, error)
	// PutPhase writes one line of a session's ledger (insert or replace by
	// name) and logs an event.
	PutPhase(ctx context.Context, sessionID string, p Phase) error
	// Ledger gives the boot ledger, phases in order.
	Ledger(ctx context.Context, sessionID string) (Ledger, error)
	// SaveConsole keeps the last console bytes of a machine that is gone.
	SaveConsole(ctx context.Context, sessionID string, console []byte) error
	// SavedConsole gives them; ClassNotFound when none were kept.
	SavedConsole(ctx context.Context, sessionID string) ([]byte, error)
	// Reserved sums what live sessions hold: memory with what their runtimes take,
	// rounded up to MiB. Who waits for room holds nothing.
	Reserved(ctx context.Context) (Capacity, error)
	// Prune removes sessions that were over before t, with ledgers and events.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// EventStore reads the event log; writes happen inside the SessionStore's.
type EventStore interface {
	// Events gives events with id > after, oldest first, at most limit;
	// sessionID and userID narrow when not empty.
	Events(ctx context.Context, after int64, sessionID, userID string, limit int) ([]Event, error)
	// LastEventID is the id of the newest event, 0 when there is none.
	LastEventID(ctx context.Context) (int64, error)
	// Changed gives a channel that is closed at the next event written through
	// this store: a cheap wake-up for those who stream.
	Changed() <-chan struct{}
}

// AuthStore keeps keys, tickets and logins.
type AuthStore interface {
	PutKey(ctx context.Context, k APIKey) error
	KeyByHash(ctx context.Context, hash [32]byte) (APIKey, error)
	Keys(ctx context.Context) ([]APIKey, error)
	DeleteKey(ctx context.Context, id string) error

	PutTicket(ctx context.Context, t Ticket) error
	Ticket(ctx context.Context, id string) (Ticket, error)
	TicketByCookie(ctx context.Context, cookieHash [32]byte) (Ticket, error)
	// RedeemTicket marks the ticket used, once: ClassUnauthorized when it is
	// unknown, used, revoked or expired.
	RedeemTicket(ctx context.Context, hash, cookieHash [32]byte, now time.Time) (Ticket, error)
	RevokeTicket(ctx context.Context, id string, now time.Time) error

	PutLogin(ctx context.Context, l Login) error
	LoginByHash(ctx context.Context, hash [32]byte) (Login, error)
	// TakeLogin finds and deletes in one step: for one-time links.
	TakeLogin(ctx context.Context, hash [32]byte) (Login, error)
	DeleteLogin(ctx context.Context, hash [32]byte) error
}

// Store is all of them, and what a process needs to hold one.
type Store interface {
	SessionStore
	EventStore
	AuthStore
	Ping(ctx context.Context) error
	Close() error
}
