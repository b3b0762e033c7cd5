package sshd_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/sshd"
)

// world is sessions, keys and machines in memory.
type world struct {
	mu       sync.Mutex
	now      time.Time
	sessions map[string]vitrine.Session
	keys     []vitrine.SSHKey
	touched  map[string]int
	shells   chan *shell // those that were opened
	vitrine.Agent
	vitrine.SSHKeyStore
}

func (w *world) clock() time.Time { return w.now }

func (w *world) Get(_ context.Context, id string) (vitrine.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.sessions[id]
	if !ok {
		return s, vitrine.NotFound("session", id)
	}
	return s, nil
}

func (w *world) Touch(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched[id]++
}

func (w *world) SSHKeysByFingerprint(_ context.Context, f string) (list []vitrine.SSHKey, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		if k.Fingerprint == f {
			list = append(list, k)
		}
	}
	return list, nil
}

// machine is an agent whose shells the test speaks for.
type machine struct {
	vitrine.Agent
	w  *world
	id string
}

func (w *world) agentOf(id string) machine { return machine{w: w, id: id} }

type shell struct {
	vitrine.ShellRequest
	session string
	in      chan string
	out     chan vitrine.ShellOutput
	told    chan string // sizes and signals
	once    sync.Once
	closed  chan struct{}
}

func (m machine) OpenShell(_ context.Context, r vitrine.ShellRequest) (vitrine.Shell, error) {
	s := &shell{ShellRequest: r, session: m.id, in: make(chan string, 64), out: make(chan vitrine.ShellOutput, 64), told: make(chan string, 64), closed: make(chan struct{})}
	m.w.shells <- s
	return s, nil
}

func (m machine) OpenSFTP(context.Context, string) (vitrine.Pipe, error) {
	return nil, vitrine.Errorf(vitrine.ClassRateLimited, "machine_busy", "the machine is busy")
}

func (m machine) OpenTCP(_ context.Context, host string, port int) (vitrine.Pipe, error) {
	if host != "localhost" {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "invalid_request", "not this machine")
	}
	ours, theirs := net.Pipe()
	go func() {
		b := make([]byte, 64)
		n, _ := theirs.Read(b)
		_, _ = theirs.Write([]byte(strings.ToUpper(string(b[:n]))))
		_ = theirs.Close()
	}()
	return halfPipe{ours}, nil
}

type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

func (s *shell) Write(b []byte) (int, error) { s.in <- string(b); return len(b), nil }
func (s *shell) CloseWrite() error           { s.in <- "EOF"; return nil }
func (s *shell) Next() (vitrine.ShellOutput, error) {
	select {
	case o := <-s.out:
		return o, nil
	case <-s.closed:
		return vitrine.ShellOutput{}, io.ErrClosedPipe
	}
}
func (s *shell) Resize(cols, rows uint16) error {
	s.told <- "size " + string(rune('0'+cols)) + "x" + string(rune('0'+rows))
	return nil
}
func (s *shell) Signal(name string) error { s.told <- name; return nil }
func (s *shell) Close() error             { s.once.Do(func() { close(s.closed) }); return nil }

type sessions struct{ *world }

func (s sessions) Agent(_ context.Context, id string) (vitrine.Agent, error) {
	return s.agentOf(id), nil
}

// rig is a server on a port of loopback.
type rig struct {
	*world
	t    *testing.T
	srv  *sshd.Server
	addr string
	host ssh.PublicKey
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w := &world{now: time.Now(), sessions: map[string]vitrine.Session{}, touched: map[string]int{}, shells: make(chan *shell, 8)}
	host := signer(t)
	srv, err := sshd.New(sshd.Config{Sessions: sessions{w}, Keys: w, HostKey: host, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &rig{world: w, t: t, srv: srv, addr: l.Addr().String(), host: host.PublicKey()}
}

func signer(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) session(user string, state vitrine.State) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := vitrine.NewID(vitrine.PrefixSession, r.now)
	r.sessions[id] = vitrine.Session{ID: id, UserID: user, State: state}
	return id
}

// key lets a key in for a user.
func (r *rig) key(id, user string, role vitrine.Role, s ssh.Signer, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, vitrine.SSHKey{ID: id, UserID: user, Role: role, Fingerprint: ssh.FingerprintSHA256(s.PublicKey()), ExpiresAt: expires})
}

// dial gives the connection, or the words of the refusal.
func (r *rig) dial(user string, keys ...ssh.Signer) (*ssh.Client, string) {
	r.t.Helper()
	banner := ""
	c, err := ssh.Dial("tcp", r.addr, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(keys...)}, HostKeyCallback: ssh.FixedHostKey(r.host), Timeout: 10 * time.Second,
		BannerCallback: func(m string) error { banner += m; return nil },
	})
	if err != nil {
		return nil, "refused " + banner
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c, banner
}

