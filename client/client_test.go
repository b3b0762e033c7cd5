package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// serve starts a server of one handler, which gets the number of the call.
func serve(t *testing.T, h func(n int, w http.ResponseWriter, r *http.Request)) (*client.Client, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(int(calls.Add(1)), w, r) }))
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, "vtr_secret")
	if err != nil {
		t.Fatal(err)
	}
	return c, &calls
}

func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

const limited = `{"error":{"code":"rate_limited","message":"too many","remedy":"wait","retryable":true,"request_id":"req_1"}}`

func TestWhatIsTriedAgain(t *testing.T) {
	exec := func(c *client.Client) error {
		_, err := c.Exec(context.Background(), "ses_1", client.Exec{Command: []string{"true"}})
		return err
	}
	create := func(c *client.Client) error {
		_, err := c.CreateSession(context.Background(), client.CreateSession{Kind: vitrine.KindDesktop}, client.CreateOptions{})
		return err
	}
	for _, c := range []struct {
		name  string
		call  func(*client.Client) error
		fault func(http.ResponseWriter)
		calls int64
		good  bool
	}{
		{"a read, after a cut", func(c *client.Client) error { _, err := c.Version(context.Background()); return err }, cut, 2, true},
		{"a create, after a cut", create, cut, 2, true},
		{"a create, after too many calls", create, func(w http.ResponseWriter) {
			w.WriteHeader(429)
			_, _ = w.Write([]byte(limited))
		}, 2, true},
		{"a create that the daemon refuses", create, func(w http.ResponseWriter) { w.WriteHeader(422) }, 1, false},
		{"a create told to wait an hour", create, func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			_, _ = w.Write([]byte(limited))
		}, 1, false},
		{"a command, which might have run", exec, cut, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := map[string]bool{}
			cl, calls := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				keys[r.Header.Get("Idempotency-Key")] = true
				if n == 1 {
					c.fault(w)
					return
				}
				_, _ = w.Write([]byte(`{}`))
			})
			err := c.call(cl)
			if (err == nil) != c.good || calls.Load() != c.calls {
				t.Errorf("%d calls, want %d; error %v", calls.Load(), c.calls, err)
			}
			if len(keys) != 1 {
				t.Errorf("the idempotency key changed: %v", keys)
			}
			if err != nil && strings.Contains(err.Error(), "vtr_secret") {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestAnAddressThatIsNotTheDaemon(t *testing.T) {
	c, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		_, _ = w.Write([]byte("<html>nginx</html>"))
	})
	_, err := c.Session(context.Background(), "ses_1")
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != "unexpected_reply" || !strings.Contains(e.Message, "502 Bad Gateway") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"127.0.0.1:4000", "ftp://x", "http://", "::"} {
		if _, err := client.New(bad, ""); err == nil {
			t.Errorf("the address %q is taken", bad)
		}
	}
	gone, _ := client.New("http://127.0.0.1:1", "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := gone.Version(ctx); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestEventsGoOnAfterEachCut: each connection gives two events and breaks, one
// in the middle of an event; every event comes once.
func TestEventsGoOnAfterEachCut(t *testing.T) {
	c, calls := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 2 {
			w.WriteHeader(503)
			return
		}
		var last int
		if n > 1 {
			_, _ = fmt.Sscan(r.Header.Get("Last-Event-ID"), &last)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "retry: 1000\nid: %d\n\n: keepalive\n\n", last)
		for i := last + 1; i <= last+2; i++ {
			_, _ = fmt.Fprintf(w, "id: %d\nevent: session.state\ndata: {\"id\":%d,\"type\":\"session.state\"}\n\n", i, i)
		}
		_, _ = fmt.Fprintf(w, "id: %d\ndata: {\"id\":", last+3)
	})
	want := int64(1)
	for e, err := range c.Events(t.Context(), client.EventOptions{}) {
		if err != nil || e.ID != want {
			t.Fatalf("event %d, want %d, %v", e.ID, want, err)
		}
		if want++; want == 6 {
			break
		}
	}
	if calls.Load() != 4 {
		t.Errorf("%d connections", calls.Load())
	}
}

func TestEventsEndAtARefusal(t *testing.T) {
	c, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		_, _ = w.Write([]byte(`{"error":{"code":"invalid_key","message":"no","remedy":"r","retryable":false,"request_id":"req_1"}}`))
	})
	n := 0
	for _, err := range c.Events(t.Context(), client.EventOptions{}) {
		if n++; vitrine.ClassOf(err) != vitrine.ClassUnauthorized {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}
