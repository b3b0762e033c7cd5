package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// server answers every request with f, over a real unix socket, and gives a
// client of it.
func server(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f, ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	c := New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
	t.Cleanup(c.Close)
	return c
}

func TestARefusalKeepsFirecrackersWords(t *testing.T) {
	for _, c := range []struct{ name, reply, want string }{
		{"a fault message", `{"fault_message":"The memory size (MiB) is invalid."}`, "The memory size (MiB) is invalid."},
		{"no JSON", "Bad\x1b[31m\nrequest", "Bad[31m request"},
		{"far too much", `{"fault_message":"` + strings.Repeat("é", 4000) + `"}`, strings.Repeat("é", maxFault/2) + "…"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := server(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, c.reply)
			})
			err := client.PutMachineConfig(t.Context(), MachineConfig{})
			var e *Error
			if !errors.As(err, &e) || e.Fault != c.want || e.Status != 400 || e.Call != "PUT /machine-config" {
				t.Errorf("the error is %#v, want the fault %q", err, c.want)
			}
		})
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	client := server(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if _, err := client.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("Info gives %v", err)
	}
}

// A VMM that was stopped accepts connections and says nothing. The clock is the
// test's own, so the five seconds take no time.
func TestAVMMThatSaysNothingIsGivenUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		c := New(func(context.Context) (net.Conn, error) { return ours, nil })
		began := time.Now()
		err := c.Pause(t.Context())
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "did not answer in 5s") || took != callLimit {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestCallsUseOneConnection(t *testing.T) {
	var conns int
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	c := New(func(ctx context.Context) (net.Conn, error) {
		conns++
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
	defer c.Close()
	for range 5 {
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if conns != 1 {
		t.Errorf("five calls made %d connections", conns)
	}
}

func FuzzFault(f *testing.F) {
	f.Add([]byte(`{"fault_message":"no"}`))
	f.Add([]byte("\x00\xff{"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		if s := fault(reply); len(s) > maxFault+4 || strings.ContainsAny(s, "\n\r\x1b\x00") {
			t.Errorf("%q", s)
		}
	})
}
