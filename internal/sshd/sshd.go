// Package sshd is the daemon's SSH endpoint: shell, command, SFTP and forwarded
// ports of any session, on any runtime, over the agent's channel. A machine
// needs neither an SSH server nor a route to the caller.
//
// The user name is the session's id, with "+root" behind it for the machine's
// root. Who may come in is said by public keys (vitrine.SSHKeyStore): a key
// opens its user's sessions, an admin's all. A key is told from another before
// the session is looked at, and only who has proved to hold the key learns
// whether a session exists; another user's session does not, for them.
//
// Everything from the caller is bounded: handshakes in number and time, tries,
// channels, environment, the size of a terminal. A caller that no longer
// answers is hung up on. A connection ends with its key, its session or the
// daemon, and what it ran in the foreground ends with it.
//
// The package imports the domain and golang.org/x/crypto/ssh. It takes a
// listener, a host key and the domain's interfaces; it must not know runtimes,
// stores or HTTP, and decides nothing about sessions. It logs who opened what,
// never what was typed.
package sshd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

// The bounds.
const (
	maxConns      = 256 // open at once
	maxHandshakes = 32  // of them not yet let in
	maxFromOne    = 8   // of those from one address
	maxTries      = 6   // keys that one connection may offer
	maxChannels   = 64  // of one connection
	handshakeTime = 20 * time.Second
	openTime      = 20 * time.Second // for the machine to answer
	keepalive     = 30 * time.Second
	keepaliveWait = 30 * time.Second
	touchEvery    = 30 * time.Second // how often an open connection counts as use
)

// Sessions is what the endpoint needs of the session service.
type Sessions interface {
	vitrine.Agents
	Get(ctx context.Context, id string) (vitrine.Session, error)
	Touch(id string)
}

// Config is what a Server is made of; all but Log and Now must be set.
type Config struct {
	Sessions Sessions
	Keys     vitrine.SSHKeyStore
	HostKey  ssh.Signer
	Log      *slog.Logger
	Now      func() time.Time
}

// Server is the endpoint.
type Server struct {
	cfg Config
	log *slog.Logger
	now func() time.Time

	ctx        context.Context
	stop       context.CancelFunc
	handshakes chan struct{}
	all        sync.WaitGroup

	mu    sync.Mutex
	over  bool
	conns map[*conn]struct{}
	from  map[string]int // handshakes under way by address
}

// New makes a server; Serve lets callers in.
func New(cfg Config) (*Server, error) {
	if cfg.Sessions == nil || cfg.Keys == nil || cfg.HostKey == nil {
		return nil, errors.New("sshd: Sessions, Keys and HostKey must be set")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, log: cfg.Log, now: cfg.Now, handshakes: make(chan struct{}, maxHandshakes), conns: map[*conn]struct{}{}, from: map[string]int{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Serve answers on l until Close, or until l fails.
func (s *Server) Serve(l net.Listener) error {
	defer context.AfterFunc(s.ctx, func() { _ = l.Close() })()
	for {
		tcp, err := l.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				_ = tcp.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors, or a caller that left at once
			s.log.Warn("a caller by SSH could not be taken", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		select {
		case s.handshakes <- struct{}{}:
		default:
			_ = tcp.Close()
			continue
		}
		host, _, _ := net.SplitHostPort(tcp.RemoteAddr().String())
		c := &conn{s: s, tcp: tcp, host: host}
		if !s.add(c) {
			<-s.handshakes
			_ = tcp.Close()
			continue
		}
		go func() {
			defer s.all.Done()
			defer s.remove(c)
			c.serve()
		}()
	}
}

// add notes a connection; false when there are too many, or none are wanted.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.conns) >= maxConns || s.from[c.host] >= maxFromOne {
		return false
	}
	s.from[c.host]++
	s.conns[c] = struct{}{}
	s.all.Add(1)
	return true
}

// handshaken gives the place of a handshake back.
func (s *Server) handshaken(c *conn) {
	<-s.handshakes
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from[c.host]--; s.from[c.host] == 0 {
		delete(s.from, c.host)
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.tcp.Close()
}

// CloseSession ends every connection into a session.
func (s *Server) CloseSession(id string) {
	s.closeWhere(func(c *conn) bool { return c.session.ID == id })
}

// CloseKey ends every connection that came in by a key.
func (s *Server) CloseKey(id string) {
	s.closeWhere(func(c *conn) bool { return c.key.ID == id })
}

func (s *Server) closeWhere(which func(*conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.letIn && which(c) {
			_ = c.tcp.Close()
		}
	}
}

// Close ends every connection and waits until what they held is given back.
func (s *Server) Close() {
	s.mu.Lock()
	s.over = true
	for c := range s.conns {
		_ = c.tcp.Close()
	}
	s.mu.Unlock()
	s.stop()
	s.all.Wait()
}
