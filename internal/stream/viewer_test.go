package stream

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/rtc"
)

const session = "ses_0000000000000000000000test"

var (
	turnKey   = []byte("0123456789abcdef-turn")
	resumeKey = []byte("0123456789abcdef-resume")
)

// node is a Streams on loopback with a fake machine and an HTTP server before
// it. Who the viewer is stands in the URL.
type node struct {
	t      testing.TB
	s      *Streams
	agents *fakeAgents
	agent  *fakeAgent
	http   *httptest.Server
	state  atomic.Pointer[vitrine.Session]
}

func start(t testing.TB, agent *fakeAgent) *node {
	t.Helper()
	before := runtime.NumGoroutine()
	n := &node{t: t, agent: agent, agents: &fakeAgents{agent: agent}}
	n.state.Store(&vitrine.Session{ID: session, State: vitrine.StateReady, Viewport: vitrine.Viewport{Width: 320, Height: 240}})
	n.open()
	n.http = httptest.NewServer(http.HandlerFunc(n.serve))
	t.Cleanup(func() {
		n.http.CloseClientConnections()
		if err := n.s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		n.http.Close()
		noLeak(t, before)
	})
	return n
}

func (n *node) open() {
	n.t.Helper()
	s, err := New(Config{
		Agents: n.agents, ListenHost: "127.0.0.1", TURNSecret: turnKey, ResumeKey: resumeKey, Log: testLog(n.t),
		SessionState: func(context.Context, string) (vitrine.Session, error) { return *n.state.Load(), nil },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.s = s
}

func (n *node) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := vitrine.Viewer{SessionID: session, Scope: vitrine.Scope(q.Get("scope")), UserID: q.Get("user"), TicketID: q.Get("ticket")}
	switch r.URL.Path {
	case "/signal":
		n.s.Signal(w, r, v)
	case "/vnc":
		n.s.VNC(w, r, v, q.Get("viewer"))
	case "/cdp":
		n.s.CDP(w, r, v)
	}
}

func noLeak(t testing.TB, before int) {
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+2 { // the HTTP client's and the runtime's own come and go
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// eventually waits for a state that no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// message is any message of the node, by the fields a test looks at.
type message struct {
	Type       string              `json:"type"`
	ViewerID   string              `json:"viewer_id"`
	Resume     string              `json:"resume"`
	ICEServers []vitrine.ICEServer `json:"ice_servers"`
	Viewport   vitrine.Viewport    `json:"viewport"`
	Viewers    []struct {
		ID, Path string
		Away     bool
	} `json:"viewers"`
	Controller string `json:"controller"`
	SDP        string `json:"sdp"`
	Code       string `json:"code"`
	Text       string `json:"s"`
	W          int    `json:"w"`
	State      string `json:"state"`
	Reason     string `json:"ended_reason"`
	T          int    `json:"t"`
}

// tab is a viewer's signal socket.
type tab struct {
	t      testing.TB
	ws     *websocket.Conn
	id     string
	resume string
	hello  message
	in     chan message
	closed chan error
}

func (n *node) tab(query string) *tab {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, n.http.URL+"/signal?"+query, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	ws.SetReadLimit(8 << 20)
	b := &tab{t: n.t, ws: ws, in: make(chan message, 1024), closed: make(chan error, 1)}
	go func() {
		for {
			_, raw, err := ws.Read(context.Background())
			if err != nil {
				b.closed <- err
				close(b.in)
				return
			}
			var m message
			if err := json.Unmarshal(raw, &m); err != nil {
				n.t.Errorf("the node said %q: %v", raw, err)
			}
			b.in <- m
		}
	}()
	n.t.Cleanup(func() { _ = ws.CloseNow() })
	b.hello = b.wait("hello", func(m message) bool { return m.Type == "hello" })
	b.id, b.resume = b.hello.ViewerID, b.hello.Resume
	return b
}

func (b *tab) send(v any) {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	if s, ok := v.(string); ok {
		raw = []byte(s)
	}
	if err := b.ws.Write(context.Background(), websocket.MessageText, raw); err != nil {
		b.t.Fatal(err)
	}
}

// wait reads until a message fits; resume secrets are kept on the way.
func (b *tab) wait(what string, fits func(message) bool) message {
	b.t.Helper()
	timeout := time.After(15 * time.Second)
	for {
		select {
		case m, ok := <-b.in:
			if !ok {
				b.t.Fatalf("the socket closed before: %s", what)
			}
			if m.Type == "resume" {
				b.resume = m.Resume
			}
			if fits(m) {
				return m
			}
		case <-timeout:
			b.t.Fatalf("never told: %s", what)
		}
	}
}

func (b *tab) controller(id string) {
	b.t.Helper()
	b.wait("controller "+id, func(m message) bool { return m.Type == "viewers" && m.Controller == id })
}

// player is a viewer's WebRTC end.
type player struct {
	t      testing.TB
	pc     *webrtc.PeerConnection
	input  *webrtc.DataChannel
	moves  *webrtc.DataChannel
	up     chan struct{}
	frames chan bool // a frame has begun: was it a keyframe?
	bytes  atomic.Int64
	delay  atomic.Bool // every packet had playout-delay 0
	track  atomic.Pointer[webrtc.TrackRemote]
}

// how says by which way a player may come.
type how struct {
	network []webrtc.NetworkType
	relay   string // "", "udp" or "tcp": TURN only, by that
	codec   string // "" for all
	lossy   func([]byte) bool
	servers []vitrine.ICEServer
}

var (
	udp = how{network: []webrtc.NetworkType{webrtc.NetworkTypeUDP4}}
	tcp = how{network: []webrtc.NetworkType{webrtc.NetworkTypeTCP4}}
)

func newPlayer(t testing.TB, h how) *player {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	se.SetNetworkTypes(h.network)
	se.DisableActiveTCP(h.relay != "") // pion tries it even under the relay policy
	se.LoggerFactory = rtc.Quiet
	if h.lossy != nil {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: &lossyConn{PacketConn: c, drop: h.lossy}, Logger: rtc.Quiet.NewLogger("")})
		t.Cleanup(func() { _ = mux.Close() })
		se.SetICEUDPMux(mux)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(playerCodecs(t, h.codec)))
	cfg := webrtc.Configuration{}
	if h.relay != "" {
		cfg.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		for _, s := range h.servers {
			for _, u := range s.URLs {
				if strings.Contains(u, "transport="+h.relay) {
					cfg.ICEServers = append(cfg.ICEServers, webrtc.ICEServer{URLs: []string{u}, Username: s.Username, Credential: s.Credential})
				}
			}
		}
	}
	pc, err := api.NewPeerConnection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, pc: pc, up: make(chan struct{}), frames: make(chan bool, 4096)}
	p.delay.Store(true)
	t.Cleanup(func() { _ = pc.GracefulClose() })
	var once sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(p.up) })
		}
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		p.track.Store(track)
		p.read(track, r)
	})
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	if p.input, err = pc.CreateDataChannel("input", nil); err != nil {
		t.Fatal(err)
	}
	no, zero := false, uint16(0)
	if p.moves, err = pc.CreateDataChannel("pointer", &webrtc.DataChannelInit{Ordered: &no, MaxRetransmits: &zero}); err != nil {
		t.Fatal(err)
	}
	return p
}

