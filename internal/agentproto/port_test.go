package agentproto

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a port as QEMU makes it: hosts come and go, the guest's end stays.
type wire struct {
	toGuest chan []byte // nil is a host that left
	rest    []byte      // read and not yet given to the guest
	closed  chan struct{}
	blind   bool // the guest does not notice that hosts leave
	mu      sync.Mutex
	host    net.Conn // our end of the host that is there
	stale   []byte   // what the next host finds first
	left    chan struct{}
}

func newWire() *wire {
	return &wire{toGuest: make(chan []byte, 100), closed: make(chan struct{})}
}

// plug connects a host and gives its end. Like QEMU it takes the next one when
// the one before has left.
func (w *wire) plug() net.Conn {
	if w.left != nil {
		<-w.left
	}
	left := make(chan struct{})
	w.left = left
	ours, theirs := net.Pipe()
	w.mu.Lock()
	w.host = ours
	w.mu.Unlock()
	go func() {
		defer close(left)
		for {
			buf := make([]byte, 32<<10)
			n, err := ours.Read(buf)
			if n > 0 {
				w.toGuest <- buf[:n]
			}
			if err != nil {
				_ = ours.Close()
				if !w.blind {
					w.toGuest <- nil
				}
				return
			}
		}
	}()
	return theirs
}

func (w *wire) current() net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.host
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		select {
		case b := <-w.toGuest:
			if b == nil {
				return 0, io.EOF
			}
			w.rest = b
		case <-w.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	host, stale := w.host, w.stale
	w.stale = nil
	w.mu.Unlock()
	if host == nil {
		return 0, errors.New("no host is there")
	}
	if len(stale) > 0 {
		if _, err := host.Write(stale); err != nil {
			return 0, err
		}
	}
	return host.Write(p)
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	if host := w.current(); host != nil {
		_ = host.SetWriteDeadline(t)
	}
	return nil
}

func (w *wire) Close() error { close(w.closed); return nil }

// echo answers on the guest's end: what comes goes back, until the host ends.
func echo(w *wire) net.Listener {
	l := GuestPort(w, "vitrine.0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l
}

func dial(t *testing.T, w *wire) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := HostPort(ctx, w.plug())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// both gives both ends of a new connection.
func both(t *testing.T, w *wire, l net.Listener) (host, guest net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	host = dial(t, w)
	return host, <-accepted
}

// say sends text, ends, and checks that it comes back whole.
func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || string(got) != text {
		t.Errorf("said %.40q… (%d bytes), heard %.40q… (%d bytes), %v", text, len(text), got, len(got), err)
	}
	_ = c.Close()
}

// inBubble runs a test on a clock of its own, with an echo on a port.
func inBubble(t *testing.T, test func(t *testing.T, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		l := echo(w)
		test(t, w)
		_ = l.Close()
		synctest.Wait()
	})
}

func TestAPortCarriesOneConnectionAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire) {
		for _, text := range []string{
			"hello", "", strings.Repeat("x", MaxPortChunk), strings.Repeat("long ", 1<<16), "\n\n\x00\x00\n",
			portHello, strings.Repeat(portHello+portAnswer, 5000), "x" + portHello[1:] + portHello[:7], strings.Repeat(portHello[:1], 1<<16),
		} {
			say(t, dial(t, w), text)
		}
	})
}

func TestNothingOfAnEarlierConnectionReachesTheNext(t *testing.T) {
	answer := portAnswer + strings.Repeat("n", nonceLen)
	for _, tt := range []struct{ name, toGuest, toHost string }{
		{"nothing stale", "", ""},
		{"half a chunk", "\x00\x05he", "\x00\x05he"},
		{"a head alone", "\x40", "\x40"},
		{"whole chunks", "\x00\x02hi\n\x00\x00\n", "\x00\x02hi\n\x00\x00\n"},
		{"half a hello, half an answer", portHello[:5], portAnswer[:5]},
		{"a hello cut off in its nonce", portHello + "12345", portAnswer + "12345"},
		{"a hello and an answer of somebody else", portHello + strings.Repeat("n", nonceLen) + "\x00\x02hi\n", answer + "\x00\x02hi\n"},
		{"a chunk that lacks as much as a hello has", portHello + strings.Repeat("n", nonceLen) + "\x00\x18", ""},
		{"garbage", strings.Repeat("\xff\xd6\x00", 5000), strings.Repeat("\xff\xe2\x00", 5000)},
	} {
		for _, blind := range []bool{false, true} {
			inBubble(t, func(t *testing.T, w *wire) {
				t.Log(tt.name, "blind:", blind)
				w.blind, w.stale = blind, []byte(tt.toHost)
				first := w.plug()
				_ = first.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = io.WriteString(first, tt.toGuest)
				_ = first.Close()
				say(t, dial(t, w), "the next one")
			})
		}
	}
}

