package cdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Bounds of a mux.
const (
	// MaxClients is how many clients may be in at a time.
	MaxClients = 16
	// maxPending is how many commands of one client may be under way.
	maxPending = 4096
	// writeTime is how long Chromium may leave the pipe full. It reads on a
	// thread of its own, so a full pipe means that it is stopped or dying.
	writeTime = 20 * time.Second
)

// ErrClosed is what calls get when the pipe is closed: Chromium has left.
var ErrClosed = errors.New("the DevTools pipe is closed")

// pending is a command under way. deliver is called at most once, from the
// reader, with the reply.
type pending struct {
	owner   *client // nil for the mux's own
	id      int64   // as the owner numbered it
	session string  // as the owner named it, "" for its root
	via     string  // the session on the pipe
	deliver func(message)
}

// Mux is the one speaker on a pipe.
type Mux struct {
	log  *slog.Logger
	r    io.ReadCloser
	w    io.WriteCloser
	done chan struct{}
	end  func()

	wmu sync.Mutex // one message at a time on w

	mu       sync.Mutex
	nextID   int64
	pending  map[int64]pending
	sessions map[string]*client // every session of a client, its root too
	clients  map[*client]bool
}

// New speaks on a pipe from (r) and to (w) Chromium, which it closes when
// either end breaks or Close is called.
func New(r io.ReadCloser, w io.WriteCloser, log *slog.Logger) *Mux {
	m := &Mux{
		log: log, r: r, w: w, done: make(chan struct{}),
		pending:  make(map[int64]pending),
		sessions: make(map[string]*client),
		clients:  make(map[*client]bool),
	}
	m.end = sync.OnceFunc(m.shut)
	go m.read()
	return m
}

// Done is closed when the pipe is.
func (m *Mux) Done() <-chan struct{} { return m.done }

// Close closes the pipe; clients and calls end.
func (m *Mux) Close() { m.end() }

func (m *Mux) shut() {
	close(m.done)
	_ = m.r.Close()
	_ = m.w.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.clients {
		c.fail(ErrClosed)
	}
	clear(m.pending)
	clear(m.sessions)
}

// Call sends a command of the agent's own and gives its result. session is ""
// for the browser.
func (m *Mux) Call(ctx context.Context, session, method string, params any) (json.RawMessage, error) {
	var raw json.RawMessage
	if params != nil {
		var err error
		if raw, err = json.Marshal(params); err != nil {
			return nil, fmt.Errorf("call %s: %w", method, err)
		}
	}
	got := make(chan message, 1)
	id, err := m.send(pending{deliver: func(r message) { got <- r }}, message{SessionID: session, Method: method, Params: raw})
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	defer m.forget(id)
	select {
	case r := <-got:
		if len(r.Error) > 0 {
			return nil, fmt.Errorf("call %s: Chromium answered %.200s", method, r.Error)
		}
		return r.Result, nil
	case <-m.done:
		return nil, fmt.Errorf("call %s: %w", method, ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("call %s: %w", method, ctx.Err())
	}
}

// send numbers a command, notes who waits for it and writes it.
func (m *Mux) send(p pending, msg message) (int64, error) {
	m.mu.Lock()
	m.nextID++
	id := m.nextID
	m.pending[id] = p
	m.mu.Unlock()
	msg.ID = &id
	if err := m.write(append(msg.encode(), 0)); err != nil {
		m.forget(id)
		return 0, err
	}
	return id, nil
}

func (m *Mux) forget(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pending, id)
}

func (m *Mux) write(data []byte) error {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	select {
	case <-m.done:
		return ErrClosed
	default:
	}
	if f, ok := m.w.(*os.File); ok {
		_ = f.SetWriteDeadline(time.Now().Add(writeTime))
	}
	if _, err := m.w.Write(data); err != nil {
		// Half a message may be in the pipe: it cannot be used further.
		m.end()
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}

// read hands on what Chromium says until the pipe ends.
func (m *Mux) read() {
	defer m.end()
	s := newScanner(m.r, MaxMessage-1024) // room for an id of the client's own
	for {
		data, err := s.next()
		if errors.Is(err, errTooLarge) {
			m.tooLarge(data)
			continue
		}
		if err != nil {
			return
		}
		msg, err := parse(data)
		if err != nil {
			m.log.Warn("Chromium sent what is not a DevTools message", "bytes", len(data))
			continue
		}
		if msg.ID != nil {
			m.reply(*msg.ID, msg)
		} else {
			m.event(msg)
		}
	}
}

// tooLarge answers a command whose reply is over the bound.
func (m *Mux) tooLarge(head []byte) {
	m.log.Warn("a DevTools message over the bound was left out", "max_bytes", MaxMessage)
	if id, ok := headID(head); ok {
		body := json.RawMessage(fmt.Sprintf(`{"code":%d,"message":"the reply has more than %d bytes"}`, codeServerError, MaxMessage))
		m.reply(id, message{Error: body})
	}
}

// reply gives a reply to who waits for it, if still anybody does.
func (m *Mux) reply(id int64, msg message) {
	m.mu.Lock()
	p, ok := m.pending[id]
	delete(m.pending, id)
	if ok && p.owner != nil {
		p.owner.pending--
	}
	m.mu.Unlock()
	if ok {
		p.deliver(msg)
	}
}

// abandon forgets the commands under way in a session that has ended: Chromium
// does not answer them any more. m.mu is held.
func (m *Mux) abandon(c *client, session string) {
	for id, p := range m.pending {
		if p.owner == c && p.via == session {
			delete(m.pending, id)
			c.pending--
		}
	}
}

// event gives an event to the client whose session it is of, and keeps account
// of sessions that come and go.
func (m *Mux) event(msg message) {
	m.mu.Lock()
	owner := m.sessions[msg.SessionID]
	if msg.SessionID == "" {
		owner = nil
	}
	switch msg.Method {
	case "Target.attachedToTarget":
		if child := sessionOf(msg.Params); owner != nil && child != "" && m.sessions[child] == nil {
			m.sessions[child] = owner
		}
	case "Target.detachedFromTarget":
		child := sessionOf(msg.Params)
		c := m.sessions[child]
		switch {
		case c != nil && c.root == child:
			c.fail(errors.New("the browser ended the session"))
		case c != nil && c == owner:
			delete(m.sessions, child)
			m.abandon(c, child)
		}
	}
	m.mu.Unlock()
	if owner == nil {
		return // an answer to what the agent itself attached
	}
	if msg.SessionID == owner.root {
		msg.SessionID = ""
	}
	owner.deliver(msg.encode())
}
