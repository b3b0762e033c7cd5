package stream

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/rtc"
)

func turnClient(t testing.TB, server vitrine.ICEServer) *turn.Client {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(server.URLs[0], "turn:"), "?transport=udp")
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, Conn: c, Username: server.Username, Password: server.Credential, Realm: "vitrine",
		LoggerFactory: rtc.Quiet, RTO: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); _ = c.Close() })
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	return client
}

// relayTo sends a datagram through the relay.
func relayTo(t testing.TB, server vitrine.ICEServer, to net.Addr) {
	t.Helper()
	relayed, err := turnClient(t, server).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = relayed.Close() }()
	_, _ = relayed.WriteTo([]byte("hello"), to) // an error is as good as silence
}

func TestRelayRefusesPeersAndCredentials(t *testing.T) {
	n := start(t, newFakeAgent())
	good := n.s.ICEServers("a", time.Now())[1]
	relayed, err := turnClient(t, good).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = relayed.Close() }()
	if _, err := relayed.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: n.s.MediaPort()}); err == nil {
		t.Error("a permission for another host was given")
	}
	bad := good
	bad.Credential = "guess"
	if _, err := turnClient(t, bad).Allocate(); err == nil {
		t.Error("a wrong password was taken")
	}
	old := n.s.ICEServers("a", time.Now().Add(-3*time.Hour))[1]
	if _, err := turnClient(t, old).Allocate(); err == nil {
		t.Error("an expired credential was taken")
	}
}
