package rtc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// Config says where the media port is.
type Config struct {
	Host      string       // an address to bind alone; "" or unspecified: all local addresses
	Port      int          // UDP and TCP; 0 picks one, for tests
	PublicIPs []netip.Addr // addresses that a NAT maps here, one to one, same port
	SkipIfs   []string     // interfaces not to bind: the machines' bridge
	Deny      []netip.Prefix
	Log       *slog.Logger
}

// Transport is the media port. It is safe for concurrent use.
type Transport struct {
	cfg   Config
	addrs []netip.Addr
	port  int
	udp   ice.UDPMux
	tcp   ice.TCPMux
	cert  webrtc.Certificate
	rules []webrtc.ICEAddressRewriteRule
	peers sync.WaitGroup
}

// portTries is how often port 0 is tried: the UDP port picked may be taken for
// TCP.
const portTries = 8

// Listen binds the media port.
func Listen(cfg Config) (*Transport, error) {
	addrs, err := LocalAddrs(cfg.Host, cfg.SkipIfs)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key) // one for all peers: making one costs each connection
	if err != nil {
		return nil, fmt.Errorf("making the DTLS certificate: %w", err)
	}
	var udp []*net.UDPConn
	var tcp net.Listener
	var port int
	for try := 1; ; try++ {
		if udp, port, err = BindUDP(addrs, cfg.Port, "media port"); err != nil {
			return nil, err
		}
		host := ""
		if len(addrs) == 1 {
			host = addrs[0].String()
		}
		if tcp, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			break
		}
		closeAll(udp)
		if cfg.Port != 0 || try == portTries {
			return nil, fmt.Errorf("binding media port %d (TCP): %w", port, err)
		}
	}
	t := &Transport{cfg: cfg, port: port, cert: *cert}
	var muxes []ice.UDPMux
	for _, c := range udp {
		t.addrs = append(t.addrs, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: quiet}))
	}
	t.udp = ice.NewMultiUDPMuxDefault(muxes...)
	t.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: NewListener(tcp, t.addrs), ReadBufferSize: 64, Logger: quiet,
		FirstStunBindTimeout: 5 * time.Second, AliveDurationForConnFromStun: 10 * time.Second,
	})
	for _, public := range cfg.PublicIPs {
		if local, ok := primary(t.addrs, public); ok && local != public {
			t.rules = append(t.rules, webrtc.ICEAddressRewriteRule{
				External: []string{public.String()}, Local: local.String(),
				AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
			})
		}
	}
	return t, nil
}

// Addrs are the bound addresses; Port the port, UDP and TCP.
func (t *Transport) Addrs() []netip.Addr { return t.addrs }

// Port is the media port in force.
func (t *Transport) Port() int { return t.port }

// Close ends the port, once every peer has ended: whoever made them closes them
// before.
func (t *Transport) Close() error {
	t.peers.Wait()
	return errors.Join(t.udp.Close(), t.tcp.Close())
}

// Reachable says whether the node may send connectivity checks to an address
// that a viewer offered.
func (t *Transport) Reachable(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() ||
		a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	for _, p := range t.cfg.Deny {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func (t *Transport) settings() (webrtc.SettingEngine, error) {
	var s webrtc.SettingEngine
	s.SetICEUDPMux(t.udp)
	s.SetICETCPMux(t.tcp)
	s.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
	bound := map[netip.Addr]bool{}
	for _, a := range t.addrs {
		bound[a] = true
	}
	s.SetIPFilter(func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && bound[a.Unmap()]
	})
	s.SetRemoteIPFilter(func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && t.Reachable(a)
	})
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetICETimeouts(5*time.Second, 15*time.Second, 2*time.Second)
	s.SetSCTPMaxReceiveBufferSize(2 * MaxMessage)
	s.SetSCTPMaxMessageSize(MaxMessage)
	s.SetDTLSInsecureSkipHelloVerify(true) // ICE has proved the address before DTLS begins
	s.LoggerFactory = quietFactory{}
	if err := s.SetICEAddressRewriteRules(t.rules...); err != nil {
		return s, fmt.Errorf("setting the public address: %w", err)
	}
	return s, nil
}
