package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// forwardTime bounds a connection to the machine itself, which is made at once
// or never.
const forwardTime = 5 * time.Second

// sftp joins a stream with a child of ours that serves files as the user: the
// kernel then decides what may be read and written.
func (s *server) sftp(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if user != "" && user != "root" {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: `user: is neither "" nor "root"`})
		return
	}
	env := s.place.userEnv()
	if user == "root" {
		env = rootEnv()
	}
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	cmd := &exec.Cmd{Path: s.self, Args: []string{"vitrine-agent", "sftp"}, Env: env}
	s.runPipe(newPipe(conn), cmd, nil, user)
}

// SFTP serves SFTP on standard input and output, from the working directory, as
// whoever runs it. It gives the exit status.
func SFTP() int {
	home, err := os.Getwd()
	if err == nil {
		var server *sftp.Server
		stdio := struct {
			io.Reader
			io.WriteCloser
		}{os.Stdin, os.Stdout}
		if server, err = sftp.NewServer(stdio, sftp.WithServerWorkingDirectory(home)); err == nil {
			err = server.Serve()
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "sftp:", err)
		return 1
	}
	return 0
}

// tcp joins a stream with a port of the machine itself.
func (s *server) tcp(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	addrs, err := machineAddress(query.Get("host"))
	port, perr := strconv.ParseUint(query.Get("port"), 10, 16)
	if perr != nil || port == 0 {
		err = errors.New("port: is not between 1 and 65535")
	}
	if err != nil {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: err.Error()})
		return
	}
	var far net.Conn
	dialer := net.Dialer{Timeout: forwardTime}
	for _, a := range addrs {
		if far, err = dialer.DialContext(r.Context(), "tcp", netip.AddrPortFrom(a, uint16(port)).String()); err == nil {
			break
		}
	}
	if err != nil {
		unavailable(w, fmt.Errorf("nothing listens there: %w", err))
		return
	}
	defer far.Close()
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _, _ = conn.Close(), far.Close() })()
	join(newPipe(conn), far.(*net.TCPConn))
}

// join carries bytes both ways until both have ended, or one broke.
func join(p *pipe, far *net.TCPConn) {
	var all sync.WaitGroup
	all.Go(func() {
		p.feed(far)
		_ = far.CloseWrite()
	})
	received := make(chan struct{})
	all.Go(func() {
		defer close(received)
		_ = p.receive(nil)
		_ = far.Close() // the node hung up
	})
	if p.drain(agentproto.FrameStdout, far) == nil {
		_ = p.send(agentproto.FrameEOF, nil)
		<-received // the node hangs up when its side has ended too
	}
	_ = p.conn.Close()
	all.Wait()
}

// machineAddress gives the addresses behind a name of this machine, and refuses all
// others: the stream is a way into the machine, not through it.
func machineAddress(host string) ([]netip.Addr, error) {
	if host == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	a, err := netip.ParseAddr(host)
	if err == nil && a.Zone() == "" {
		a = a.Unmap()
		if a.IsLoopback() {
			return []netip.Addr{a}, nil
		}
		own, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("read the machine's addresses: %w", err)
		}
		for _, o := range own {
			if n, ok := o.(*net.IPNet); ok {
				if mine, ok := netip.AddrFromSlice(n.IP); ok && mine.Unmap() == a {
					return []netip.Addr{a}, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("host: %.64q is not this machine: only localhost and the machine's own addresses can be reached", host)
}
