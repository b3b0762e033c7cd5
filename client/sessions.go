package client

import (
	"context"
	"crypto/rand"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vitrine-dev/vitrine"
)

// CreateOptions is how to create a session.
type CreateOptions struct {
	// Wait answers when the session is ready, or with its failure.
	Wait bool
	// IdempotencyKey tells a retry from a second session. Empty: one is made, so
	// that a call which is made again makes one session only.
	IdempotencyKey string
}

// CreateSession starts a session.
func (c *Client) CreateSession(ctx context.Context, in CreateSession, o CreateOptions) (s Session, err error) {
	if o.IdempotencyKey == "" {
		o.IdempotencyKey = rand.Text()
	}
	r := request{method: http.MethodPost, path: "/v1/sessions", body: in, into: &s, repeat: true, query: wait(o.Wait),
		header: http.Header{"Idempotency-Key": {o.IdempotencyKey}}}
	return s, c.do(ctx, r)
}

// ListOptions narrows a list; zero fields do not.
type ListOptions struct {
	State  vitrine.State
	UserID string
	Limit  int // 1..500; 0 is 50
	Cursor string
}

// ListSessions gives one page, newest first.
func (c *Client) ListSessions(ctx context.Context, o ListOptions) (list SessionList, err error) {
	r := get("/v1/sessions", &list)
	r.query = url.Values{}
	for name, v := range map[string]string{"state": string(o.State), "user_id": o.UserID, "cursor": o.Cursor} {
		if v != "" {
			r.query.Set(name, v)
		}
	}
	if o.Limit > 0 {
		r.query.Set("limit", strconv.Itoa(o.Limit))
	}
	return list, c.do(ctx, r)
}

// AllSessions gives every session page by page, newest first. It ends at the
// first error, which it gives.
func (c *Client) AllSessions(ctx context.Context, o ListOptions) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		for {
			page, err := c.ListSessions(ctx, o)
			if err != nil {
				yield(Session{}, err)
				return
			}
			for _, s := range page.Sessions {
				if !yield(s, nil) {
					return
				}
			}
			if page.NextCursor == nil {
				return
			}
			o.Cursor = *page.NextCursor
		}
	}
}

// Session gives one session.
func (c *Client) Session(ctx context.Context, id string) (s Session, err error) {
	return s, c.do(ctx, get(sessionPath(id, ""), &s))
}

// UpdateSession changes viewport, timeouts or metadata.
func (c *Client) UpdateSession(ctx context.Context, id string, in UpdateSession) (s Session, err error) {
	return s, c.do(ctx, request{method: http.MethodPatch, path: sessionPath(id, ""), body: in, into: &s, repeat: true})
}

// DeleteSession ends a session; with wait, nothing of it is left on the host
// when it returns.
func (c *Client) DeleteSession(ctx context.Context, id string, waitReleased bool) (s Session, err error) {
	return s, c.do(ctx, request{method: http.MethodDelete, path: sessionPath(id, ""), query: wait(waitReleased), into: &s, repeat: true})
}

// Boot gives a session's boot ledger.
func (c *Client) Boot(ctx context.Context, id string) (b Boot, err error) {
	return b, c.do(ctx, get(sessionPath(id, "/boot"), &b))
}

// Console gives the last lines of a machine's console; tail 0 gives all kept.
func (c *Client) Console(ctx context.Context, id string, tail int) (string, error) {
	r := get(sessionPath(id, "/console"), nil)
	if tail > 0 {
		r.query = url.Values{"tail": {strconv.Itoa(tail)}}
	}
	b, _, err := c.fetch(ctx, r)
	return string(b), err
}

// Bundle opens what was kept of a failed session: a gzipped tar of size bytes. The
// caller closes it.
func (c *Client) Bundle(ctx context.Context, id string) (b io.ReadCloser, size int64, err error) {
	resp, err := c.send(ctx, get(sessionPath(id, "/bundle"), nil))
	if err != nil {
		return nil, 0, err
	}
	return resp.Body, resp.ContentLength, nil
}

// Exec runs a command in the machine and waits for it.
func (c *Client) Exec(ctx context.Context, id string, in Exec) (res ExecResult, err error) {
	return res, c.do(ctx, request{method: http.MethodPost, path: sessionPath(id, "/exec"), body: in, into: &res})
}

// Screenshot gives the desktop as PNG.
func (c *Client) Screenshot(ctx context.Context, id string) ([]byte, error) {
	b, _, err := c.fetch(ctx, get(sessionPath(id, "/screenshot"), nil))
	return b, err
}

func sessionPath(id, below string) string { return "/v1/sessions/" + url.PathEscape(id) + below }

func wait(yes bool) url.Values {
	if yes {
		return url.Values{"wait": {"true"}}
	}
	return nil
}