func TestWhoMayOpenWhat(t *testing.T) {
	r := newRig(t)
	alice, bob, admin, old, both, stranger := signer(t), signer(t), signer(t), signer(t), signer(t), signer(t)
	r.key("ssh_a", "alice", vitrine.RoleUser, alice, time.Time{})
	r.key("ssh_b", "bob", vitrine.RoleUser, bob, r.now.Add(time.Minute))
	r.key("ssh_r", "root", vitrine.RoleAdmin, admin, time.Time{})
	r.key("ssh_o", "alice", vitrine.RoleUser, old, r.now.Add(-time.Second))
	r.key("ssh_1", "bob", vitrine.RoleUser, both, time.Time{})
	r.key("ssh_2", "alice", vitrine.RoleUser, both, time.Time{})
	ready, ended := r.session("alice", vitrine.StateReady), r.session("alice", vitrine.StateEnded)
	none := vitrine.NewID(vitrine.PrefixSession, r.now.Add(time.Hour))
	for _, tt := range []struct {
		name, user string
		key        ssh.Signer
		says       string // "" when let in
	}{
		{"the owner", ready, alice, ""},
		{"the owner, as root", ready + "+root", alice, ""},
		{"an admin", ready, admin, ""},
		{"one of two who named the same key", ready, both, ""},
		{"another user", ready, bob, "there is no session " + ready},
		{"another user, of a session that is over", ended, bob, "there is no session " + ended},
		{"the owner, of a session that is over", ended, alice, "is ended"},
		{"a session that is not there", none, admin, "there is no session " + none},
		{"a name that is no session", "root", admin, "the user name is the id of a session"},
		{"a name with more behind it", ready + "+admin", admin, "the user name is the id of a session"},
		{"a key that ran out", ready, old, "does not know this key"},
		{"a key that nobody added", ready, stranger, "does not know this key"},
	} {
		c, says := r.dial(tt.user, tt.key)
		if (c != nil) != (tt.says == "") || !strings.Contains(says, tt.says) {
			t.Errorf("%s: let in %v, told %q", tt.name, c != nil, says)
		}
	}
	if _, says := r.dial(ready, stranger, signer(t), signer(t)); strings.Count(says, "does not know") != 1 {
		t.Errorf("three unknown keys: %q", says)
	}
	tries := []ssh.Signer{}
	for range 12 {
		tries = append(tries, signer(t))
	}
	if c, _ := r.dial(ready, append(tries, alice)...); c != nil {
		t.Error("the thirteenth key was still tried")
	}
	if r.touched[ready] == 0 {
		t.Error("the session was not touched")
	}
}

func TestAPasswordIsNotAsked(t *testing.T) {
	r := newRig(t)
	_, err := ssh.Dial("tcp", r.addr, &ssh.ClientConfig{User: r.session("alice", vitrine.StateReady), Auth: []ssh.AuthMethod{ssh.Password("x")}, HostKeyCallback: ssh.FixedHostKey(r.host)})
	if err == nil || !strings.Contains(err.Error(), "no supported methods remain") {
		t.Error(err)
	}
}

func (r *rig) in(user string) (*ssh.Client, *ssh.Session) {
	r.t.Helper()
	key := signer(r.t)
	r.key("ssh_in", "root", vitrine.RoleAdmin, key, time.Time{})
	c, says := r.dial(user, key)
	if c == nil {
		r.t.Fatal(says)
	}
	s, err := c.NewSession()
	if err != nil {
		r.t.Fatal(err)
	}
	return c, s
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came within 10 s")
		panic("unreached")
	}
}

