package rtc

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/cc"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/bwe"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

// MaxMessage bounds one data channel message in bytes: a 1 MiB clipboard with
// its JSON.
const MaxMessage = 5 << 18

// StartBitrate is what a line is taken for until feedback says otherwise, in
// bits per second: readable 720p text at once.
const StartBitrate = 3_000_000

const (
	connectTimeout = 30 * time.Second
	gatherTimeout  = 2 * time.Second
	maxChannels    = 16 // data channels a viewer may ever open on one peer
)

// Events are what a peer tells. They come from pion's goroutines: they must not
// block and must not close the peer in line. Nil ones are left out.
type Events struct {
	Connected func(path string)                // "udp", "tcp" or "turn"; once
	Closed    func(why string)                 // once, whoever ended it
	Message   func(channel string, msg []byte) // a text on "input" or "pointer"
	Keyframe  func()                           // PLI or FIR
	Bitrate   func(bps int)                    // what the line takes
}

// PeerConfig makes a peer.
type PeerConfig struct {
	Events  Events
	IsRelay func(remote netip.AddrPort) bool // is this an address of our own TURN relay?
	Log     *slog.Logger
}

// Stats are a peer's figures now.
type Stats struct {
	Path     string
	RTT      time.Duration // 0: not measured yet
	Bytes    uint64        // of RTP sent
	Estimate int           // bits per second
}

// Peer is one viewer's connection.
type Peer struct {
	t     *Transport
	cfg   PeerConfig
	pc    *webrtc.PeerConnection
	track *video
	est   *bwe.Estimator
	timer *time.Timer

	mu         sync.Mutex
	path       string
	rtt        time.Duration
	candidates int
	channels   int
	answer     string
	connected  bool
	begun      bool // Events.Connected was called
	closed     bool
	done       chan struct{}
}

// Answer makes a peer for an offer and gives the answer, which has all of the
// node's candidates.
func (t *Transport) Answer(ctx context.Context, cfg PeerConfig, offer string) (*Peer, string, error) {
	cleaned, codec, n, err := t.readOffer(offer)
	if err != nil {
		return nil, "", err
	}
	p := &Peer{t: t, cfg: cfg, track: newVideo(codec), candidates: n, done: make(chan struct{})}
	p.est = bwe.New(bwe.Config{
		Initial: StartBitrate, Min: media.MinBitrate, Max: media.MaxBitrate, OnChange: cfg.Events.Bitrate,
	})
	api, err := t.api(codec, p.est)
	if err != nil {
		return nil, "", err
	}
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{t.cert}}); err != nil {
		return nil, "", fmt.Errorf("making a peer connection: %w", err)
	}
	t.peers.Add(1)
	if err := p.negotiate(ctx, cleaned); err != nil {
		p.Close("not negotiated")
		return nil, "", err
	}
	return p, p.answer, nil
}

func (t *Transport) api(codec vitrine.Codec, est *bwe.Estimator) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: capability(codec), PayloadType: 96}, webrtc.RTPCodecTypeVideo)
	if err == nil {
		err = m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: playoutDelayURI}, webrtc.RTPCodecTypeVideo)
	}
	if err != nil {
		return nil, fmt.Errorf("registering %s: %w", codec, err)
	}
	// In order from the wire up: the estimator sees every packet, also those
	// sent again, after the extension that numbers them was set.
	reg := &interceptor.Registry{}
	estimator, err := cc.NewInterceptor(func() (cc.BandwidthEstimator, error) { return est, nil })
	if err != nil {
		return nil, fmt.Errorf("making the bandwidth estimator: %w", err)
	}
	reg.Add(estimator)
	if err := webrtc.ConfigureTWCCHeaderExtensionSender(m, reg); err != nil {
		return nil, fmt.Errorf("making the congestion feedback: %w", err)
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("making the NACK responder: %w", err)
	}
	reg.Add(responder)
	sender, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("making the sender reports: %w", err)
	}
	reg.Add(sender)
	s, err := t.settings()
	if err != nil {
		return nil, err
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(s)), nil
}

