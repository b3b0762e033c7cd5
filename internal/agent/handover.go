package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// transferable gives a connection whose descriptor another process can take
// over. A unix socket is one; bytes of any other channel are carried between it
// and one end of a pair, until either side hangs up or ctx is done. On an error
// conn stays the caller's.
func transferable(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if dc, ok := conn.(*doorConn); ok {
		if uc, ok := dc.Conn.(*net.UnixConn); ok {
			return &unixDoorConn{UnixConn: uc, release: dc.release}, nil
		}
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	go func() {
		defer context.AfterFunc(ctx, func() { _, _ = conn.Close(), ours.Close() })()
		relay(conn, ours)
	}()
	return theirs, nil
}

// unixDoorConn is a doorConn that shows its descriptor.
type unixDoorConn struct {
	*net.UnixConn
	release func()
}

func (c *unixDoorConn) Close() error {
	c.release()
	return c.UnixConn.Close()
}

// relay carries bytes both ways until either side ends, and closes both.
func relay(a, b net.Conn) {
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = a.Close(), b.Close()
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
}

func socketPair() (ours, theirs net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, e := net.FileConn(f) // duplicates
		_ = f.Close()
		if e != nil {
			err = e
			continue
		}
		ends[i] = c
	}
	if err == nil {
		return ends[0], ends[1], nil
	}
	for _, c := range ends {
		if c != nil {
			_ = c.Close()
		}
	}
	return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
}
