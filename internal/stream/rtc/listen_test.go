package rtc

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func answerOf(t *testing.T, tr *Transport) *Peer {
	t.Helper()
	p, _, err := tr.Answer(t.Context(), PeerConfig{Log: slog.New(slog.DiscardHandler)}, offerOf("96", vp8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close("done") })
	return p
}

func TestThePublicAddressIsOfferedBesideTheOwn(t *testing.T) {
	tr, err := Listen(Config{Host: "127.0.0.1", PublicIPs: []netip.Addr{netip.MustParseAddr("203.0.113.5")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	var got []string
	for _, c := range answerOf(t, tr).Candidates() {
		f := strings.Fields(c.Candidate)
		got = append(got, f[2]+" "+f[4])
		if f[5] != strconv.Itoa(tr.Port()) {
			t.Errorf("candidate %q is not on the media port", c.Candidate)
		}
	}
	for _, want := range []string{"udp 127.0.0.1", "udp 203.0.113.5", "tcp 127.0.0.1", "tcp 203.0.113.5"} {
		if !strings.Contains(strings.Join(got, ","), want) {
			t.Errorf("no candidate %s in %v", want, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("candidates %v", got)
	}
}

func TestEveryLocalAddressIsOffered(t *testing.T) {
	tr, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	sdp := ""
	for _, c := range answerOf(t, tr).Candidates() {
		sdp += c.Candidate + "\n"
	}
	for _, a := range tr.Addrs() {
		if !strings.Contains(sdp, " "+a.String()+" ") {
			t.Errorf("%v is bound and not in %s", a, sdp)
		}
	}
}

func TestAPortInUseIsAnErrorWithItsNumber(t *testing.T) {
	tr, err := Listen(Config{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	if _, err := Listen(Config{Host: "127.0.0.1", Port: tr.Port()}); err == nil || !strings.Contains(err.Error(), strconv.Itoa(tr.Port())) {
		t.Errorf("%v", err)
	}
}

func TestConnectionsFromElsewhereAreCutOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	bounded := NewListener(l, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) // not where they come in
	go func() { _, _ = bounded.Accept() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the connection closed", err)
	}
}
