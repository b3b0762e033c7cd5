package rtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of the media port's sockets.
const (
	udpBuffer  = 2 << 20          // a burst of keyframes to several viewers at once
	tcpBuffer  = 128 << 10        // little: what waits in it is delay
	tcpConns   = 512              // over TCP, all sessions together
	tcpTimeout = 5 * time.Second  // a write that takes longer is a dead viewer
	tcpIdle    = 60 * time.Second // ICE checks consent every few seconds (RFC 7675)
)

// BindUDP binds every address to the port; with port 0 the first address picks
// it. An address that is gone or not yet usable is left out; a port in use is an
// error.
func BindUDP(addrs []netip.Addr, port int, what string) ([]*net.UDPConn, int, error) {
	var conns []*net.UDPConn
	var last error
	for _, a := range addrs {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port))))
		if err != nil {
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				last = err
				continue
			}
			closeAll(conns)
			return nil, 0, fmt.Errorf("binding %s %d (UDP): %w", what, port, err)
		}
		_ = c.SetReadBuffer(udpBuffer) // the kernel's limit may be lower: it then gives what it has
		_ = c.SetWriteBuffer(udpBuffer)
		port = c.LocalAddr().(*net.UDPAddr).Port
		conns = append(conns, c)
	}
	if len(conns) == 0 {
		return nil, 0, fmt.Errorf("binding %s %d (UDP): no address could be bound: %w", what, port, last)
	}
	return conns, port, nil
}

func closeAll(conns []*net.UDPConn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// Listener bounds what strangers can do to a TCP port: so many connections at
// once, only on the given local addresses, each with little kernel buffer and
// with deadlines on every read and write.
type Listener struct {
	net.Listener
	local map[netip.Addr]bool
	open  atomic.Int32
}

// NewListener wraps l.
func NewListener(l net.Listener, addrs []netip.Addr) *Listener {
	local := map[netip.Addr]bool{}
	for _, a := range addrs {
		local[a] = true
	}
	return &Listener{Listener: l, local: local}
}

// Accept gives the next connection that may come in.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			time.Sleep(50 * time.Millisecond) // out of file descriptors: pion would stop listening for good
			continue
		}
		tcp, ok := c.(*net.TCPConn)
		ap, _ := netip.ParseAddrPort(c.LocalAddr().String())
		if !ok || !l.local[ap.Addr().Unmap()] || l.open.Load() >= tcpConns {
			_ = c.Close()
			continue
		}
		_ = tcp.SetWriteBuffer(tcpBuffer)
		_ = tcp.SetNoDelay(true)
		l.open.Add(1)
		return &conn{TCPConn: tcp, done: func() { l.open.Add(-1) }}, nil
	}
}

type conn struct {
	*net.TCPConn
	closed   atomic.Bool
	deadline atomic.Pointer[time.Time] // the caller's, for reads
	done     func()
}

// Read waits no longer than tcpIdle, or than the caller's deadline.
func (c *conn) Read(b []byte) (int, error) {
	until := time.Now().Add(tcpIdle)
	if d := c.deadline.Load(); d != nil && !d.IsZero() && d.Before(until) {
		until = *d
	}
	_ = c.TCPConn.SetReadDeadline(until)
	return c.TCPConn.Read(b)
}

// Write closes the connection when it cannot be finished: a stream that lost
// part of a frame cannot be read any more.
func (c *conn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(tcpTimeout))
	n, err := c.TCPConn.Write(b)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.TCPConn.SetReadDeadline(t)
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.done()
	}
	return c.TCPConn.Close()
}
