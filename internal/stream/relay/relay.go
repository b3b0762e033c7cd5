// Package relay is the embedded TURN server: the way in for viewers whose
// network lets neither UDP nor TCP through to the media port, but does let them
// reach VITRINE_TURN_PORT.
//
// It must never be an open proxy. Credentials are short-lived (the TURN REST
// scheme: an expiry as user name, its HMAC as password), and an allocation can
// exchange packets with one thing only: the node's own addresses on the media
// port. Both the permission and every packet, each way, are held to that, so a
// credential that leaks gives nothing that the media port itself does not give.
// Allocations are bounded, in all and per user; TCP relaying is refused.
//
// It shares the listener bounds of package rtc and knows no session.
package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/turn/v5"

	"github.com/vitrine-dev/vitrine/internal/stream/rtc"
)

// Bounds of allocations. A browser makes one for each of its addresses and each
// URL it is given, for each connection attempt.
const (
	maxAllocations        = 512
	maxAllocationsPerUser = 64
)

// realm is what RFC 8489 wants in the key; it says nothing.
const realm = "vitrine"

// Config makes a Server.
type Config struct {
	Addrs     []netip.Addr // local addresses to listen on, those of the media port
	Port      int          // UDP and TCP; 0 picks one, for tests
	MediaPort int          // the only port that a relay may reach
	Secret    []byte       // of the credentials; any node that shares it may mint them
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Server is a running TURN server.
type Server struct {
	cfg    Config
	port   int
	server *turn.Server
	relays *relays

	mu     sync.Mutex
	byUser map[string]int // allocations
	total  int
}

// Listen starts the server.
func Listen(cfg Config) (*Server, error) {
	if len(cfg.Secret) < 16 {
		return nil, errors.New("the TURN secret is shorter than 16 bytes")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, byUser: map[string]int{}, relays: &relays{open: map[netip.AddrPort]bool{}}}
	udp, tcp, port, err := bind(cfg.Addrs, cfg.Port)
	if err != nil {
		return nil, err
	}
	s.port = port
	permit := func(_ net.Addr, peer net.IP) bool {
		a, ok := netip.AddrFromSlice(peer)
		return ok && slices.Contains(cfg.Addrs, a.Unmap())
	}
	sc := turn.ServerConfig{
		Realm: realm, LoggerFactory: rtc.Quiet, AuthHandler: s.authenticate, QuotaHandler: s.quota,
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(_, _ net.Addr, _, user, _ string, _ net.Addr, _ int) { s.count(user, 1) },
			OnAllocationDeleted: func(_, _ net.Addr, _, user, _ string) { s.count(user, -1) },
		},
	}
	for _, c := range udp {
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		sc.PacketConnConfigs = append(sc.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: c, PermissionHandler: permit,
			RelayAddressGenerator: &generator{cfg: cfg, relays: s.relays, local: local},
		})
	}
	sc.ListenerConfigs = []turn.ListenerConfig{{
		Listener: rtc.NewListener(tcp, cfg.Addrs), PermissionHandler: permit,
		RelayAddressGenerator: &generator{cfg: cfg, relays: s.relays, local: cfg.Addrs[0]},
	}}
	if s.server, err = turn.NewServer(sc); err != nil {
		for _, c := range udp {
			_ = c.Close()
		}
		_ = tcp.Close()
		return nil, fmt.Errorf("starting the TURN server: %w", err)
	}
	return s, nil
}

// bind takes the port on every address for UDP and once for TCP. Port 0 picks
// one that is free for both.
func bind(addrs []netip.Addr, want int) (udp []*net.UDPConn, tcp net.Listener, port int, err error) {
	for try := 1; ; try++ {
		if udp, port, err = rtc.BindUDP(addrs, want, "TURN port"); err != nil {
			return nil, nil, 0, err
		}
		host := ""
		if len(addrs) == 1 {
			host = addrs[0].String()
		}
		if tcp, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return udp, tcp, port, nil
		}
		for _, c := range udp {
			_ = c.Close()
		}
		if want != 0 || try == 8 {
			return nil, nil, 0, fmt.Errorf("binding TURN port %d (TCP): %w", port, err)
		}
	}
}

// Port is the port in force.
func (s *Server) Port() int { return s.port }

// IsRelay says whether an address is that of one of our allocations now.
func (s *Server) IsRelay(a netip.AddrPort) bool { return s.relays.has(a) }

// Allocations says how many there are.
func (s *Server) Allocations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Close ends the server and every allocation.
func (s *Server) Close() error { return s.server.Close() }

func (s *Server) quota(user, _ string, _ net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total < maxAllocations && s.byUser[user] < maxAllocationsPerUser
}

func (s *Server) count(user string, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += by
	if s.byUser[user] += by; s.byUser[user] <= 0 {
		delete(s.byUser, user)
	}
}
