package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Client calls one daemon. It may be used from any goroutine.
type Client struct {
	base *url.URL
	key  string
	http *http.Client
}

// Option changes a new Client.
type Option func(*Client)

// WithHTTPClient makes calls through hc: for a cookie jar, a proxy or a private
// certificate authority. It must have no Timeout of its own: streams and waiting
// calls are long.
func WithHTTPClient(hc *http.Client) Option { return func(c *Client) { c.http = hc } }

// New makes a client of the daemon at baseURL, such as "http://127.0.0.1:4000",
// with an API key; "" for the calls that need none.
func New(baseURL, key string, opts ...Option) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(baseURL, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the daemon's address must be http:// or https:// and a host, such as http://127.0.0.1:4000")
	}
	c := &Client{base: u, key: key, http: &http.Client{}}
	for _, o := range opts {
		o(c)
	}
	return c, nil
}

// URL is the daemon's address.
func (c *Client) URL() string { return c.base.String() }

// maxReply bounds what is read of a reply: the largest is an exec's two
// mebibytes of output, which JSON can make six times as long.
const maxReply = 16 << 20

// request is one call.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any    // JSON
	raw          []byte // a body of another type, with its Content-Type in header
	repeat       bool   // harmless when made twice
	into         any    // of a JSON reply
}

func get(path string, into any) request {
	return request{method: http.MethodGet, path: path, repeat: true, into: into}
}

// do makes a call and decodes its reply.
func (c *Client) do(ctx context.Context, r request) error {
	b, _, err := c.fetch(ctx, r)
	if err != nil || r.into == nil {
		return err
	}
	if err := json.Unmarshal(b, r.into); err != nil {
		return fmt.Errorf("reading the reply of %s %s: %w", r.method, r.path, err)
	}
	return nil
}

// tries is how often a harmless call is made at most.
const tries = 4

// fetch makes a call, again where that is harmless and can help.
func (c *Client) fetch(ctx context.Context, r request) ([]byte, http.Header, error) {
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			return nil, nil, fmt.Errorf("writing the body of %s %s: %w", r.method, r.path, err)
		}
		r.raw = b
	}
	for n := 1; ; n++ {
		b, h, err := c.once(ctx, r)
		pause, again := retry(err, n)
		if err == nil || !r.repeat || n == tries || !again || ctx.Err() != nil {
			return b, h, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, err
		case <-time.After(pause):
		}
	}
}

// retry says whether another try can help, and when: the daemon was not to be
// reached (it may be starting again), lost its database for a moment, or said too
// many calls.
func retry(err error, n int) (time.Duration, bool) {
	pause := 100 * time.Millisecond << (n - 1)
	var e *Error
	if !errors.As(err, &e) {
		return pause, err != nil
	}
	if e.Class != vitrine.ClassRateLimited && e.Code != "shutting_down" && e.Code != "database_unreachable" {
		return 0, false
	}
	return max(pause, e.RetryAfter), e.RetryAfter <= 5*time.Second
}

func (c *Client) once(ctx context.Context, r request) ([]byte, http.Header, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(b) > maxReply {
		err = fmt.Errorf("it is longer than %d bytes", maxReply)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the reply of %s %s: %w", r.method, r.path, err)
	}
	return b, resp.Header, nil
}

// send makes one request; a reply that is not a success becomes its error.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	u := *c.base
	u.RawPath = u.EscapedPath() + r.path
	u.Path, _ = url.PathUnescape(u.RawPath)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.raw))
	if err != nil {
		return nil, err
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.authorise(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling the daemon at %s: %w", c.base.Redacted(), unwrapURL(err))
	}
	if resp.StatusCode >= 400 {
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what came of it is told
		return nil, readError(resp, b)
	}
	return resp, nil
}

func (c *Client) authorise(h http.Header) {
	if c.key != "" {
		h.Set("Authorization", "Bearer "+c.key)
	}
}

// unwrapURL leaves the address out of a transport's error: its query may hold a
// ticket.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func seconds(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
