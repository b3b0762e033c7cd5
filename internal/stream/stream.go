package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/hub"
	"github.com/vitrine-dev/vitrine/internal/stream/relay"
	"github.com/vitrine-dev/vitrine/internal/stream/rtc"
)

// Config is what Streams needs.
type Config struct {
	Agents vitrine.Agents
	// SessionState finds a session, for the state messages of viewers.
	SessionState func(ctx context.Context, id string) (vitrine.Session, error)
	// OnActivity hears, at most once a second per session, that somebody works
	// in it: for the idle timeout. May be nil.
	OnActivity func(sessionID string)

	// ListenHost is the address that the daemon listens on; "" or an
	// unspecified one binds every local address.
	ListenHost string
	// MediaPort is UDP and TCP; TURNPort too. 0 picks one, for tests.
	MediaPort, TURNPort int
	// PublicIPs are addresses that a NAT maps to this node, one to one.
	PublicIPs []netip.Addr
	// PublicHost is the host name or address by which viewers reach TURN; ""
	// takes the first of PublicIPs, else the host that the viewer came by.
	PublicHost string
	// SkipInterfaces are not bound: the machines' bridge.
	SkipInterfaces []string
	// DenyPeers are never sent connectivity checks: the machines' subnet.
	DenyPeers []netip.Prefix

	// TURNSecret and ResumeKey are at least 16 random bytes each. The resume
	// key must outlive the daemon, or viewers lose their id at a restart.
	TURNSecret, ResumeKey []byte

	// Origins are host patterns (path.Match) of pages that may open sockets
	// beside the node's own host: that of VITRINE_PUBLIC_URL.
	Origins []string

	Log *slog.Logger
}

// Streams is vitrine.Streams.
type Streams struct {
	cfg   Config
	rtc   *rtc.Transport
	relay *relay.Server
	hub   *hub.Hub
	live  registry

	mu    sync.Mutex
	plain map[caller]*direct
	whep  map[string]*direct

	end func() error // close, once
}

var (
	_ vitrine.Streams       = (*Streams)(nil)
	_ vitrine.StreamCounter = (*Streams)(nil)
)

// New binds the ports and begins to serve.
func New(cfg Config) (*Streams, error) {
	if cfg.Agents == nil || cfg.Log == nil {
		return nil, errors.New("stream: Agents and Log must be set")
	}
	if len(cfg.ResumeKey) < 16 {
		return nil, errors.New("stream: the resume key is shorter than 16 bytes")
	}
	transport, err := rtc.Listen(rtc.Config{
		Host: cfg.ListenHost, Port: cfg.MediaPort, PublicIPs: cfg.PublicIPs, SkipIfs: cfg.SkipInterfaces, Deny: cfg.DenyPeers,
	})
	if err != nil {
		return nil, err
	}
	server, err := relay.Listen(relay.Config{
		Addrs: transport.Addrs(), Port: cfg.TURNPort, MediaPort: transport.Port(), Secret: cfg.TURNSecret,
	})
	if err != nil {
		return nil, errors.Join(err, transport.Close())
	}
	s := &Streams{
		cfg: cfg, rtc: transport, relay: server,
		hub: hub.New(hub.Config{
			Agents: cfg.Agents, SessionState: cfg.SessionState, ResumeKey: cfg.ResumeKey, OnActivity: cfg.OnActivity, Log: cfg.Log,
		}),
		plain: map[caller]*direct{}, whep: map[string]*direct{},
	}
	s.end = sync.OnceValue(s.close)
	return s, nil
}

// MediaPort and TURNPort are the ports in force.
func (s *Streams) MediaPort() int { return s.rtc.Port() }

// TURNPort is the TURN server's port, UDP and TCP.
func (s *Streams) TURNPort() int { return s.relay.Port() }

// stopping is what viewers are told when the daemon goes; with it goes status
// 1012 (IANA's registry of WebSocket close codes: service restart), by which a
// program knows that coming back is worth it.
const stopping = "the node is stopping; come back in a moment"

// closeTimeout bounds the wait for connections to end: a write to a dead viewer
// over TCP takes 5 s to give up.
const closeTimeout = 15 * time.Second

// Close tells every viewer that the node is stopping, ends every connection and
// the ports. A second Close waits for the first.
func (s *Streams) Close() error { return s.end() }

func (s *Streams) close() error {
	s.live.shut(func(*live) bool { return true }, websocket.StatusServiceRestart, stopping)
	done := make(chan error, 1)
	go func() {
		s.hub.Close()
		s.live.wait()
		done <- errors.Join(s.relay.Close(), s.rtc.Close())
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return fmt.Errorf("closing viewers' connections took longer than %v", closeTimeout)
	}
}

// CloseTicket ends every live connection that came in by the ticket.
func (s *Streams) CloseTicket(ticketID string) {
	if ticketID == "" {
		return
	}
	s.hub.CloseTicket(ticketID)
	s.live.shut(func(l *live) bool { return l.viewer.TicketID == ticketID }, websocket.StatusGoingAway, "the ticket was revoked")
}

// CloseSession tells a session's viewers its state and ends every connection.
func (s *Streams) CloseSession(sessionID string) {
	s.hub.CloseSession(sessionID)
	s.live.shut(func(l *live) bool { return l.viewer.SessionID == sessionID && l.kind != kindSignal }, websocket.StatusGoingAway, "the session is over")
}

// Viewers says how many are attached now.
func (s *Streams) Viewers(sessionID string) int { return s.hub.Viewers(sessionID) }

// StreamFigures implements vitrine.StreamCounter.
func (s *Streams) StreamFigures() vitrine.StreamFigures {
	h := s.hub.Stats()
	f := vitrine.StreamFigures{ViewersByPath: h.ByPath, Sockets: s.live.count(), Relays: s.relay.Allocations(), Video: map[vitrine.Codec]vitrine.VideoFigures{}}
	for codec, v := range h.Video {
		f.Video[codec] = vitrine.VideoFigures{
			Viewers: v.Viewers, Frames: v.Frames, Bytes: v.Bytes, Dropped: v.Dropped, Keyframes: v.Keyframes, Opened: v.Opened,
		}
	}
	return f
}