func playerCodecs(t testing.TB, only string) *webrtc.MediaEngine {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	if only == "" {
		if err := m.RegisterDefaultCodecs(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	c := webrtc.RTPCodecCapability{MimeType: only, ClockRate: 90000}
	if only == webrtc.MimeTypeH264 {
		c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: 102}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *player) read(track *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	var delayID uint8
	for _, e := range r.GetParameters().HeaderExtensions {
		if strings.HasSuffix(e.URI, "playout-delay") {
			delayID = uint8(e.ID)
		}
	}
	fresh := true
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		p.bytes.Add(int64(len(packet.Payload)))
		if d := packet.GetExtension(delayID); len(d) != 3 || d[0]|d[1]|d[2] != 0 {
			p.delay.Store(false)
		}
		if fresh {
			select {
			case p.frames <- isKey(track.Codec().MimeType, packet):
			default:
			}
		}
		fresh = packet.Marker
	}
}

func isKey(mime string, packet *rtp.Packet) bool {
	if mime == webrtc.MimeTypeH264 {
		return packet.Payload[0]&0x1f == 24 || packet.Payload[0]&0x1f == 7 // STAP-A of SPS and PPS, or SPS
	}
	var v codecs.VP8Packet
	b, err := v.Unmarshal(packet.Payload)
	return err == nil && v.S == 1 && v.PID == 0 && len(b) > 0 && b[0]&1 == 0
}

// offer makes a complete offer; answer takes the node's.
func (p *player) offer() string {
	p.t.Helper()
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		p.t.Fatal(err)
	}
	<-done
	return p.pc.LocalDescription().SDP
}

func (p *player) answer(sdp string) {
	p.t.Helper()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) connected() {
	p.t.Helper()
	select {
	case <-p.up:
	case <-time.After(15 * time.Second):
		p.t.Fatalf("the player did not connect (ICE %v)", p.pc.ICEConnectionState())
	}
}

// frame waits for the next frame and says whether it is a keyframe.
func (p *player) frame() bool {
	p.t.Helper()
	select {
	case key := <-p.frames:
		return key
	case <-time.After(15 * time.Second):
		p.t.Fatal("no frame came")
	}
	return false
}

// play connects a tab's player.
func (b *tab) play(h how) *player {
	b.t.Helper()
	h.servers = b.hello.ICEServers
	p := newPlayer(b.t, h)
	b.send(map[string]any{"type": "offer", "sdp": p.offer()})
	p.answer(b.wait("answer", func(m message) bool {
		if m.Type == "error" {
			b.t.Fatalf("the offer was refused: %s", m.Code)
		}
		return m.Type == "answer"
	}).SDP)
	p.connected()
	return p
}

type lossyConn struct {
	net.PacketConn
	drop func([]byte) bool
}

func (c *lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := c.PacketConn.ReadFrom(b)
		if err != nil || n == 0 || b[0] < 128 || b[0] >= 192 || !c.drop(b[:n]) { // RTP and RTCP (RFC 7983)
			return n, a, err
		}
	}
}
