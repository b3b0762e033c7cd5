package cdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what waits for a client that reads slowly. Bytes may pass the bound
// by one message, or no large one could ever be delivered.
const (
	maxQueue      = 8192
	maxQueueBytes = 64 << 20
)

// attachTime is how long Chromium may take to give a client its session.
const attachTime = 15 * time.Second

// errLeft ends a client that asked for it.
var errLeft = errors.New("the client closed")

// Stream is a client's side: whole messages both ways. Close unblocks both
// other methods; WriteMessage bounds its own time and may be called from several
// goroutines.
type Stream interface {
	ReadMessage() ([]byte, error)
	WriteMessage([]byte) error
	Close() error
}

// client is one client. pending and root are guarded by Mux.mu.
type client struct {
	stream  Stream
	root    string
	pending int

	gone   chan struct{}
	once   sync.Once
	reason error

	mu     sync.Mutex
	queue  [][]byte
	bytes  int
	queued chan struct{} // holds one token when queue is not empty
}

// fail ends the client; the first reason stands.
func (c *client) fail(err error) {
	c.once.Do(func() {
		c.reason = err
		close(c.gone)
		_ = c.stream.Close()
	})
}

// deliver queues a message for the client and never waits for it.
func (c *client) deliver(data []byte) {
	c.mu.Lock()
	over := len(c.queue) >= maxQueue || c.bytes > maxQueueBytes
	if !over {
		c.queue = append(c.queue, data)
		c.bytes += len(data)
	}
	c.mu.Unlock()
	if over {
		c.fail(fmt.Errorf("the client does not read: %d messages wait", maxQueue))
		return
	}
	select {
	case c.queued <- struct{}{}:
	default:
	}
}

// pump writes what is queued until the client ends.
func (c *client) pump() {
	for {
		c.mu.Lock()
		batch := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, data := range batch {
			if err := c.stream.WriteMessage(data); err != nil {
				c.fail(err)
				return
			}
			c.mu.Lock()
			c.bytes -= len(data)
			c.mu.Unlock()
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-c.queued:
		case <-c.gone:
			return
		}
	}
}

// Serve lets a client in until it leaves, breaks a bound, or ctx or the pipe
// ends; it closes the stream and says why it ended.
func (m *Mux) Serve(ctx context.Context, s Stream) error {
	c := &client{stream: s, gone: make(chan struct{}), queued: make(chan struct{}, 1)}
	defer c.fail(errLeft)
	if err := m.admit(c); err != nil {
		return err
	}
	defer m.release(c)
	if err := m.attach(ctx, c); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })()
	var pumped sync.WaitGroup
	pumped.Go(c.pump)
	defer pumped.Wait()
	defer c.fail(errLeft)
	for {
		data, err := s.ReadMessage()
		if err != nil {
			c.fail(err)
			return c.reason
		}
		if err := m.command(c, data); err != nil {
			c.fail(err)
			return c.reason
		}
	}
}

func (m *Mux) admit(c *client) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.clients) >= MaxClients {
		return fmt.Errorf("%d DevTools clients are in already", MaxClients)
	}
	select {
	case <-m.done:
		return ErrClosed
	default:
	}
	m.clients[c] = true
	return nil
}

// attach gets the client its browser session. It is noted as the client's by
// the reader, before the reader sees any message of it.
func (m *Mux) attach(ctx context.Context, c *client) error {
	got := make(chan error, 1)
	id, err := m.send(pending{deliver: func(r message) {
		session := sessionOf(r.Result)
		if session == "" {
			got <- fmt.Errorf("attach to the browser: Chromium answered %.200s", r.Error)
			return
		}
		m.mu.Lock()
		c.root = session
		if m.clients[c] {
			m.sessions[session] = c
		}
		m.mu.Unlock()
		got <- nil
	}}, message{Method: "Target.attachToBrowserTarget"})
	if err != nil {
		return err
	}
	defer m.forget(id)
	late := time.NewTimer(attachTime)
	defer late.Stop()
	select {
	case err := <-got:
		return err
	case <-late.C:
		return fmt.Errorf("attach to the browser: no answer in %s", attachTime)
	case <-ctx.Done():
		return ctx.Err()
	case <-m.done:
		return ErrClosed
	}
}

// release forgets the client and has Chromium detach all that it attached.
func (m *Mux) release(c *client) {
	m.mu.Lock()
	delete(m.clients, c)
	for id, p := range m.pending {
		if p.owner == c {
			delete(m.pending, id)
		}
	}
	for session, owner := range m.sessions {
		if owner == c {
			delete(m.sessions, session)
		}
	}
	root := c.root
	m.mu.Unlock()
	if root == "" {
		return
	}
	params, _ := json.Marshal(map[string]string{"sessionId": root}) // strings always marshal
	_, _ = m.send(pending{deliver: func(message) {}}, message{Method: "Target.detachFromTarget", Params: params})
}

// command hands one command of the client to Chromium, or answers it here. An
// error ends the client.
func (m *Mux) command(c *client, data []byte) error {
	msg, err := parseCommand(data)
	if err != nil {
		c.deliver(failure(nil, "", codeInvalidRequest, err.Error()))
		return nil
	}
	if msg.Method == "Browser.close" {
		_ = c.stream.WriteMessage(message{ID: msg.ID, SessionID: msg.SessionID, Result: json.RawMessage("{}")}.encode())
		return errLeft
	}
	named := msg.SessionID
	m.mu.Lock()
	if msg.SessionID == "" {
		msg.SessionID = c.root
	}
	owned := m.sessions[msg.SessionID] == c
	full := c.pending >= maxPending
	if owned && !full {
		c.pending++
	}
	m.mu.Unlock()
	switch {
	case !owned:
		c.deliver(failure(msg.ID, named, codeSessionNotFound, "Session with given id not found."))
		return nil
	case full:
		c.deliver(failure(msg.ID, named, codeServerError, fmt.Sprintf("%d commands are under way already", maxPending)))
		return nil
	}
	p := pending{owner: c, id: *msg.ID, session: named, via: msg.SessionID}
	p.deliver = func(r message) {
		c.deliver(message{ID: &p.id, SessionID: p.session, Result: r.Result, Error: r.Error}.encode())
	}
	_, err = m.send(p, msg)
	return err
}
