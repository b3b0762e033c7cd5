package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// ICEServers gives STUN and TURN servers with short-lived credentials.
func (c *Client) ICEServers(ctx context.Context) ([]vitrine.ICEServer, error) {
	var out api.ICEServers
	err := c.do(ctx, get("/api/webrtc/ice-servers", &out))
	return out.ICEServers, err
}

// Offer sends an SDP offer and gives the answer.
func (c *Client) Offer(ctx context.Context, id, sdp string) (string, error) {
	var out api.SessionDescription
	err := c.do(ctx, request{method: http.MethodPost, path: webrtcPath(id, "offer"), body: api.SessionDescription{SDP: sdp, Type: api.SDPOffer}, into: &out})
	return out.SDP, err
}

// Answer gives the answer to the last offer.
func (c *Client) Answer(ctx context.Context, id string) (string, error) {
	var out api.SessionDescription
	err := c.do(ctx, get(webrtcPath(id, "answer"), &out))
	return out.SDP, err
}

// AddCandidate gives the node one of ours.
func (c *Client) AddCandidate(ctx context.Context, id string, candidate vitrine.ICECandidate) error {
	return c.do(ctx, request{method: http.MethodPost, path: webrtcPath(id, "candidates"), body: api.ICECandidate{ICECandidate: candidate}})
}

// Candidates gives the node's so far.
func (c *Client) Candidates(ctx context.Context, id string) ([]vitrine.ICECandidate, error) {
	var out api.ICECandidates
	err := c.do(ctx, get(webrtcPath(id, "candidates"), &out))
	return out.Candidates, err
}

func webrtcPath(id, what string) string {
	return "/api/webrtc/session/" + url.PathEscape(id) + "/" + what
}

// WHEP opens a playback and gives its path, for PatchWHEP and DeleteWHEP, and
// the SDP answer.
func (c *Client) WHEP(ctx context.Context, id, offer string) (location, answer string, err error) {
	b, h, err := c.fetch(ctx, request{method: http.MethodPost, path: sessionPath(id, "/whep"), raw: []byte(offer),
		header: http.Header{"Content-Type": {"application/sdp"}}})
	return h.Get("Location"), string(b), err
}

// PatchWHEP trickles candidates as an SDP fragment.
func (c *Client) PatchWHEP(ctx context.Context, location, fragment string) error {
	return c.do(ctx, request{method: http.MethodPatch, path: location, raw: []byte(fragment),
		header: http.Header{"Content-Type": {"application/trickle-ice-sdpfrag"}}})
}

// DeleteWHEP ends a playback.
func (c *Client) DeleteWHEP(ctx context.Context, location string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: location})
}

// CDPVersion gives the browser's version, and an address to connect to once.
func (c *Client) CDPVersion(ctx context.Context, id string) (v api.CDPVersion, err error) {
	return v, c.do(ctx, get(sessionPath(id, "/cdp/json/version"), &v))
}

// Dial opens one of a session's sockets: "signal", "vnc" or "cdp". The caller
// closes it.
func (c *Client) Dial(ctx context.Context, id, socket string, query url.Values) (*websocket.Conn, error) {
	u := *c.base
	u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	u.Path += sessionPath(id, "/"+socket)
	u.RawQuery = query.Encode()
	o := &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: http.Header{}}
	if socket == "vnc" {
		o.Subprotocols = []string{"binary"}
	}
	if !query.Has("ticket") {
		c.authorise(o.HTTPHeader)
	}
	conn, resp, err := websocket.Dial(ctx, u.String(), o)
	if err == nil {
		return conn, nil
	}
	if resp != nil && resp.StatusCode >= 400 {
		b := make([]byte, 4096) // all that coder/websocket keeps is a kilobyte
		n, _ := resp.Body.Read(b)
		return nil, readError(resp, b[:n])
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		var uerr *url.Error
		if errors.As(next, &uerr) {
			err = uerr.Err
			break
		}
	}
	return nil, fmt.Errorf("opening the %s socket of %s: %w", socket, id, err)
}
