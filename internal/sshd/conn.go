package sshd

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

// conn is one caller.
type conn struct {
	s    *Server
	tcp  net.Conn
	host string // where it comes from

	entry      // set by the handshake, and read by others once letIn is
	letIn bool // under the server's lock

	channels chan struct{}
}

// serve is a caller's whole stay.
func (c *conn) serve() {
	client, chans, reqs, err := c.handshake()
	c.s.handshaken(c)
	if err != nil {
		c.s.log.Debug("a caller by SSH was not let in", "from", c.tcp.RemoteAddr(), "error", err)
		return
	}
	defer client.Close()
	log := c.s.log.With("session", c.session.ID, "user", c.key.UserID, "ssh_key", c.key.ID)
	log.Info("somebody came in by SSH", "from", c.tcp.RemoteAddr(), "root", c.user == "root")
	began := time.Now()
	ctx, cancel := context.WithCancel(c.s.ctx)
	var all sync.WaitGroup
	all.Go(func() { c.answer(reqs) })
	all.Go(func() { c.stayAwake(ctx, client) })
	c.channels = make(chan struct{}, maxChannels)
	for ch := range chans {
		select {
		case c.channels <- struct{}{}:
			all.Go(func() {
				defer func() { <-c.channels }()
				c.channel(ctx, ch)
			})
		default:
			_ = ch.Reject(ssh.ResourceShortage, "too many channels are open on this connection")
		}
	}
	cancel() // the caller left, or was put out: what it opened ends
	all.Wait()
	c.s.cfg.Sessions.Touch(c.session.ID)
	log.Info("a caller by SSH left", "after", time.Since(began).Round(time.Millisecond))
}

// handshake lets the caller in, within its time.
func (c *conn) handshake() (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	ctx, cancel := context.WithTimeout(c.s.ctx, handshakeTime)
	defer cancel()
	_ = c.tcp.SetDeadline(time.Now().Add(handshakeTime))
	client, chans, reqs, err := ssh.NewServerConn(c.tcp, c.sshConfig(ctx))
	if err != nil {
		return nil, nil, nil, err
	}
	_ = c.tcp.SetDeadline(time.Time{})
	// From here on the session's end and the key's removal find this
	// connection; what happened before is looked at once more.
	c.s.mu.Lock()
	c.letIn = true
	over := c.s.over
	c.s.mu.Unlock()
	if over {
		err = errors.New("the daemon stops")
	} else {
		_, err = c.s.admit(ctx, client.User(), c.key.Fingerprint)
	}
	if err != nil {
		_ = client.Close()
		return nil, nil, nil, err
	}
	return client, chans, reqs, nil
}

// answer takes requests for the whole connection: none is known but the
// caller's own sign of life, whose refusal is the answer it waits for.
func (c *conn) answer(reqs <-chan *ssh.Request) {
	for r := range reqs {
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// stayAwake counts the connection as use of its session, and hangs up on a
// caller that no longer answers.
func (c *conn) stayAwake(ctx context.Context, client ssh.Conn) {
	tick := time.NewTicker(min(keepalive, touchEvery))
	defer tick.Stop()
	for {
		c.s.cfg.Sessions.Touch(c.session.ID)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silent := time.AfterFunc(keepaliveWait, func() { _ = c.tcp.Close() })
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			_ = c.tcp.Close()
			return
		}
	}
}

// shells finds the machine, for one channel.
func (c *conn) shells(ctx context.Context) (vitrine.Shells, error) {
	agent, err := c.s.cfg.Sessions.Agent(ctx, c.session.ID)
	if err != nil {
		return nil, err
	}
	shells, ok := agent.(vitrine.Shells)
	if !ok {
		return nil, vitrine.Errorf(vitrine.ClassConflict, "not_in_this_machine", "this machine cannot be entered by SSH")
	}
	return shells, nil
}

// words are what a caller may see of an error.
func words(err error) string {
	var known *vitrine.Error
	if errors.As(err, &known) && known.Class != vitrine.ClassInternal {
		return known.Message
	}
	return "it could not be done; the daemon's log says why"
}
