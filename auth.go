package vitrine

import "time"

// Role is what an API key or a dashboard login may do.
type Role string

// The roles. An admin sees and does everything; a user sees and does what is
// theirs.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
)

// APIKey is a key as stored: the secret itself is never kept, only its SHA-256
// (keys are 256 random bits, so a slow hash would add nothing).
type APIKey struct {
	ID        string // key_…
	Hash      [32]byte
	Role      Role
	UserID    string
	Name      string
	CreatedAt time.Time
}

// Scope is what a ticket lets a viewer do.
type Scope string

// The scopes (api.md). Control includes view.
const (
	ScopeView     Scope = "view"
	ScopeControl  Scope = "control"
	ScopeTerminal Scope = "terminal"
	ScopeCDP      Scope = "cdp"
	ScopeVNC      Scope = "vnc"
)

// Ticket is a short-lived, scoped, single-use secret that lets a viewer in.
// Redeeming it gives a viewer cookie (Hash of which is kept in CookieHash) that
// is good until the session ends or the ticket is revoked, so that a viewer may
// reconnect.
type Ticket struct {
	ID         string // tkt_…
	Hash       [32]byte
	SessionID  string
	UserID     string
	Scope      Scope
	CreatedAt  time.Time
	ExpiresAt  time.Time // last moment of redemption
	RedeemedAt time.Time // zero: not yet
	CookieHash [32]byte  // zero until redeemed by a browser
	RevokedAt  time.Time
}

// Login is a dashboard login: made from a one-time link, held by a cookie.
type Login struct {
	Hash      [32]byte // of the cookie, or of the link's token while Link is true
	Link      bool
	UserID    string
	Role      Role
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Principal is who makes a request.
type Principal struct {
	UserID string
	Role   Role
	// SessionID and Scope are set when the principal came in by a ticket: then
	// it may do what Scope says on that session and nothing else.
	SessionID string
	Scope     Scope
	TicketID  string
}

// MayActOn says whether the principal may manage a session of this owner.
func (p Principal) MayActOn(owner string) bool {
	if p.Scope != "" {
		return false
	}
	return p.Role == RoleAdmin || (p.Role == RoleUser && p.UserID == owner)
}

// MayUse says whether the principal may open a stream of the given scope on a
// session of this owner.
func (p Principal) MayUse(sessionID, owner string, scope Scope) bool {
	if p.Scope == "" {
		return p.MayActOn(owner)
	}
	if p.SessionID != sessionID {
		return false
	}
	if p.Scope == scope {
		return true
	}
	switch p.Scope {
	case ScopeControl:
		return scope == ScopeView || scope == ScopeVNC
	case ScopeView:
		return scope == ScopeVNC // the VNC path shows, and filters input of those not in control
	}
	return false
}
