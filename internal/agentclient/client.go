// Package agentclient is the node's side of the agent protocol: it implements
// vitrine.Agent over any way to dial a machine's agent.
//
// Every call dials anew, speaks one HTTP/1.1 exchange and hangs up; a stream
// keeps its connection. What comes from the machine is hostile: the head of a
// reply, its body, each frame and each field are bounded before they are held,
// and nothing of it is passed on unchecked where it could matter (sizes,
// enumerations, numbers). A write to a machine that does not read ends by a
// deadline, so a stuck guest holds nothing of the node for longer than that.
//
// It may use the dial function and agentproto, and nothing else: no files, no
// log. Errors are the domain's; none holds the secret.
package agentclient

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of what an agent may send and of how long it may take.
const (
	// maxHead is the status line and header of a reply in bytes; ours has 300.
	maxHead = 16 << 10
	// maxErrorText is how much of an agent's own words an error quotes.
	maxErrorText = 300
	// openTime bounds the opening of a stream when ctx is longer.
	openTime = 20 * time.Second
	// streamWriteTime bounds one write on a stream.
	streamWriteTime = 10 * time.Second
	// videoSilence is how long a video stream may say nothing before it counts
	// as dead: it sends a heartbeat every agentproto.HeartbeatInterval.
	videoSilence = 15 * agentproto.HeartbeatInterval
	// execSlack is what an exec may take over its own timeout: start, kill of
	// its tree, reply.
	execSlack = 15 * time.Second
)

// Client is the node's hold on one machine's agent. It is safe for use from any
// goroutine.
type Client struct {
	dial   func(context.Context) (net.Conn, error)
	secret string
}

var _ vitrine.Agent = (*Client)(nil)

// New makes a client. dial opens a connection to the agent, once per call;
// secret is the machine's, as its agentproto.Config has it.
func New(dial func(context.Context) (net.Conn, error), secret string) *Client {
	return &Client{dial: dial, secret: secret}
}

// Health asks the agent how the machine is. An agent of another protocol is a
// Failure with FailAgentVersionMismatch, here as in every other call.
func (c *Client) Health(ctx context.Context) (vitrine.AgentHealth, error) {
	var h agentproto.Health
	if err := c.call(ctx, http.MethodGet, agentproto.PathHealth, nil, &h); err != nil {
		return vitrine.AgentHealth{}, err
	}
	return healthOf(h)
}

// Exec runs a command in the machine and waits for it. A command that does not
// exist has exit code 127, as in a shell.
func (c *Client) Exec(ctx context.Context, req vitrine.ExecRequest) (vitrine.ExecResult, error) {
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout+execSlack)
		defer cancel()
	}
	var out agentproto.ExecResult
	err := c.call(ctx, http.MethodPost, agentproto.PathExec, agentproto.ExecRequest{
		Command: req.Command, Cwd: req.Cwd, Env: req.Env, Stdin: req.Stdin,
		TimeoutMS: req.Timeout.Milliseconds(), User: req.User,
	}, &out)
	if err != nil {
		return vitrine.ExecResult{}, err
	}
	return execOf(out), nil
}

// Screenshot gives the desktop as PNG, at most agentproto.MaxScreenshot bytes.
func (c *Client) Screenshot(ctx context.Context) ([]byte, error) {
	body, err := c.exchange(ctx, http.MethodGet, agentproto.PathScreenshot, nil, agentproto.MaxScreenshot)
	if err != nil {
		return nil, err
	}
	if len(body) < len(pngMagic) || string(body[:len(pngMagic)]) != pngMagic {
		return nil, malformed("a screenshot that is not a PNG")
	}
	return body, nil
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// Resize sets the desktop's size.
func (c *Client) Resize(ctx context.Context, v vitrine.Viewport) error {
	if !v.Valid() {
		return vitrine.Errorf(vitrine.ClassInvalid, "invalid_viewport", "a desktop cannot have %d x %d pixels", v.Width, v.Height)
	}
	var got agentproto.Size
	return c.call(ctx, http.MethodPost, agentproto.PathResize, agentproto.Size{Width: v.Width, Height: v.Height}, &got)
}

// OpenVideo starts an encoder for one codec.
func (c *Client) OpenVideo(ctx context.Context, codec vitrine.Codec) (vitrine.Video, error) {
	s, err := c.open(ctx, agentproto.PathVideo+"?"+url.Values{"codec": {string(codec)}}.Encode())
	if err != nil {
		return nil, err
	}
	s.silence = videoSilence
	return &video{stream: s, codec: codec}, nil
}

// OpenControl opens the channel for input, cursor, clipboard and size.
func (c *Client) OpenControl(ctx context.Context) (vitrine.Control, error) {
	s, err := c.open(ctx, agentproto.PathControl)
	if err != nil {
		return nil, err
	}
	return &control{stream: s}, nil
}

// OpenCDP opens a stream of whole DevTools messages to a browser session of its
// own.
func (c *Client) OpenCDP(ctx context.Context) (vitrine.MessageStream, error) {
	s, err := c.open(ctx, agentproto.PathCDP)
	if err != nil {
		return nil, err
	}
	return &messages{stream: s}, nil
}
