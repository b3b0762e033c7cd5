package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// How long a call may take. Configuration is answered in a millisecond or two,
// also on a busy host; a start reads kernel and initramfs; a snapshot writes the
// guest's memory to a disk that others use.
const (
	callLimit     = 5 * time.Second
	startLimit    = 20 * time.Second
	snapshotLimit = 2 * time.Minute
)

// maxReply bounds a reply, maxFault the text that is kept of a refusal; in bytes.
const (
	maxReply = 64 << 10
	maxFault = 600
)

// Error is a call that Firecracker refused.
type Error struct {
	Call   string // such as "PUT /machine-config"
	Status int    // of HTTP
	Fault  string // its fault_message
}

func (e *Error) Error() string {
	return fmt.Sprintf("firecracker refuses %s (%d): %s", e.Call, e.Status, e.Fault)
}

// Client makes calls over one connection at a time. It may be used from any
// goroutine.
type Client struct{ http http.Client }

// New makes a client of the Firecracker that dial connects to.
func New(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxConnsPerHost:        1, // it serves ten
		MaxResponseHeaderBytes: maxReply,
		DisableCompression:     true,
	}}}
}

// Close closes the connection that is kept for the next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Info asks who is there.
func (c *Client) Info(ctx context.Context) (out InstanceInfo, err error) {
	return out, c.call(ctx, callLimit, http.MethodGet, "/", nil, &out)
}

// PutMachineConfig sets processors and memory.
func (c *Client) PutMachineConfig(ctx context.Context, b MachineConfig) error {
	return c.put(ctx, "/machine-config", b)
}

// PutCPUConfig changes what the guest is told of its processor; the JSON is
// Firecracker's CpuConfig.
func (c *Client) PutCPUConfig(ctx context.Context, b json.RawMessage) error {
	return c.put(ctx, "/cpu-config", b)
}

// PutBootSource sets kernel, initramfs and arguments.
func (c *Client) PutBootSource(ctx context.Context, b BootSource) error {
	return c.put(ctx, "/boot-source", b)
}

// PutDrive adds a drive. The guest sees them in the order they were added.
func (c *Client) PutDrive(ctx context.Context, b Drive) error {
	return c.put(ctx, "/drives/"+url.PathEscape(b.ID), b)
}

// PutNetworkInterface adds a network card.
func (c *Client) PutNetworkInterface(ctx context.Context, b NetworkInterface) error {
	return c.put(ctx, "/network-interfaces/"+url.PathEscape(b.ID), b)
}

// PutVsock adds the channel between host and guest.
func (c *Client) PutVsock(ctx context.Context, b Vsock) error { return c.put(ctx, "/vsock", b) }

// PutBalloon adds the balloon.
func (c *Client) PutBalloon(ctx context.Context, b Balloon) error { return c.put(ctx, "/balloon", b) }

// PutEntropy adds a source of random bytes.
func (c *Client) PutEntropy(ctx context.Context, b Entropy) error { return c.put(ctx, "/entropy", b) }

// PutSerial bounds the serial console.
func (c *Client) PutSerial(ctx context.Context, b Serial) error { return c.put(ctx, "/serial", b) }

// Start boots the guest.
func (c *Client) Start(ctx context.Context) error {
	return c.call(ctx, startLimit, http.MethodPut, "/actions", action{"InstanceStart"}, nil)
}

// FlushMetrics writes the metrics now; by itself it does so once a minute.
func (c *Client) FlushMetrics(ctx context.Context) error {
	return c.put(ctx, "/actions", action{"FlushMetrics"})
}

// Pause stops the guest's processors.
func (c *Client) Pause(ctx context.Context) error {
	return c.call(ctx, callLimit, http.MethodPatch, "/vm", vmState{"Paused"}, nil)
}

// Resume lets them go on.
func (c *Client) Resume(ctx context.Context) error {
	return c.call(ctx, callLimit, http.MethodPatch, "/vm", vmState{"Resumed"}, nil)
}

// CreateSnapshot writes a paused machine to two files.
func (c *Client) CreateSnapshot(ctx context.Context, b SnapshotCreate) error {
	return c.call(ctx, snapshotLimit, http.MethodPut, "/snapshot/create", b, nil)
}

// LoadSnapshot makes a Firecracker that was told nothing yet into the machine of
// a snapshot.
func (c *Client) LoadSnapshot(ctx context.Context, b SnapshotLoad) error {
	return c.call(ctx, startLimit, http.MethodPut, "/snapshot/load", b, nil)
}

func (c *Client) put(ctx context.Context, path string, body any) error {
	return c.call(ctx, callLimit, http.MethodPut, path, body, nil)
}

func (c *Client) call(ctx context.Context, limit time.Duration, method, path string, in, out any) error {
	name := method + " " + path
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("firecracker did not answer in %s", limit))
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", name, why(ctx, err))
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", name, why(ctx, err))
	}
	if len(reply) > maxReply {
		return fmt.Errorf("%s: the answer is longer than %d bytes", name, maxReply)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return &Error{Call: name, Status: resp.StatusCode, Fault: fault(reply)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", name, err)
	}
	return nil
}

// why names the deadline that passed, which net/http does not.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// fault is the text of a refusal, on one line.
func fault(reply []byte) string {
	var e struct {
		Fault string `json:"fault_message"`
	}
	text := string(reply)
	if json.Unmarshal(reply, &e) == nil && e.Fault != "" {
		text = e.Fault
	}
	return Printable(text, maxFault)
}

// Printable is text from the other side as it may be shown: one line, no control
// characters, at most limit bytes.
func Printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
