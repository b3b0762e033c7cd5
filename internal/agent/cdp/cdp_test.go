package cdp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// chromium plays Chromium's end of the pipe: it gives browser sessions, and
// answers everything else by naming what it was asked.
type chromium struct {
	t   *testing.T
	out io.Writer // to the mux
	mu  sync.Mutex
	n   int
	saw chan message
}

func startChromium(t *testing.T) (*chromium, *Mux) {
	fromR, fromW := io.Pipe()
	toR, toW := io.Pipe()
	c := &chromium{t: t, out: fromW, saw: make(chan message, 1000)}
	m := New(fromR, toW, slog.New(slog.DiscardHandler))
	go func() {
		s := newScanner(toR, MaxMessage)
		for {
			data, err := s.next()
			if err != nil {
				return
			}
			msg, err := parse(data)
			if err != nil {
				t.Errorf("the mux wrote %q", data)
				return
			}
			c.answer(msg)
		}
	}()
	t.Cleanup(m.Close)
	return c, m
}

func (c *chromium) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\x00", args...)
}

func (c *chromium) answer(m message) {
	switch m.Method {
	case "Target.attachToBrowserTarget":
		c.n++
		c.say(`{"method":"Target.attachedToTarget","params":{"sessionId":"B%d"}}`, c.n)
		c.say(`{"id":%d,"result":{"sessionId":"B%d"}}`, *m.ID, c.n)
	case "Target.attachToTarget":
		c.say(`{"method":"Target.attachedToTarget","params":{"sessionId":"P-%s"},"sessionId":%q}`, m.SessionID, m.SessionID)
		c.say(`{"id":%d,"result":{"sessionId":"P-%s"},"sessionId":%q}`, *m.ID, m.SessionID, m.SessionID)
	case "Never.answers":
	default:
		c.say(`{"id":%d,"result":{"asked":%q,"in":%q},"sessionId":%q}`, *m.ID, m.Method, m.SessionID, m.SessionID)
	}
	c.saw <- m
}

// tab is a client's side, in memory.
type tab struct {
	in, out chan []byte
	closed  chan struct{}
	once    sync.Once
}

func newTab() *tab {
	return &tab{in: make(chan []byte), out: make(chan []byte, 100), closed: make(chan struct{})}
}

func (s *tab) ReadMessage() ([]byte, error) {
	select {
	case data := <-s.in:
		return data, nil
	case <-s.closed:
		return nil, io.EOF
	}
}

func (s *tab) WriteMessage(data []byte) error {
	select {
	case s.out <- data:
		return nil
	case <-s.closed:
		return io.ErrClosedPipe
	}
}

func (s *tab) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *tab) ask(t *testing.T, command string) {
	t.Helper()
	select {
	case s.in <- []byte(command):
	case <-s.closed:
		t.Fatal("the client was dropped")
	case <-time.After(5 * time.Second):
		t.Fatal("nobody reads from the client")
	}
}

func (s *tab) hear(t *testing.T) string {
	t.Helper()
	select {
	case data := <-s.out:
		return string(data)
	case <-time.After(5 * time.Second):
		t.Fatal("the client hears nothing")
		return ""
	}
}

func (s *tab) serve(t *testing.T, m *Mux) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(t.Context(), s) }()
	return ended
}

func TestTwoClientsWithTheSameIDsHearTheirOwnAnswers(t *testing.T) {
	_, m := startChromium(t)
	a, b := newTab(), newTab()
	a.serve(t, m)
	a.ask(t, `{"id":1,"method":"First.of"}`)
	if got, want := a.hear(t), `{"id":1,"result":{"asked":"First.of","in":"B1"}}`; got != want {
		t.Fatalf("a heard %s, want %s", got, want)
	}
	b.serve(t, m)
	b.ask(t, `{"id":1,"method":"Second.of"}`)
	if got, want := b.hear(t), `{"id":1,"result":{"asked":"Second.of","in":"B2"}}`; got != want {
		t.Fatalf("b heard %s, want %s", got, want)
	}
}