func (p *Peer) negotiate(ctx context.Context, offer string) error {
	sender, err := p.pc.AddTrack(p.track)
	if err != nil {
		return fmt.Errorf("adding the video track: %w", err)
	}
	p.pc.OnConnectionStateChange(p.onState)
	p.pc.OnDataChannel(p.onChannel)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return badOffer("the offer cannot be answered").WithCause(err)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return badOffer("the offer cannot be answered").WithCause(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return badOffer("the offer cannot be answered").WithCause(err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return fmt.Errorf("listing the node's own addresses: %w", ctx.Err())
	}
	p.answer = p.pc.LocalDescription().SDP
	p.timer = time.AfterFunc(connectTimeout, func() {
		p.mu.Lock()
		up := p.connected
		p.mu.Unlock()
		if !up {
			p.Close("not connected within 30 s")
		}
	})
	go p.readRTCP(sender)
	return nil
}

// Codec is what the answer chose.
func (p *Peer) Codec() vitrine.Codec { return p.track.codec }

// WriteUnit sends one frame.
func (p *Peer) WriteUnit(u *media.Unit) error { return p.track.WriteUnit(u) }

// AddCandidate takes a trickled candidate. One that the node will not use is
// left out without a word, as ICE allows; too many are an error.
func (p *Peer) AddCandidate(c vitrine.ICECandidate) error {
	s, ok := strings.CutPrefix(c.Candidate, "candidate:")
	if !ok {
		if c.Candidate == "" {
			return nil // the end of the list
		}
		return vitrine.Errorf(vitrine.ClassInvalid, "bad_candidate", "a candidate begins with \"candidate:\"")
	}
	p.mu.Lock()
	p.candidates++
	n := p.candidates
	p.mu.Unlock()
	if n > maxCandidates {
		return vitrine.Errorf(vitrine.ClassInvalid, "too_many_candidates", "at most %d candidates are taken per connection", maxCandidates)
	}
	clean, ok := p.t.candidate(s)
	if !ok {
		return nil
	}
	mid := "0" // all media is bundled
	if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + clean, SDPMid: &mid}); err != nil {
		return vitrine.Errorf(vitrine.ClassInvalid, "bad_candidate", "the candidate cannot be used").WithCause(err)
	}
	return nil
}

// Candidates are the node's own, as they stand in the answer; those of component
// 2, which pion adds for viewers without RTCP multiplexing, are left out.
func (p *Peer) Candidates() []vitrine.ICECandidate {
	var out []vitrine.ICECandidate
	mid, line := "0", uint16(0)
	if _, after, ok := strings.Cut(p.answer, "a=mid:"); ok {
		mid, _, _ = strings.Cut(after, "\r\n")
	}
	seen := map[string]bool{}
	for l := range strings.Lines(p.answer) {
		c, ok := strings.CutPrefix(strings.TrimSpace(l), "a=")
		if f := strings.Fields(c); ok && len(f) > 1 && strings.HasPrefix(c, "candidate:") && f[1] == "1" && !seen[c] {
			seen[c] = true
			out = append(out, vitrine.ICECandidate{Candidate: c, SDPMid: &mid, SDPMLineIndex: &line})
		}
	}
	return out
}

// Stats gives the figures now.
func (p *Peer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Path: p.path, RTT: p.rtt, Bytes: p.track.bytes.Load(), Estimate: p.est.GetTargetBitrate()}
}

// Close ends the connection; Events.Closed hears why. It does not wait: Done
// does.
func (p *Peer) Close(why string) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.cfg.Events.Closed != nil {
		p.cfg.Events.Closed(why)
	}
	go func() {
		defer p.t.peers.Done()
		defer close(p.done)
		if err := p.pc.GracefulClose(); err != nil {
			p.cfg.Log.Debug("closing a peer connection", "error", err)
		}
	}()
}

// Done is closed when nothing of the peer is left.
func (p *Peer) Done() <-chan struct{} { return p.done }
