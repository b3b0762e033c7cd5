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

// listen makes the socket anew: one of an earlier agent is removed.
func listen(dir string) (net.Listener, error) {
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
	return &door{UnixListener: l.(*net.UnixListener), free: make(chan struct{}, maxConns)}, nil
}

// door is the listener: at most maxConns connections at a time, the next ones
// wait in the kernel's queue.
type door struct {
	*net.UnixListener
	free chan struct{}
}

// doorConn gives its place back when it is closed.
type doorConn struct {
	*net.UnixConn
	release func()
}

func (d *door) Accept() (net.Conn, error) {
	d.free <- struct{}{}
	c, err := d.AcceptUnix()
	if err != nil {
		<-d.free
		return nil, err
	}
	return &doorConn{UnixConn: c, release: sync.OnceFunc(func() { <-d.free })}, nil
}

// Close closes the connection and gives its place back.
func (c *doorConn) Close() error {
	c.release()
	return c.UnixConn.Close()
}

// peerAllowed keeps out what runs in the machine and is not its root. The node
// connects from outside: its pid is not in our namespace and shows as 0, its
// uid may show as the overflow uid. Where the kernel does not tell (gVisor for
// sockets shared with the host), mode and secret decide.
func peerAllowed(c net.Conn) bool {
	dc, ok := c.(*doorConn)
	if !ok {
		return false
	}
	raw, err := dc.SyscallConn()
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