func TestAnEventGoesToTheClientWhoseSessionItIs(t *testing.T) {
	c, m := startChromium(t)
	a, b := newTab(), newTab()
	a.serve(t, m)
	a.ask(t, `{"id":7,"method":"Target.attachToTarget","params":{"targetId":"x"}}`)
	if got, want := a.hear(t), `{"method":"Target.attachedToTarget","params":{"sessionId":"P-B1"}}`; got != want {
		t.Fatalf("a heard %s, want %s", got, want)
	}
	a.hear(t)
	b.serve(t, m)
	b.ask(t, `{"id":1,"method":"Hello"}`)
	b.hear(t)
	c.say(`{"method":"Page.loaded","params":{},"sessionId":"P-B1"}`)
	c.say(`{"method":"Target.crashed","params":{},"sessionId":"B1"}`)
	if got, want := a.hear(t), `{"method":"Page.loaded","params":{},"sessionId":"P-B1"}`; got != want {
		t.Errorf("a heard %s, want %s", got, want)
	}
	if got, want := a.hear(t), `{"method":"Target.crashed","params":{}}`; got != want {
		t.Errorf("a heard %s, want %s", got, want)
	}
	b.ask(t, `{"id":2,"method":"Page.reload","sessionId":"P-B1"}`)
	if got := b.hear(t); !strings.Contains(got, "-32001") || !strings.Contains(got, `"id":2`) {
		t.Errorf("b spoke in a's session and heard %s", got)
	}
	b.ask(t, `{"id":3,"method":"Page.reload","sessionId":"B1"}`)
	if got := b.hear(t); !strings.Contains(got, "-32001") {
		t.Errorf("b spoke in a's browser session and heard %s", got)
	}
}

func TestAClientThatLeavesIsDetached(t *testing.T) {
	c, m := startChromium(t)
	a := newTab()
	ended := a.serve(t, m)
	a.ask(t, `{"id":1,"method":"Never.answers"}`)
	a.ask(t, `{"id":2,"method":"Target.attachToTarget","params":{}}`)
	a.hear(t)
	a.hear(t)
	_ = a.Close()
	<-ended
	for msg := range c.saw {
		if msg.Method == "Target.detachFromTarget" {
			if sessionOf(msg.Params) != "B1" {
				t.Errorf("detached %s", msg.Params)
			}
			break
		}
	}
	if _, err := m.Call(t.Context(), "", "Browser.getVersion", nil); err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pending) != 0 || len(m.sessions) != 0 || len(m.clients) != 0 {
		t.Errorf("left behind: %d commands, %d sessions, %d clients", len(m.pending), len(m.sessions), len(m.clients))
	}
}

func TestBrowserCloseEndsTheClientAndNotTheBrowser(t *testing.T) {
	c, m := startChromium(t)
	a := newTab()
	ended := a.serve(t, m)
	a.ask(t, `{"id":5,"method":"Browser.close"}`)
	if got := a.hear(t); got != `{"id":5,"result":{}}` {
		t.Errorf("heard %s", got)
	}
	<-ended
	if _, err := m.Call(t.Context(), "", "Browser.getVersion", nil); err != nil {
		t.Fatal(err)
	}
	for len(c.saw) > 0 {
		if msg := <-c.saw; msg.Method == "Browser.close" {
			t.Error("the browser was closed")
		}
	}
}

