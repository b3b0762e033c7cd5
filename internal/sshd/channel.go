package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

// channel opens one channel and serves it to its end.
func (c *conn) channel(ctx context.Context, n ssh.NewChannel) {
	switch n.ChannelType() {
	case "session":
		ch, reqs, err := n.Accept()
		if err != nil {
			return
		}
		(&sessionChannel{conn: c, Channel: ch, reqs: reqs, env: map[string]string{}}).serve(ctx)
	case "direct-tcpip":
		c.forward(ctx, n)
	default:
		_ = n.Reject(ssh.UnknownChannelType, "vitrine offers sessions and forwarding to ports of the machine")
	}
}

// forward joins a channel with a port of the machine.
func (c *conn) forward(ctx context.Context, n ssh.NewChannel) {
	to, err := parseForward(n.ExtraData())
	if err != nil {
		_ = n.Reject(ssh.Prohibited, err.Error())
		return
	}
	far, err := c.openPipe(ctx, func(ctx context.Context, m vitrine.Shells) (vitrine.Pipe, error) {
		return m.OpenTCP(ctx, to.Host, int(to.Port))
	})
	if err != nil {
		reason := ssh.ConnectionFailed
		if vitrine.ClassOf(err) == vitrine.ClassInvalid {
			reason = ssh.Prohibited
		}
		_ = n.Reject(reason, words(err))
		return
	}
	defer far.Close()
	ch, reqs, err := n.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	join(ctx, ch, far)
}

// openPipe asks the machine for a stream, within its time.
func (c *conn) openPipe(ctx context.Context, open func(context.Context, vitrine.Shells) (vitrine.Pipe, error)) (vitrine.Pipe, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	machine, err := c.shells(ctx)
	if err != nil {
		return nil, err
	}
	return open(ctx, machine)
}

// join carries bytes both ways until both ends have ended, or one broke.
func join(ctx context.Context, ch ssh.Channel, far vitrine.Pipe) {
	defer context.AfterFunc(ctx, func() { _, _ = far.Close(), ch.Close() })()
	var both sync.WaitGroup
	carry := func(to interface {
		io.Writer
		CloseWrite() error
	}, from io.Reader) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			_, _ = far.Close(), ch.Close()
		}
	}
	both.Go(func() { carry(far, ch) })
	both.Go(func() { carry(ch, far) })
	both.Wait()
	_, _ = far.Close(), ch.Close()
}

// sessionChannel is a channel that runs one thing: it is told about terminal and
// environment first, then what to run (RFC 4254, 6).
type sessionChannel struct {
	*conn
	ssh.Channel
	reqs <-chan *ssh.Request
	env  map[string]string
	pty  *vitrine.PTY
}

func (s *sessionChannel) serve(ctx context.Context) {
	defer s.Close()
	for {
		var r *ssh.Request
		var ok bool
		select {
		case <-ctx.Done():
			return
		case r, ok = <-s.reqs:
		}
		if !ok {
			return
		}
		run, err := s.prepare(r)
		if r.WantReply {
			_ = r.Reply(err == nil, nil)
		}
		if run != nil {
			run(ctx)
			return
		}
	}
}

// prepare takes one request; the function it gives is what to run then.
func (s *sessionChannel) prepare(r *ssh.Request) (run func(context.Context), err error) {
	switch r.Type {
	case "pty-req":
		s.pty, err = parsePTY(r.Payload)
	case "env":
		var name, value string
		if name, value, err = parseEnv(r.Payload); err == nil && len(s.env) < vitrine.MaxShellEnv {
			s.env[name] = value
			if size(s.env) > vitrine.MaxShellRequest-vitrine.MaxShellCommand {
				delete(s.env, name)
			}
		}
	case "shell":
		return func(ctx context.Context) { s.shell(ctx, "") }, nil
	case "exec":
		var command string
		if command, err = parseText(r.Payload, vitrine.MaxShellCommand); err == nil {
			return func(ctx context.Context) { s.shell(ctx, command) }, nil
		}
	case "subsystem":
		var name string
		if name, err = parseText(r.Payload, 64); err == nil && name == "sftp" {
			return s.sftp, nil
		}
		return nil, errors.New("no such subsystem")
	default: // x11-req, auth-agent-req@openssh.com: not offered
		return nil, errors.New("not offered")
	}
	return nil, err
}