func TestAHostThatVanishesInAChunkEndsTheConnection(t *testing.T) {
	for _, blind := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			w.blind = blind
			l := GuestPort(w, "vitrine.0")
			defer l.Close()
			host, guest := both(t, w, l)
			raw := host.(*hostConn).Conn
			_, _ = io.WriteString(raw, "\x00\x03abc\n\x00\x1astarts with fewer bytes")
			_ = raw.Close()
			if blind {
				go func() { _, _ = HostPort(t.Context(), w.plug()) }() // the next one tells
				defer func() { _ = w.current().Close() }()
			}
			got, err := io.ReadAll(guest)
			if string(got) != "abc" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the guest got %q, %v; want what was whole, and that the rest is missing", got, err)
			}
			if _, err := guest.Write([]byte("x")); err == nil {
				t.Error("the guest still writes to a host that is gone")
			}
		})
	}
}

func TestAnAgentThatDoesNotReadHoldsThePortNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		l := GuestPort(w, "vitrine.0")
		defer l.Close()
		host, guest := both(t, w, l)
		if _, err := host.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		_ = host.Close()
		go func() {
			c, _ := l.Accept()
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*takeTime)
		defer cancel()
		next, err := HostPort(ctx, w.plug())
		if err != nil {
			t.Fatal(err)
		}
		say(t, next, "the next one")
		if _, err := io.ReadAll(guest); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("who did not read gets %v", err)
		}
	})
}

func TestAGuestThatDoesNotAnswerIsGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		guest func(raw net.Conn)
	}{
		{"it does not read", func(net.Conn) {}},
		{"it reads and is silent", func(raw net.Conn) { _, _ = io.Copy(io.Discard, raw) }},
		{"it never stops talking", func(raw net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, raw) }()
			for {
				if _, err := raw.Write(bytes.Repeat([]byte(portAnswer), 1000)); err != nil {
					return
				}
				time.Sleep(time.Millisecond) // of the bubble's clock
			}
		}},
		{"it hangs up", func(raw net.Conn) { _ = raw.Close() }},
	} {
		synctest.Test(t, func(t *testing.T) {
			host, guest := net.Pipe()
			var running sync.WaitGroup
			running.Go(func() { tt.guest(guest) })
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			_, err := HostPort(ctx, host)
			if took := time.Since(began); err == nil || took > 5*time.Second {
				t.Errorf("%s: %v after %v", tt.name, err, took)
			}
			if _, err := host.Write(nil); err == nil {
				t.Errorf("%s: the port is left open", tt.name)
			}
			_ = guest.Close()
			running.Wait()
		})
	}
}

func TestDeadlinesOfAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		l := GuestPort(w, "vitrine.0")
		defer l.Close()
		host, guest := both(t, w, l)
		for name, c := range map[string]net.Conn{"host": host, "guest": guest} {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: reading nothing gives %v", name, err)
			}
			_ = c.SetDeadline(time.Time{})
		}
		go func() { _, _ = guest.Write([]byte("late")) }()
		got := make([]byte, 4)
		if _, err := io.ReadFull(host, got); err != nil || string(got) != "late" {
			t.Errorf("after a deadline that passed the host reads %q, %v", got, err)
		}
		_ = guest.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := guest.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a guest that writes to a host that does not read gets %v", err)
		}
		_ = guest.Close()
		_ = host.Close()
		synctest.Wait()
		say(t, func() net.Conn {
			go func() {
				c, _ := l.Accept()
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
			return dial(t, w)
		}(), "and the port is good again")
	})
}

func TestAGuestThatBreaksTheFraming(t *testing.T) {
	for _, tt := range []struct{ name, bytes string }{
		{"a chunk that is too long", "\xff\xffx"},
		{"a chunk that is one too long", "\x40\x01"},
		{"a chunk without its end", "\x00\x02hix"},
		{"an end without its end", "\x00\x00x"},
	} {
		host, guest := net.Pipe()
		go func() {
			hello := make([]byte, len(portHello)+nonceLen)
			_, _ = io.ReadFull(guest, hello)
			_, _ = io.WriteString(guest, portAnswer+string(hello[len(portHello):])+"\x00\x01a\n"+tt.bytes)
			_ = guest.Close()
		}()
		c, err := HostPort(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != "a" || !errors.Is(err, ErrPort) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		_ = c.Close()
	}
}
