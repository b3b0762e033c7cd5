package agentproto

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// HostPort opens a connection to the agent on the host's end of a port, which
// nobody else may use meanwhile. It waits for the guest until ctx is done, which
// should have a deadline: a guest that has not opened the port yet does not
// answer. When it fails, raw is closed.
//
// The connection has CloseWrite. A Write that its deadline cuts off leaves the
// stream broken, and all later ones fail.
func HostPort(ctx context.Context, raw net.Conn) (net.Conn, error) {
	rest, err := greet(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &hostConn{Conn: raw, in: rest, room: make([]byte, 32<<10), chunk: chunkBuffer()}, nil
}

// greet says hello and gives what came after the answer.
func greet(ctx context.Context, raw net.Conn) ([]byte, error) {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = raw.SetDeadline(longAgo)
	})
	nonce := make([]byte, nonceLen)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	_, err := raw.Write(append([]byte(portHello), nonce...))
	var rest []byte
	if err == nil {
		rest, err = skipTo(raw, append([]byte(portAnswer), nonce...))
	}
	if !stop() {
		<-stopped
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the guest does not answer on its port: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("open the guest's port: %w", err)
	}
	return rest, nil
}

// skipTo reads up to mark and gives what was read after it.
func skipTo(r io.Reader, mark []byte) ([]byte, error) {
	buf := make([]byte, 4<<10)
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		if i := bytes.Index(buf[:have], mark); i >= 0 {
			return buf[i+len(mark) : have], nil
		}
		if err != nil {
			return nil, err
		}
		if keep := len(mark) - 1; have > keep {
			have = copy(buf, buf[have-keep:have])
		}
	}
}

// hostConn is a connection on the host's end of a port. Deadlines, addresses
// and Close are the socket's own: the guest learns of a close from its kernel.
type hostConn struct {
	net.Conn

	reading sync.Mutex
	room    []byte // what is read at once
	in      []byte // read and not yet taken apart
	chunks  dechunker
	ready   []byte // payload that was not yet asked for
	readErr error

	writing  sync.Mutex
	chunk    []byte
	writeErr error
}

// Read gives io.EOF when the guest said that it is done, and
// io.ErrUnexpectedEOF when it is gone.
func (c *hostConn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for len(p) > 0 && len(c.ready) == 0 {
		if c.readErr != nil {
			return 0, c.readErr
		}
		if len(c.in) == 0 {
			n, err := c.Conn.Read(c.room)
			c.in = c.room[:n]
			if n == 0 && err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
		}
		var end bool
		c.ready, c.in, end, c.readErr = c.chunks.next(c.in)
		if end {
			c.readErr = io.EOF
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *hostConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	var n int
	n, c.writeErr = writeChunks(c.Conn, c.chunk, p)
	return n, c.writeErr
}

// CloseWrite tells the guest that no more will come.
func (c *hostConn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.writeErr != nil {
		return c.writeErr
	}
	err := writeChunk(c.Conn, c.chunk, nil)
	c.writeErr = net.ErrClosed
	return err
}
