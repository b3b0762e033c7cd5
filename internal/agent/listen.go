package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// listen makes the socket anew: one of an earlier agent is removed. free bounds
// the connections of all of the agent's listeners together.
func listen(dir string, free chan struct{}) (net.Listener, error) {
	path := filepath.Join(dir, agentproto.SocketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the earlier socket: %w", err)
	}
	// The mode is right from the first moment: umask is the process's, and
	// nothing else runs yet.
	old := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on the agent's socket: %w", err)
	}
	return &door{Listener: l, free: free, allowed: peerAllowed}, nil
}

// door is a listener that gives a connection when one of maxConns places is
// free, and knows who may come in by it.
type door struct {
	net.Listener
	free    chan struct{}
	allowed func(net.Conn) bool
}

// doorConn gives its place back when it is closed.
type doorConn struct {
	net.Conn
	allowed bool
	release func()
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.free <- struct{}{}
	return &doorConn{Conn: c, allowed: d.allowed(c), release: sync.OnceFunc(func() { <-d.free })}, nil
}

// Close closes the connection and gives its place back.
func (c *doorConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// allowed says whether the peer may speak at all.
func allowed(c net.Conn) bool {
	dc, ok := c.(*doorConn)
	return ok && dc.allowed
}

// peerAllowed keeps out what runs in the machine and is not its root. The node
// connects from outside: its pid is not in our namespace and shows as 0, its
// uid may show as the overflow uid. Where the kernel does not tell (gVisor for
// sockets shared with the host), mode and secret decide.
func peerAllowed(c net.Conn) bool {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return false
	}
	allowed := true
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil || cred.Pid == 0 {
			return
		}
		allowed = cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
	})
	return allowed
}
