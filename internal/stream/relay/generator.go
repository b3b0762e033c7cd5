package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/pion/turn/v5"
)

var errTCP = errors.New("this relay carries UDP only")

// relays knows the addresses that allocations have now.
type relays struct {
	mu   sync.Mutex
	open map[netip.AddrPort]bool
}

func (r *relays) set(a netip.AddrPort, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if open {
		r.open[a] = true
	} else {
		delete(r.open, a)
	}
}

func (r *relays) has(a netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[a]
}

// generator makes the sockets of allocations, on the address that the viewer
// came in by.
type generator struct {
	cfg    Config
	relays *relays
	local  netip.Addr
}

func (g *generator) Validate() error { return nil }

func (g *generator) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	local := g.local
	if v6 := c.Network == "udp6"; v6 != local.Is6() {
		i := slices.IndexFunc(g.cfg.Addrs, func(a netip.Addr) bool { return a.Is6() == v6 })
		if i < 0 {
			return nil, nil, fmt.Errorf("the node has no %s address", c.Network)
		}
		local = g.cfg.Addrs[i]
	}
	u, err := net.ListenUDP(c.Network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, nil, fmt.Errorf("making a relay socket: %w", err)
	}
	at := u.LocalAddr().(*net.UDPAddr).AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	g.relays.set(at, true)
	return &relayConn{UDPConn: u, g: g, at: at}, u.LocalAddr(), nil
}

func (g *generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

func (g *generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errTCP }

// relayConn passes packets to and from the media port and nothing else.
type relayConn struct {
	*net.UDPConn
	g    *generator
	at   netip.AddrPort
	once sync.Once
}

func (c *relayConn) media(a netip.AddrPort) bool {
	return int(a.Port()) == c.g.cfg.MediaPort && slices.Contains(c.g.cfg.Addrs, a.Addr().Unmap())
}

func (c *relayConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, nil, err
		}
		if c.media(from) {
			return n, net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())), nil
		}
	}
}

// WriteTo drops what is for anybody else, as a firewall would.
func (c *relayConn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok || !c.media(u.AddrPort()) {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, to)
}

func (c *relayConn) Close() error {
	c.once.Do(func() { c.g.relays.set(c.at, false) })
	return c.UDPConn.Close()
}