func TestNonsenseIsAnsweredAndDoesNotReachTheBrowser(t *testing.T) {
	c, m := startChromium(t)
	a := newTab()
	a.serve(t, m)
	for _, bad := range []string{``, `{`, `[]`, `"x"`, `{"method":"A.b"}`, `{"id":1}`, `{"id":"1","method":"A.b"}`, `{"id":1.5,"method":"A.b"}`, `{"id":1e300,"method":"A.b"}`} {
		a.ask(t, bad)
		if got := a.hear(t); !strings.Contains(got, "-32600") {
			t.Errorf("%q was answered by %s", bad, got)
		}
	}
	for len(c.saw) > 0 {
		if msg := <-c.saw; msg.Method != "Target.attachToBrowserTarget" {
			t.Errorf("the browser saw %v", msg)
		}
	}
}

func TestAClientThatDoesNotReadIsDropped(t *testing.T) {
	c, m := startChromium(t)
	a := newTab()
	a.out = make(chan []byte)
	ended := a.serve(t, m)
	a.ask(t, `{"id":1,"method":"Hello"}`)
	a.hear(t)
	body := strings.Repeat("x", 8<<20)
	go func() {
		for range 16 {
			c.say(`{"method":"Page.frame","params":"%s","sessionId":"B1"}`, body)
		}
	}()
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "does not read") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it is still in")
	}
}

func TestTheSeventeenthClientIsRefused(t *testing.T) {
	_, m := startChromium(t)
	for range MaxClients {
		s := newTab()
		s.serve(t, m)
		s.ask(t, `{"id":1,"method":"Hello"}`)
		s.hear(t)
	}
	if err := m.Serve(t.Context(), newTab()); err == nil {
		t.Error("it was let in")
	}
}

func TestWhenChromiumLeavesEveryoneIsTold(t *testing.T) {
	_, m := startChromium(t)
	a := newTab()
	ended := a.serve(t, m)
	a.ask(t, `{"id":1,"method":"Hello"}`)
	a.hear(t)
	m.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("the client ended with %v", err)
	}
	if _, err := m.Call(context.Background(), "", "Browser.getVersion", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a call ended with %v", err)
	}
}

func TestAReplyOverTheBoundIsAnErrorAndNotAStop(t *testing.T) {
	s := newScanner(strings.NewReader(`{"id":12,"result":"`+strings.Repeat("x", 1000)+"\"}\x00"+`{"id":13}`+"\x00"), 100)
	head, err := s.next()
	if !errors.Is(err, errTooLarge) || len(head) > keepHead {
		t.Fatalf("%d bytes, %v", len(head), err)
	}
	if id, ok := headID(head); !ok || id != 12 {
		t.Errorf("its id is %d, %v", id, ok)
	}
	if data, err := s.next(); err != nil || string(data) != `{"id":13}` {
		t.Errorf("then %q, %v", data, err)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte("{}\x00{\"id\":1}\x00"), 10)
	f.Add([]byte("\x00\x00"), 1)
	f.Add([]byte(`{"id":5,`+strings.Repeat("y", 200)+"\x00x"), 16)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = min(max(limit, 1), 1<<20)
		s := newScanner(bytes.NewReader(data), limit)
		for {
			msg, err := s.next()
			switch {
			case errors.Is(err, errTooLarge):
				if len(msg) > keepHead {
					t.Fatalf("kept %d bytes", len(msg))
				}
				headID(msg)
			case err != nil:
				return
			case len(msg) > limit || bytes.IndexByte(msg, 0) >= 0:
				t.Fatalf("message of %d bytes", len(msg))
			}
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte(`{"id":1,"method":"Page.navigate","params":{"url":"about:blank"},"sessionId":"S"}`))
	f.Add([]byte(`{"ID":1,"id":2,"method":"a\u0000b","params":[1,2]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := parseCommand(data)
		if err != nil {
			return
		}
		out := msg.encode()
		if bytes.IndexByte(out, 0) >= 0 {
			t.Fatalf("%q would be two messages", out)
		}
		var back message
		if err := json.Unmarshal(out, &back); err != nil || *back.ID != *msg.ID || back.Method != msg.Method || back.SessionID != msg.SessionID {
			t.Fatalf("%q became %q (%v)", data, out, err)
		}
	})
}
