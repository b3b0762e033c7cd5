package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// callers is a listener of given connections.
type callers chan net.Conn

func (c callers) Accept() (net.Conn, error) {
	conn, ok := <-c
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (callers) Close() error   { return nil }
func (callers) Addr() net.Addr { return &vsock.Addr{} }

// caller is a connection from an address.
type caller struct {
	net.Conn
	from net.Addr
}

func (c caller) RemoteAddr() net.Addr { return c.from }

func TestOnlyTheHostComesInByVsock(t *testing.T) {
	queue := make(callers, 5)
	door := &door{Listener: hostOnly{queue}, free: make(chan struct{}, 1), allowed: fromHost}
	var far []net.Conn
	for _, from := range []net.Addr{&vsock.Addr{ContextID: vsock.Local}, &vsock.Addr{ContextID: vsock.Hypervisor}, &vsock.Addr{ContextID: 3}, &net.UnixAddr{}, &vsock.Addr{ContextID: vsock.Host}} {
		ours, theirs := net.Pipe()
		queue <- caller{ours, from}
		far = append(far, theirs)
	}
	c, err := door.Accept()
	if err != nil || c.RemoteAddr().(*vsock.Addr).ContextID != vsock.Host || !allowed(c) {
		t.Errorf("the first to come in is %v, %v", c, err)
	}
	for i, f := range far[:4] {
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection of stranger %d was not closed: %v", i, err)
		}
	}
	close(queue)
	if _, err := door.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed door: %v", err)
	}
}

func TestPlacesAreSharedByAllDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{}, 1)
		came := make(chan net.Conn, 2)
		for range 2 {
			queue := make(callers, 1)
			ours, _ := net.Pipe()
			queue <- ours
			go func() {
				c, _ := (&door{Listener: queue, free: free, allowed: fromHost}).Accept()
				came <- c
			}()
		}
		synctest.Wait()
		if len(came) != 1 {
			t.Fatalf("%d came in, and there is one place", len(came))
		}
		c := <-came
		_ = c.Close()
		_ = c.Close() // as http.Server does: it gives one place back, not two
		synctest.Wait()
		if len(came) != 1 || len(free) != 1 {
			t.Errorf("%d more came in, %d places are taken", len(came), len(free))
		}
	})
}

func TestAVirtualMachineWithoutAChannelSaysSo(t *testing.T) {
	if hasVsock() {
		t.Skip("this host is itself a machine with vsock")
	}
	if names, _ := filepath.Glob("/sys/class/virtio-ports/*/name"); len(names) > 0 {
		t.Skip("this host has virtio-serial ports")
	}
	dir := t.TempDir()
	if _, err := openDoors(dir, true); !errors.Is(err, errNoChannel) {
		t.Errorf("%v", err)
	}
	c, err := net.Dial("unix", filepath.Join(dir, agentproto.SocketFile))
	if err == nil {
		_ = c.Close()
		t.Error("the socket is left open")
	}
}

func TestPortsAreFoundByTheirNames(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	for port, name := range map[string]string{
		"vport0p1": "vitrine.0\n", "vport0p2": "vitrine.17", "vport0p3": "org.qemu.guest_agent.0", "vport0p4": "vitrine.x", "vport0p5": "", "vport1p1": "xvitrine.1",
	} {
		if err := os.Mkdir(filepath.Join(sys, port), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sys, port, "name"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(filepath.Join(dev, port), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := listenPorts(sys, dev, make(chan struct{}, 1))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range all {
		names = append(names, l.Addr().String())
	}
	closeListeners(all)
	if slices.Sort(names); !slices.Equal(names, []string{"vitrine.0", "vitrine.17"}) {
		t.Errorf("%q", names)
	}
	if err := os.Remove(filepath.Join(dev, "vport0p2")); err != nil {
		t.Fatal(err)
	}
	if _, err := listenPorts(sys, dev, nil); err == nil || !strings.Contains(err.Error(), "vitrine.17") {
		t.Errorf("a port without a device: %v", err)
	}
}

func TestTheNodeEndsTheMachineAndHearsThatItWill(t *testing.T) {
	p := asUser(t)
	l, err := listen(p.dir, make(chan struct{}, maxConns))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cfg := agentproto.Config{Secret: testSecret, Kind: kindTerminal}
	go func() {
		ended <- newServer(ctx, cancel, cfg, p, nil, time.Now(), slog.New(slog.DiscardHandler)).serve(l)
	}()
	socket := filepath.Join(p.dir, agentproto.SocketFile)
	request := "POST " + agentproto.PathShutdown + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
	if resp, body := ask(t, socket, request+"Connection: close\r\n\r\n"); resp.StatusCode != http.StatusUnauthorized || ctx.Err() != nil {
		t.Errorf("without the secret: %d %s", resp.StatusCode, body)
	}
	if resp, body := ask(t, socket, request+"Authorization: Bearer "+testSecret+"\r\n\r\n"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if ctx.Err() == nil {
		t.Error("the machine goes on")
	}
}

// The display child takes over a descriptor: a channel without one is carried.
func TestAStreamOverAPortIsHandedOn(t *testing.T) {
	ours, node := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	given, err := transferable(ctx, &doorConn{Conn: ours, release: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	file, err := given.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = given.Close() // as display.Process.Stream does
	child, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct{ from, to net.Conn }{{child, node}, {node, child}} {
		text := strings.Repeat("frame ", 50000)
		go func() { _, _ = io.WriteString(way.from, text) }()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != text {
			t.Errorf("what came through is not what was sent: %v", err)
		}
	}
	_ = child.Close()
	if _, err := node.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the child left, and the node reads %v", err)
	}
}
