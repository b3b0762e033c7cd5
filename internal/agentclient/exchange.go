package agentclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// call exchanges JSON.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("ask the agent for %s: %w", path, err)
		}
		if len(body) > agentproto.MaxJSON {
			return vitrine.Errorf(vitrine.ClassTooLarge, "too_large", "the request has %d bytes, at most %d can be given to a machine", len(body), agentproto.MaxJSON)
		}
	}
	reply, err := c.exchange(ctx, method, path, body, agentproto.MaxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return malformed("a reply to %s that is not JSON of the right form", path)
	}
	return nil
}

// exchange sends one request and gives the body of its 200 reply, at most limit
// bytes. It ends with ctx.
func (c *Client) exchange(ctx context.Context, method, path string, body []byte, limit int64) ([]byte, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer bind(ctx, conn)()
	a, err := c.ask(conn, method, path, body, false)
	if err != nil {
		return nil, explain(ctx, path, err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, a.refusal(path)
	}
	// Chunk heads and trailers count: nothing of the reply is read past this.
	a.limit.N = limit + maxHead
	data, err := io.ReadAll(io.LimitReader(a.Body, limit+1))
	if err != nil && a.limit.N > 0 {
		return nil, explain(ctx, path, err)
	}
	if int64(len(data)) > limit || a.limit.N <= 0 {
		return nil, malformed("a reply to %s of more than %d bytes", path, limit)
	}
	return data, nil
}

// answer is the head of a reply, and where the rest of it is read from: at most
// limit.N bytes more, by way of the buffer that the head was read through.
type answer struct {
	*http.Response
	buffer *bufio.Reader
	limit  *io.LimitedReader
}

// connect dials. A dial's own error of the domain stands.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	conn, err := c.dial(ctx)
	if err == nil {
		return conn, nil
	}
	var known *vitrine.Error
	if errors.As(err, &known) {
		return nil, err
	}
	return nil, vitrine.Errorf(vitrine.ClassUnavailable, "agent_unreachable", "the machine's agent cannot be reached").WithCause(err)
}

// bind makes conn end with ctx, until the function it gives is called.
// That is false when ctx came first.
func bind(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// ask writes the request and reads the head of the reply, and checks that it is
// of our protocol. The answer's limit stands at what is left of maxHead.
func (c *Client) ask(conn net.Conn, method, path string, body []byte, upgrade bool) (answer, error) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer %s\r\n", method, path, c.secret)
	if upgrade {
		fmt.Fprintf(&head, "Connection: Upgrade\r\nUpgrade: %s\r\n", agentproto.UpgradeStream)
	} else {
		fmt.Fprintf(&head, "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	head.WriteString("\r\n")
	head.Write(body)
	if _, err := conn.Write(head.Bytes()); err != nil {
		return answer{}, err
	}
	limit := &io.LimitedReader{R: conn, N: maxHead}
	buffer := bufio.NewReaderSize(limit, 32<<10)
	resp, err := http.ReadResponse(buffer, &http.Request{Method: method})
	if err != nil {
		if limit.N <= 0 {
			err = malformed("the head of a reply of more than %d bytes", maxHead)
		}
		return answer{}, err
	}
	if got := resp.Header.Get(agentproto.HeaderProtocol); got != agentproto.Version {
		_ = resp.Body.Close()
		return answer{}, mismatch(got)
	}
	return answer{Response: resp, buffer: buffer, limit: limit}, nil
}

// open opens a stream. The connection outlives ctx, which bounds the opening.
func (c *Client) open(ctx context.Context, path string) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	release := bind(ctx, conn)
	a, err := c.ask(conn, http.MethodGet, path, nil, true)
	if err != nil {
		_ = conn.Close()
		return nil, explain(ctx, path, err)
	}
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Upgrade") != agentproto.UpgradeStream {
		defer conn.Close()
		return nil, a.refusal(path)
	}
	if !release() { // the deadline is set already
		_ = conn.Close()
		return nil, explain(ctx, path, ctx.Err())
	}
	a.limit.N = math.MaxInt64
	return &stream{conn: conn, r: a.buffer}, nil
}

// explain makes the domain's error of a broken exchange.
func explain(ctx context.Context, path string, err error) error {
	var known *vitrine.Error
	if errors.As(err, &known) {
		return err
	}
	path, _, _ = strings.Cut(path, "?")
	if ctx.Err() != nil {
		return vitrine.Errorf(vitrine.ClassTimeout, "agent_timeout", "the machine's agent did not answer %s in time", path).WithCause(ctx.Err())
	}
	return vitrine.Errorf(vitrine.ClassUnavailable, "agent_unreachable", "the machine's agent did not answer %s", path).WithCause(err)
}

// mismatch is the error for an agent of another protocol.
func mismatch(got string) error {
	return vitrine.NewFailure(vitrine.FailAgentVersionMismatch, nil,
		"the agent in the machine speaks protocol %q, this daemon %q", clean(got, 32), agentproto.Version).AsError()
}

// malformed is the error for a reply that breaks the protocol.
func malformed(format string, args ...any) *vitrine.Error {
	return vitrine.Errorf(vitrine.ClassUnavailable, "agent_misbehaved", "the machine's agent sent "+format, args...)
}

// refusal makes the domain's error of a reply that is not a success.
func (a answer) refusal(path string) error {
	path, _, _ = strings.Cut(path, "?")
	a.limit.N = maxHead
	var e agentproto.Error
	if data, err := io.ReadAll(io.LimitReader(a.Body, maxHead)); err == nil {
		_ = json.Unmarshal(data, &e) // its words are a help, not a need
	}
	class, code := vitrine.ClassUnavailable, "agent_refused"
	switch a.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		class, code = vitrine.ClassInvalid, "invalid_request"
	case http.StatusRequestEntityTooLarge:
		class, code = vitrine.ClassTooLarge, "too_large"
	case http.StatusTooManyRequests:
		class, code = vitrine.ClassRateLimited, "machine_busy"
	case http.StatusNotFound:
		class, code = vitrine.ClassConflict, "not_in_this_machine"
	case http.StatusUnauthorized, http.StatusForbidden:
		class, code = vitrine.ClassInternal, "agent_refused"
	}
	words := clean(e.Message, maxErrorText)
	if words == "" {
		words = fmt.Sprintf("status %d", a.StatusCode)
	}
	return vitrine.Errorf(class, code, "the machine's agent refused %s: %s", path, words)
}

// clean makes a guest's text fit to be shown: printable, on one line, at most
// limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, ""))
}
