package vitrine

import (
	"context"
	"net/http"
	"time"
)

// Viewer is who attaches to a session, after the HTTP layer has let them in.
type Viewer struct {
	SessionID string
	Scope     Scope // ScopeView or ScopeControl
	UserID    string
	TicketID  string // "" when it came in by key or login
}

// ICEServer is one entry of RTCConfiguration.iceServers.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// ICECandidate is RTCIceCandidateInit; an empty Candidate ends the list.
type ICECandidate struct {
	Candidate     string  `json:"candidate"`
	SDPMid        *string `json:"sdpMid,omitempty"`
	SDPMLineIndex *uint16 `json:"sdpMLineIndex,omitempty"`
}

// Streams joins viewers to sessions. The HTTP layer authenticates and
// authorises; Streams does the rest. Methods that take a ResponseWriter answer
// the request whole (they upgrade it to a WebSocket).
type Streams interface {
	// Signal serves the viewer's main socket: presence, control, WebRTC
	// signalling (docs/viewer-protocol.md).
	Signal(w http.ResponseWriter, r *http.Request, v Viewer)
	// VNC serves RFB over WebSocket (subprotocol "binary"). viewerID, when not
	// empty, is the id that the signal socket gave, and input is let through
	// only while that viewer is in control.
	VNC(w http.ResponseWriter, r *http.Request, v Viewer, viewerID string)
	// CDP serves Chrome DevTools Protocol messages over WebSocket.
	CDP(w http.ResponseWriter, r *http.Request, v Viewer)

	// Offer takes an SDP offer from a plain client and gives the answer. The
	// answer is kept under the session and caller for Answer.
	Offer(ctx context.Context, v Viewer, sdp string) (answer string, err error)
	// Answer gives the last answer: ClassNotFound "no_offer" before an offer.
	Answer(ctx context.Context, v Viewer) (string, error)
	// AddCandidate and Candidates are trickle ICE for plain clients.
	AddCandidate(ctx context.Context, v Viewer, c ICECandidate) error
	Candidates(ctx context.Context, v Viewer) ([]ICECandidate, error)

	// WHEP opens a receive-only playback and gives a resource id and the answer
	// (all candidates in it); PatchWHEP takes trickled candidates as an SDP
	// fragment; CloseWHEP ends it.
	WHEP(ctx context.Context, v Viewer, offer string) (resource, answer string, err error)
	PatchWHEP(ctx context.Context, v Viewer, resource, fragment string) error
	CloseWHEP(ctx context.Context, v Viewer, resource string) error

	// ICEServers gives STUN and TURN servers with credentials for this user,
	// good until at least an hour from now.
	ICEServers(userID string, now time.Time) []ICEServer
	// CloseTicket ends every live connection that came in by the ticket.
	CloseTicket(ticketID string)
	// CloseSession ends every live connection of a session.
	CloseSession(sessionID string)
	// Viewers says how many are attached now.
	Viewers(sessionID string) int
}

// Agents finds the agent of a ready session: ClassConflict "not_ready" while it
// starts, "session_over" when it is over, ClassNotFound when there is none.
type Agents interface {
	Agent(ctx context.Context, sessionID string) (Agent, error)
}