func size(env map[string]string) (n int) {
	for name, value := range env {
		n += len(name) + len(value)
	}
	return n
}

func (s *sessionChannel) sftp(ctx context.Context) {
	go ssh.DiscardRequests(s.reqs)
	far, err := s.openPipe(ctx, func(ctx context.Context, m vitrine.Shells) (vitrine.Pipe, error) { return m.OpenSFTP(ctx, s.user) })
	if err != nil {
		s.fail(err)
		return
	}
	// The server in the machine has no more to say once the caller has left.
	defer context.AfterFunc(ctx, func() { _ = far.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(far, s.Channel); err != nil || far.CloseWrite() != nil {
			_ = far.Close()
		}
	}()
	_, _ = io.Copy(s.Channel, far)
	_ = far.Close()
	s.exit(vitrine.ShellExit{})
	_ = s.Close()
	<-done
}

// shell runs a command, or the login shell, to its end or the caller's.
func (s *sessionChannel) shell(ctx context.Context, command string) {
	open, cancel := context.WithTimeout(ctx, openTime)
	machine, err := s.shells(open)
	var sh vitrine.Shell
	if err == nil {
		sh, err = machine.OpenShell(open, vitrine.ShellRequest{Command: command, Env: s.env, User: s.user, PTY: s.pty})
	}
	cancel()
	if err != nil {
		go ssh.DiscardRequests(s.reqs)
		s.fail(err)
		return
	}
	defer sh.Close()
	defer context.AfterFunc(ctx, func() { _ = sh.Close() })()
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := io.Copy(sh, s.Channel); err == nil {
			_ = sh.CloseWrite()
		}
	})
	all.Go(func() {
		s.control(sh)
		_ = sh.Close() // the caller closed the channel
	})
	s.output(sh)
	_ = sh.Close()
	_ = s.Close()
	all.Wait()
}

// output passes on what the command prints, and how it ended.
func (s *sessionChannel) output(sh vitrine.Shell) {
	for {
		out, err := sh.Next()
		switch {
		case err != nil:
			s.fail(fmt.Errorf("reading from the machine: %w", err))
			return
		case out.Exit != nil:
			s.exit(*out.Exit)
			return
		case out.Stderr:
			_, err = s.Stderr().Write(out.Data)
		default:
			_, err = s.Write(out.Data)
		}
		if err != nil {
			return
		}
	}
}

// control passes on what the caller asks while the command runs.
func (s *sessionChannel) control(sh vitrine.Shell) {
	for r := range s.reqs {
		err := errors.New("not now")
		switch r.Type {
		case "window-change":
			var cols, rows uint16
			if cols, rows, err = parseWindow(r.Payload); err == nil && s.pty != nil {
				err = sh.Resize(cols, rows)
			}
		case "signal":
			var name string
			if name, err = parseText(r.Payload, 16); err == nil && signals[name] {
				err = sh.Signal(name)
			}
		}
		if r.WantReply {
			_ = r.Reply(err == nil, nil)
		}
	}
}

// exitFailed is what OpenSSH's client itself gives when a connection fails.
const exitFailed = 255

func (s *sessionChannel) fail(err error) {
	s.log(err)
	_, _ = io.WriteString(s.Stderr(), "vitrine: "+words(err)+"\r\n")
	s.exit(vitrine.ShellExit{Code: exitFailed})
}

func (s *sessionChannel) log(err error) {
	s.s.log.Debug("a channel of SSH ended early", "session", s.session.ID, "error", err)
}

// exit tells how it ended, after all output.
func (s *sessionChannel) exit(e vitrine.ShellExit) {
	if e.Message != "" {
		_, _ = io.WriteString(s.Stderr(), "vitrine: "+e.Message+"\r\n")
	}
	_ = s.CloseWrite()
	if signals[e.Signal] {
		_, _ = s.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{Signal: e.Signal}))
		return
	}
	_, _ = s.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(e.Code)}))
}