func TestATerminalReachesTheMachine(t *testing.T) {
	r := newRig(t)
	id := r.session("alice", vitrine.StateReady)
	_, s := r.in(id + "+root")
	for name, value := range map[string]string{"LANG": "C.UTF-8", "A": strings.Repeat("x", 60_000), "B=C": "d"} {
		if err := s.Setenv(name, value); (err == nil) != (name == "LANG") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	var stdout, stderr strings.Builder
	s.Stdout, s.Stderr = &stdout, &stderr
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	sh := next(t, r.shells)
	if sh.session != id || sh.User != "root" || sh.Command != "" || *sh.PTY != (vitrine.PTY{Term: "xterm", Cols: 80, Rows: 24}) || len(sh.Env) != 1 {
		t.Errorf("%+v, %+v", sh.ShellRequest, sh.PTY)
	}
	_, _ = io.WriteString(in, "words")
	if got := next(t, sh.in); got != "words" {
		t.Errorf("%q", got)
	}
	_ = s.WindowChange(3, 5)
	_ = s.Signal(ssh.SIGINT)
	_ = s.Signal("NONSENSE")
	_ = s.Signal(ssh.SIGTERM)
	for _, want := range []string{"size 5x3", "INT", "TERM"} {
		if got := next(t, sh.told); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	_ = in.Close()
	if got := next(t, sh.in); got != "EOF" {
		t.Errorf("%q", got)
	}
	sh.out <- vitrine.ShellOutput{Data: []byte("out")}
	sh.out <- vitrine.ShellOutput{Data: []byte("err"), Stderr: true}
	sh.out <- vitrine.ShellOutput{Exit: &vitrine.ShellExit{Code: 7}}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 7 || stdout.String() != "out" || stderr.String() != "err" {
		t.Errorf("%v %q %q", err, stdout.String(), stderr.String())
	}
}

func TestHowACommandEndsIsPassedOn(t *testing.T) {
	r := newRig(t)
	id := r.session("alice", vitrine.StateReady)
	for name, tt := range map[string]struct {
		exit vitrine.ShellExit
		want string
	}{
		"well":                      {vitrine.ShellExit{}, ""},
		"by a signal":               {vitrine.ShellExit{Code: 137, Signal: "KILL"}, "from signal KILL"},
		"by a signal that is none":  {vitrine.ShellExit{Code: 9, Signal: "\x1b"}, "status 9"},
		"because it did not start":  {vitrine.ShellExit{Code: 126, Message: "no shell"}, "status 126"},
		"by the machine's own line": {vitrine.ShellExit{Code: 255}, "status 255"},
	} {
		_, s := r.in(id)
		if err := s.Start("make all"); err != nil {
			t.Fatal(err)
		}
		sh := next(t, r.shells)
		if sh.Command != "make all" || sh.PTY != nil {
			t.Errorf("%+v", sh.ShellRequest)
		}
		sh.out <- vitrine.ShellOutput{Exit: &tt.exit}
		err := s.Wait()
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatRunsEndsWithItsConnection(t *testing.T) {
	r := newRig(t)
	id := r.session("alice", vitrine.StateReady)
	for name, end := range map[string]func(c *ssh.Client, s *ssh.Session){
		"the channel is closed": func(_ *ssh.Client, s *ssh.Session) { _ = s.Close() },
		"the caller leaves":     func(c *ssh.Client, _ *ssh.Session) { _ = c.Close() },
		"the session is over":   func(*ssh.Client, *ssh.Session) { r.srv.CloseSession(id) },
		"the key is removed":    func(*ssh.Client, *ssh.Session) { r.srv.CloseKey("ssh_in") },
		"the daemon stops":      func(*ssh.Client, *ssh.Session) { r.srv.Close() },
	} {
		if name == "the daemon stops" {
			continue // last
		}
		c, s := r.in(id)
		if err := s.Start("sleep"); err != nil {
			t.Fatal(err)
		}
		sh := next(t, r.shells)
		end(c, s)
		select {
		case <-sh.closed:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it runs on", name)
		}
	}
	_, s := r.in(id)
	if err := s.Start("sleep"); err != nil {
		t.Fatal(err)
	}
	sh := next(t, r.shells)
	r.srv.Close()
	<-sh.closed
}

func TestWhatIsNotOfferedIsRefused(t *testing.T) {
	r := newRig(t)
	c, s := r.in(r.session("alice", vitrine.StateReady))
	if err := s.RequestSubsystem("netconf"); err == nil {
		t.Error("a subsystem that is none")
	}
	if _, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("a port of the host was opened")
	}
	if _, _, err := c.OpenChannel("x11", nil); err == nil {
		t.Error("X11")
	}
	if _, err := c.Dial("tcp", "192.0.2.1:80"); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Errorf("another host: %v", err)
	}
	far, err := c.Dial("tcp", "localhost:80")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(far, "words")
	if b, err := io.ReadAll(far); err != nil || string(b) != "WORDS" {
		t.Errorf("%q, %v", b, err)
	}
	var stderr strings.Builder
	s2, _ := c.NewSession()
	s2.Stderr = &stderr
	if err := s2.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
}

func TestTooManyChannels(t *testing.T) {
	r := newRig(t)
	c, _ := r.in(r.session("alice", vitrine.StateReady))
	var err error
	n := 1
	for ; n < 200 && err == nil; n++ {
		_, err = c.NewSession()
	}
	if err == nil || n > 70 || !strings.Contains(err.Error(), "too many channels") {
		t.Errorf("%d channels: %v", n, err)
	}
}

func TestACrowdThatSaysNothing(t *testing.T) {
	r := newRig(t)
	closed := 0
	for range 40 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			closed++
		}
	}
	if closed != 32 {
		t.Errorf("%d of 40 from one address were turned away, want 32", closed)
	}
}
