package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// How long the guest may take to answer on a port. Before its agent has ever
// answered there is nobody to, and a caller wants to look at the console
// meanwhile; after that it is only busy.
const (
	firstAnswer = time.Second
	laterAnswer = 10 * time.Second
)

// answeredFile is there when the agent has answered once.
const answeredFile = "answered"

// Dial implements supervised.Dialer: it claims a free port and greets the agent.
func (d *driver) Dial(ctx context.Context, m supervised.Machine) (net.Conn, error) {
	lock, n, err := claim(m.Dir, d.cfg.Ports)
	if err != nil {
		return nil, err
	}
	raw, err := m.Socket(ctx, portSocket(n))
	if err != nil {
		lock.Close()
		return nil, err
	}
	limit := firstAnswer
	if m.Dir.Has(answeredFile) {
		limit = laterAnswer
	}
	greet, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := agentproto.HostPort(greet, raw)
	if err != nil {
		lock.Close()
		return nil, err
	}
	if limit == firstAnswer {
		_ = os.WriteFile(m.Dir.Join(answeredFile), nil, 0o600) // a hint
	}
	return &portConn{Conn: conn, lock: lock}, nil
}

// claim takes the first port that nobody has: whoever holds the lock on its
// file has it, whatever process that is in, until it lets go or dies. Whose lock
// files were left behind by a full disk has them made anew.
func claim(d machinedir.Dir, ports int) (*os.File, int, error) {
	for n := range ports {
		f, err := os.OpenFile(d.Join(fmt.Sprintf("port%02d.lock", n)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, 0, fmt.Errorf("claiming a port: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, n, nil
		}
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, 0, fmt.Errorf("claiming a port: %w", err)
		}
	}
	return nil, 0, vitrine.Errorf(vitrine.ClassUnavailable, "agent_busy", "all %d connections to the machine's agent are in use", ports).
		WithRemedy("close a viewer, shell or forwarded port of this session")
}

// portConn is a connection that gives its port back.
//
// QEMU 7.2 to 10 lose one of a port's 128 descriptors each time the guest writes
// to a host that has just hung up (hw/char/virtio-serial-bus.c detaches the
// element and does not return it): a port that was used often would fall silent.
// So Close says goodbye first: it takes what the guest still sends, until the
// guest has said that it is done, and hangs up then. That happens behind the
// caller's back, and the port stays claimed meanwhile.
type portConn struct {
	net.Conn
	lock    *os.File
	closed  atomic.Bool
	in, out sync.Mutex // held by who reads and writes
}

// Goodbye's bounds: how long the guest may take, and how much it may still say.
const (
	goodbyeTime  = 3 * time.Second
	goodbyeBytes = 64 << 20
)

func (c *portConn) Read(p []byte) (int, error) {
	c.in.Lock()
	defer c.in.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	return n, c.why(err)
}

func (c *portConn) Write(p []byte) (int, error) {
	c.out.Lock()
	defer c.out.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	return n, c.why(err)
}

// why is an error as a closed connection has it.
func (c *portConn) why(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Close hangs up, and gives the port back when the guest has noticed.
func (c *portConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	_ = c.SetDeadline(time.Unix(1, 0)) // whoever reads or writes now is woken
	go func() {
		defer c.lock.Close()
		defer c.Conn.Close()
		// Until they have gone, so that none sees the new deadline; who comes
		// later sees that it is closed.
		for _, m := range []*sync.Mutex{&c.in, &c.out} {
			m.Lock()
			m.Unlock() //nolint:staticcheck // an empty section is the point
		}
		_ = c.SetDeadline(time.Now().Add(goodbyeTime))
		if c.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, goodbyeBytes))
		}
	}()
	return nil
}

// CloseWrite says that no more will come.
func (c *portConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
