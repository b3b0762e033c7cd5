package agentproto

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// RawPort is the guest's end of a port, as the agent opens it. Read gives io.EOF
// once each time the host leaves, after all it sent, and waits for the next host
// then; any other error ends the port. Write sends all it is given, and waits as
// long as no host is there. Close interrupts both.
type RawPort interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// takeTime is how long a connection may leave a chunk unread before it is ended:
// the port is not read meanwhile, and its next host would wait. What may have to
// wait longer than that for its reader has a window of its own (PipeWindow).
const takeTime = 30 * time.Second

// GuestPort listens on the guest's end of a port. The listener gives one
// connection after another: a host that leaves, or a new one that says hello,
// ends the one before, whose Read gives io.ErrUnexpectedEOF then. A connection
// has deadlines and CloseWrite; what was written before Close still goes out.
// name is the address of it all.
func GuestPort(raw RawPort, name string) net.Listener {
	l := &portListener{
		raw: raw, addr: portAddr(name),
		conns: make(chan net.Conn), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.run()
	return l
}

type portAddr string

func (portAddr) Network() string  { return "virtio-serial" }
func (a portAddr) String() string { return string(a) }

type portListener struct {
	raw     RawPort
	addr    portAddr
	conns   chan net.Conn
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when run has left, with err set
	err     error

	mu   sync.Mutex
	shut bool // Close was called
	busy bool // a connection may still write

	// The rest is run's own.
	hello  int    // how much of portHello the last bytes are
	nonce  []byte // what came of it; nil while none is awaited
	chunks dechunker
	conn   *guestConn // nil when there is none
}

func (l *portListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closing:
		return nil, net.ErrClosed
	case <-l.ended:
		return nil, l.err
	}
}

func (l *portListener) Addr() net.Addr { return l.addr }

// Close takes no further connection. One that there is goes on until it is
// closed; the port is closed then.
func (l *portListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil
	}
	l.shut = true
	close(l.closing)
	if l.busy {
		return nil
	}
	return l.raw.Close()
}

// occupy takes the port for a connection, false when it is closed.
func (l *portListener) occupy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = !l.shut
	return l.busy
}

func (l *portListener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if l.shut {
		_ = l.raw.Close()
	}
}

// run reads the port until it breaks or is closed.
func (l *portListener) run() {
	defer close(l.ended)
	defer l.drop()
	room := make([]byte, 32<<10)
	for {
		n, err := l.raw.Read(room)
		l.take(room[:n])
		switch {
		case errors.Is(err, io.EOF):
			l.drop()
			l.hello, l.nonce = 0, nil
		case err != nil:
			l.err = err
			return
		}
	}
}

// take looks for a host's hello in what was read, and gives the connection what
// is not part of one.
func (l *portListener) take(in []byte) {
	from := 0 // what of in is not used yet
	for i, b := range in {
		if l.nonce != nil {
			l.nonce, from = append(l.nonce, b), i+1
		}
		switch b {
		case portHello[l.hello]:
			l.hello++
		case portHello[0]:
			l.hello = 1
		default:
			l.hello = 0
		}
		if l.hello == len(portHello) {
			// The chunks before it are whole; the hello itself completes none.
			l.deliver(in[from : i+1])
			l.drop()
			l.hello, l.nonce, from = 0, make([]byte, 0, nonceLen), i+1
		} else if len(l.nonce) == nonceLen {
			l.open(l.nonce)
			l.nonce = nil
		}
	}
	l.deliver(in[from:])
}

// open makes the connection that a hello asked for.
func (l *portListener) open(nonce []byte) {
	c := &guestConn{addr: l.addr, sent: make(chan struct{})}
	c.in, c.feed = net.Pipe()
	c.out, c.drain = net.Pipe()
	l.chunks = dechunker{}
	if !l.occupy() {
		return
	}
	select {
	case l.conns <- c:
		l.conn = c
		go func() {
			defer close(c.sent)
			defer l.release()
			c.send(l.raw, append([]byte(portAnswer), nonce...))
		}()
	case <-l.closing:
		l.release()
	}
}

// deliver gives the connection the chunks in what was read. It waits until they
// are taken; what a closed connection does not take is dropped.
func (l *portListener) deliver(in []byte) {
	for len(in) > 0 && l.conn != nil && !l.conn.done.Load() {
		payload, rest, end, err := l.chunks.next(in)
		if err != nil {
			l.drop()
			return
		}
		in = rest
		if end {
			l.conn.done.Store(true)
			_ = l.conn.feed.Close()
		} else if len(payload) > 0 {
			_ = l.conn.feed.SetWriteDeadline(time.Now().Add(takeTime))
			if _, err := l.conn.feed.Write(payload); errors.Is(err, os.ErrDeadlineExceeded) {
				l.drop()
			}
		}
	}
}

// drop ends the connection because its host is gone, and returns when nothing of
// it can be written to the port any more.
func (l *portListener) drop() {
	c := l.conn
	if c == nil {
		return
	}
	l.conn = nil
	c.hangUp()
	_ = l.raw.SetWriteDeadline(longAgo)
	<-c.sent
	_ = l.raw.SetWriteDeadline(time.Time{})
}

// guestConn is a connection on the guest's end of a port: two pipes, which bring
// the deadlines, joined to the port by portListener.run and send.
type guestConn struct {
	addr       portAddr
	in, feed   net.Conn // to the agent: its end, ours
	out, drain net.Conn // from the agent: its end, ours
	gone, done atomic.Bool
	sent       chan struct{} // closed when send has left
}

// send writes the answer and then what the agent writes, until it is closed.
func (c *guestConn) send(raw io.Writer, answer []byte) {
	_, err := raw.Write(answer)
	chunk, room := chunkBuffer(), make([]byte, MaxPortChunk)
	for err == nil {
		var n int
		if n, err = c.drain.Read(room); err == nil {
			_, err = writeChunks(raw, chunk, room[:n])
		} else if errors.Is(err, io.EOF) && writeChunk(raw, chunk, nil) == nil {
			return
		}
	}
	c.hangUp()
}

// hangUp ends both ways, because the host is gone.
func (c *guestConn) hangUp() {
	c.gone.Store(true)
	_ = c.feed.Close()
	_ = c.drain.Close()
}

// Read gives io.EOF when the host said that it is done, and io.ErrUnexpectedEOF
// when it is gone.
func (c *guestConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if errors.Is(err, io.EOF) && !c.done.Load() && c.gone.Load() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *guestConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// CloseWrite tells the host that no more will come.
func (c *guestConn) CloseWrite() error { return c.out.Close() }

func (c *guestConn) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

func (c *guestConn) LocalAddr() net.Addr                { return c.addr }
func (c *guestConn) RemoteAddr() net.Addr               { return c.addr }
func (c *guestConn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c *guestConn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

func (c *guestConn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetReadDeadline(t), c.out.SetWriteDeadline(t))
}
