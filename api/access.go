package api

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// CreateTicket is the body of POST /v1/sessions/{id}/tickets.
type CreateTicket struct {
	Scope      vitrine.Scope `json:"scope"`
	TTLSeconds *int64        `json:"ttl_seconds,omitempty"`
}

// Ticket is a new ticket; Ticket and URL hold its secret, shown once.
type Ticket struct {
	ID        string        `json:"id"`
	SessionID string        `json:"session_id"`
	Scope     vitrine.Scope `json:"scope"`
	Ticket    string        `json:"ticket"`
	URL       string        `json:"url"`
	ExpiresAt time.Time     `json:"expires_at"`
}

// RedeemTicket is the body of POST /v1/tickets/redeem.
type RedeemTicket struct {
	Ticket string `json:"ticket"`
}

// RedeemedTicket says what the viewer cookie is good for.
type RedeemedTicket struct {
	SessionID string        `json:"session_id"`
	Scope     vitrine.Scope `json:"scope"`
}

// Login is the body of POST /v1/login.
type Login struct {
	Token string `json:"token"`
}

// RoleViewer is Me.Role of somebody who came in by a ticket.
const RoleViewer vitrine.Role = "viewer"

// Me is who is calling.
type Me struct {
	UserID    string        `json:"user_id"`
	Role      vitrine.Role  `json:"role"`
	SessionID string        `json:"session_id,omitempty"`
	Scope     vitrine.Scope `json:"scope,omitempty"`
}

// CreateKey is the body of POST /v1/keys.
type CreateKey struct {
	Name   string       `json:"name"`
	Role   vitrine.Role `json:"role,omitempty"`
	UserID string       `json:"user_id,omitempty"`
}

// Key is an API key without its secret.
type Key struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Role      vitrine.Role `json:"role"`
	UserID    string       `json:"user_id"`
	CreatedAt time.Time    `json:"created_at"`
}

// NewKey is a key with its secret, shown once.
type NewKey struct {
	Key
	Secret string `json:"secret"`
}

// KeyList is all keys.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// CreateLoginLink is the body of POST /v1/login-links.
type CreateLoginLink struct {
	UserID string       `json:"user_id,omitempty"`
	Role   vitrine.Role `json:"role,omitempty"`
}

// LoginLink is a one-time login link; the token is in its fragment.
type LoginLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}
