package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Reach is whether the TURN port answered at one address that viewers are given.
type Reach struct {
	Addr     netip.AddrPort
	UDP, TCP string // "" when it answered
	Own      bool   // an address of this host; of a router before it otherwise
}

// TURN is the reachability of the relay from this host.
type TURN struct {
	Running bool // our daemon answers there; otherwise we answered ourselves
	Reached []Reach
	Err     string // why it could not be tried
}

// patience is how long an answer of our own host may take; packets that a
// firewall drops are never answered.
const patience = time.Second

// ReadTURN asks the TURN port at each address that viewers are given, by UDP and
// TCP. Where no daemon runs, it listens there itself for that moment, so that a
// firewall or an address that is not this host's shows before the first viewer.
func ReadTURN(ctx context.Context, listenHost string, port int, addrs, own []netip.Addr, running bool) TURN {
	t := TURN{Running: running}
	if !running {
		stop, err := answer(ctx, listenHost, port)
		if err != nil {
			t.Err = reason(err)
			return t
		}
		defer stop()
	}
	for _, a := range addrs {
		at := netip.AddrPortFrom(a, uint16(port))
		t.Reached = append(t.Reached, Reach{Addr: at, UDP: askSTUN(ctx, at), TCP: dial(ctx, at), Own: slices.Contains(own, a)})
	}
	return t
}

// stunHeader is a binding message without attributes (RFC 8489, section 5).
const (
	stunRequest  = 0x0001
	stunSuccess  = 0x0101
	stunCookie   = 0x2112A442
	stunSize     = 20
	stunMaxReply = 1500
)

func stun(kind uint16, transaction []byte) []byte {
	b := make([]byte, 8, stunSize)
	binary.BigEndian.PutUint16(b, kind)
	binary.BigEndian.PutUint32(b[4:], stunCookie)
	return append(b, transaction...)
}

// isAnswer says whether b answers the transaction with success.
func isAnswer(b, transaction []byte) bool {
	return len(b) >= stunSize && binary.BigEndian.Uint16(b) == stunSuccess &&
		binary.BigEndian.Uint32(b[4:]) == stunCookie && bytes.Equal(b[8:stunSize], transaction)
}

// askSTUN asks twice, as packets may be lost, and says what went wrong.
func askSTUN(ctx context.Context, at netip.AddrPort) string {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", at.String())
	if err != nil {
		return reason(err)
	}
	defer conn.Close()
	transaction := make([]byte, 12)
	_, _ = rand.Read(transaction) // never fails (Go 1.24)
	buf := make([]byte, stunMaxReply)
	for range 2 {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write(stun(stunRequest, transaction)); err != nil {
			return reason(err)
		}
		n, err := conn.Read(buf)
		var timeout net.Error
		switch {
		case err == nil && isAnswer(buf[:n], transaction):
			return ""
		case err == nil:
			return "something else answers there"
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			continue
		default:
			return reason(err)
		}
	}
	return fmt.Sprintf("no answer within %s", 2*patience)
}

func dial(ctx context.Context, at netip.AddrPort) string {
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return reason(err)
	}
	conn.Close()
	return ""
}

// answer answers STUN on the port until stop.
func answer(ctx context.Context, host string, port int) (stop func(), err error) {
	var c net.ListenConfig
	addr := net.JoinHostPort(host, fmt.Sprint(port))
	udp, err := c.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	tcp, err := c.Listen(ctx, "tcp", addr)
	if err != nil {
		udp.Close()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, stunMaxReply)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if n == stunSize && binary.BigEndian.Uint16(buf) == stunRequest {
				_, _ = udp.WriteTo(stun(stunSuccess, buf[8:stunSize]), from)
			}
		}
	}()
	return func() {
		tcp.Close() // the kernel has taken our own connection by itself
		udp.Close()
		<-done
	}, nil
}

// Judge wants both at every address.
func (t TURN) Judge() vitrine.Finding {
	const check = "TURN"
	who := "the daemon answers"
	if !t.Running {
		who = "no daemon runs; asked of ourselves"
	}
	switch {
	case t.Err != "":
		return warn(check, "see the check of the ports", "not tried: the port cannot be had (%s)", t.Err)
	case len(t.Reached) == 0:
		return warn(check, "set VITRINE_PUBLIC_IP to the address that viewers reach", "this host has no address that a viewer could reach")
	}
	var good, bad []string
	allOwn := true
	for _, r := range t.Reached {
		switch {
		case r.UDP == "" && r.TCP == "":
			good = append(good, r.Addr.String())
		default:
			allOwn = allOwn && r.Own
			bad = append(bad, fmt.Sprintf("%s: UDP %s, TCP %s", r.Addr, orOK(r.UDP), orOK(r.TCP)))
		}
	}
	if len(bad) == 0 {
		return pass(check, "%s by UDP and TCP at %s", who, strings.Join(good, ", "))
	}
	remedy := fmt.Sprintf("let UDP and TCP port %d in (firewall, port forwarding), or correct VITRINE_PUBLIC_IP", t.Reached[0].Addr.Port())
	if !allOwn {
		return warn(check, remedy+"; try it from outside too: not every router sends packets back to where they came from", "not reached from this host: %s", strings.Join(bad, "; "))
	}
	if len(good) == 0 {
		return fail(check, remedy, "not reached from this host: %s", strings.Join(bad, "; "))
	}
	return warn(check, remedy, "reached at %s, but not everywhere: %s", strings.Join(good, ", "), strings.Join(bad, "; "))
}

func orOK(s string) string {
	if s == "" {
		return "ok"
	}
	return s
}
