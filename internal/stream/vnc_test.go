package stream

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

const (
	rfbHello = "RFB 003.008\n\x01\x01"
	rfbKey   = "\x04\x01\x00\x00\x00\x00\x00a"
	rfbKeyUp = "\x04\x00\x00\x00\x00\x00\x00a"
	rfbAsk   = "\x03\x01\x00\x00\x00\x00\x05\x00\x02\xd0"
)

func (n *node) dial(path string, protocols ...string) *websocket.Conn {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, n.http.URL+path, &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func (n *node) vnc(query string) (*websocket.Conn, net.Conn) {
	n.t.Helper()
	ws := n.dial("/vnc?"+query, "binary")
	if ws.Subprotocol() != "binary" {
		n.t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	select {
	case desktop := <-n.agent.vnc:
		n.t.Cleanup(func() { _ = desktop.Close() })
		return ws, desktop
	case <-time.After(10 * time.Second):
		n.t.Fatal("the desktop's VNC was not opened")
	}
	return nil, nil
}

func write(t *testing.T, ws *websocket.Conn, s string) {
	t.Helper()
	if err := ws.Write(context.Background(), websocket.MessageBinary, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, desktop net.Conn, want string) {
	t.Helper()
	_ = desktop.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(desktop, got); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("the desktop got %q %v, want %q", got, err, want)
	}
}

func TestAPlainVNCViewerIsInControlWhenNobodyElseIs(t *testing.T) {
	n := start(t, newFakeAgent())
	ws, desktop := n.vnc("scope=control&user=a")
	write(t, ws, rfbHello)
	expect(t, desktop, rfbHello)
	write(t, ws, rfbKey)
	expect(t, desktop, rfbKey)
	go func() { _, _ = desktop.Write([]byte("pixels")) }()
	if _, b, err := ws.Read(context.Background()); err != nil || string(b) != "pixels" {
		t.Errorf("the viewer got %q %v", b, err)
	}
	b := n.tab("scope=control&user=b")
	b.send(object{"type": "control", "action": "take"})
	expect(t, desktop, rfbKeyUp) // what it held down is let go
	b.controller(b.id)
	write(t, ws, rfbKey+rfbAsk)
	expect(t, desktop, rfbAsk)
	_, watched := n.vnc("scope=view&user=c")
	_ = watched
	if got := n.s.StreamFigures().Sockets["vnc"]; got != 2 {
		t.Errorf("stats count %d VNC sockets", got)
	}
}

func TestNoVNCBesideASignalSocketHasItsControl(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	b := n.tab("scope=control&user=b")
	b.controller(a.id)
	wsA, deskA := n.vnc("scope=control&user=a&viewer=" + a.id)
	wsB, deskB := n.vnc("scope=control&user=b&viewer=" + b.id)
	wsE, deskE := n.vnc("scope=control&user=e&viewer=" + a.id) // says it is a
	for _, c := range []struct {
		ws   *websocket.Conn
		desk net.Conn
		want string
	}{{wsA, deskA, rfbKey + rfbAsk}, {wsB, deskB, rfbAsk}, {wsE, deskE, rfbAsk}} {
		write(t, c.ws, rfbHello)
		expect(t, c.desk, rfbHello)
		write(t, c.ws, rfbKey+rfbAsk)
		expect(t, c.desk, c.want)
	}
}

func TestVNCSaysWhyItCloses(t *testing.T) {
	n := start(t, newFakeAgent())
	closed := func(ws *websocket.Conn, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _, err := ws.Read(ctx)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("closed with %v, want %q", err, want)
		}
	}
	ws, _ := n.vnc("scope=control&user=a")
	write(t, ws, "GET / HTTP/1.1\r\n")
	closed(ws, "bad_rfb")
	ws, desktop := n.vnc("scope=control&user=a")
	_ = desktop.Close()
	closed(ws, "desktop_gone")
	ws, _ = n.vnc("scope=control&user=a&ticket=tkt_1")
	n.s.CloseTicket("tkt_1")
	closed(ws, "revoked")
	n.agents.set(vitrine.Errorf(vitrine.ClassConflict, "not_ready", "the session starts"))
	closed(n.dial("/vnc?scope=control&user=a", "binary"), "not_ready")
}

func TestCDPRelaysMessages(t *testing.T) {
	n := start(t, newFakeAgent())
	ws := n.dial("/cdp?scope=control&user=a")
	ws.SetReadLimit(8 << 20)
	for _, m := range []string{`{"id":1}`, strings.Repeat("x", 3<<20)} {
		if err := ws.Write(context.Background(), websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := ws.Read(context.Background()); err != nil || string(b) != "echo "+m {
			t.Fatalf("got %.20q %v", b, err)
		}
	}
	n.s.CloseSession(session)
	if _, _, err := ws.Read(context.Background()); err == nil || !strings.Contains(err.Error(), "over") {
		t.Errorf("closed with %v", err)
	}
}
