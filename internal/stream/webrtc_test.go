package stream

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/vitrine-dev/vitrine"
)

func TestVideoComesByEveryPath(t *testing.T) {
	tests := []struct {
		name string
		how  how
		path string
	}{
		{"UDP", udp, "udp"},
		{"UDP is blocked", tcp, "tcp"},
		{"only TURN over UDP is let through", how{network: udp.network, relay: "udp"}, "turn"},
		{"only TURN over TCP is let through", how{network: []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4}, relay: "tcp"}, "turn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, newFakeAgent())
			b := n.tab("scope=control&user=a")
			p := b.play(tt.how)
			if !p.frame() {
				t.Error("the first frame is not a keyframe")
			}
			for range 20 {
				p.frame()
			}
			if !p.delay.Load() {
				t.Error("a packet came without playout-delay 0")
			}
			b.wait("path "+tt.path, func(m message) bool {
				return m.Type == "viewers" && len(m.Viewers) == 1 && m.Viewers[0].Path == tt.path
			})
			if got := n.s.StreamFigures().ViewersByPath[tt.path]; got != 1 {
				t.Errorf("stats count %d viewers by %s", got, tt.path)
			}
		})
	}
}

func TestCodecIsTheViewersChoice(t *testing.T) {
	for _, codec := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264} {
		t.Run(codec, func(t *testing.T) {
			n := start(t, newFakeAgent())
			h := udp
			h.codec = codec
			p := n.tab("scope=view&user=a").play(h)
			if !p.frame() {
				t.Error("the first frame is not a keyframe")
			}
			if got := p.track.Load().Codec().MimeType; got != codec {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestManyViewersOneEncode(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a").play(udp)
	a.frame()
	b := n.tab("scope=view&user=b").play(tcp)
	if !b.frame() {
		t.Error("the second viewer's first frame is not a keyframe")
	}
	for range 10 {
		a.frame()
		b.frame()
	}
	if opened, now, _ := n.agent.counts(vitrine.CodecVP8); opened != 1 || now != 1 {
		t.Errorf("%d encoders were opened, %d are open", opened, now)
	}
	_ = a.pc.Close()
	_ = b.pc.Close()
	eventually(t, "the encoder is closed after the last viewer", func() bool {
		_, now, _ := n.agent.counts(vitrine.CodecVP8)
		return now == 0
	})
}

func TestEncoderThatBreaksIsOpenedAgain(t *testing.T) {
	n := start(t, newFakeAgent())
	p := n.tab("scope=control&user=a").play(udp)
	p.frame()
	n.agent.mu.Lock()
	v := n.agent.video
	n.agent.mu.Unlock()
	_ = v.Close()
	eventually(t, "another encoder", func() bool { o, now, _ := n.agent.counts(vitrine.CodecVP8); return o == 2 && now == 1 })
	eventually(t, "its keyframe", p.frame)
}

func TestKeyframeRequestsAreGathered(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a").play(udp)
	b := n.tab("scope=view&user=b").play(udp)
	a.frame()
	b.frame()
	_, _, before := n.agent.counts(vitrine.CodecVP8)
	began := time.Now()
	for range 50 {
		for _, p := range []*player{a, b} {
			if err := p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(p.track.Load().SSRC())}}); err != nil {
				t.Fatal(err)
			}
		}
		a.frame() // 15 ms
	}
	eventually(t, "a keyframe was asked for", func() bool { _, _, k := n.agent.counts(vitrine.CodecVP8); return k > before })
	_, _, keys := n.agent.counts(vitrine.CodecVP8)
	if most := int(time.Since(began)/(300*time.Millisecond)) + 2; keys-before > most {
		t.Errorf("100 requests became %d keyframes, want at most %d", keys-before, most)
	}
}

func TestBitrateFollowsTheLine(t *testing.T) {
	agent := newFakeAgent()
	agent.size = func(bitrate int) int { return bitrate / 8 * 15 / 1000 } // fills its target
	agent.pressure = make(chan int, 1024)
	n := start(t, agent)
	h, count := udp, 0
	h.lossy = func([]byte) bool { count++; return count%4 == 0 }
	n.tab("scope=control&user=a").play(h)
	timeout := time.After(30 * time.Second)
	for {
		select {
		case bps := <-agent.pressure:
			if bps <= 1_000_000 {
				return
			}
		case <-timeout:
			t.Fatal("one packet in four was lost, and the encoder was not told to send under 1 Mbit/s")
		}
	}
}

func TestBitrateHoldsWhileIdle(t *testing.T) {
	agent := newFakeAgent()
	agent.interval = 50 * time.Millisecond // deltas of 300 bytes: 50 kbit/s of 3 Mbit/s
	agent.pressure = make(chan int, 1024)
	n := start(t, agent)
	p := n.tab("scope=control&user=a").play(udp)
	for range 60 {
		p.frame()
	}
	for {
		select {
		case bps := <-agent.pressure:
			if bps < 3_000_000 {
				t.Fatalf("an idle page took the bitrate to %d", bps)
			}
		default:
			return
		}
	}
}

func TestPlainRoutes(t *testing.T) {
	n := start(t, newFakeAgent())
	ctx := context.Background()
	v := vitrine.Viewer{SessionID: session, Scope: vitrine.ScopeControl, UserID: "a"}
	if _, err := n.s.Answer(ctx, v); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		t.Errorf("an answer before an offer: %v", err)
	}
	p := newPlayer(t, udp)
	answer, err := n.s.Offer(ctx, v, p.offer())
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := n.s.Answer(ctx, v); err != nil || kept != answer {
		t.Errorf("the answer was not kept: %v", err)
	}
	if list, err := n.s.Candidates(ctx, v); err != nil || len(list) != 2 {
		t.Errorf("candidates %v %v, want UDP and TCP", list, err)
	}
	if err := n.s.AddCandidate(ctx, v, vitrine.ICECandidate{Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host"}); err != nil {
		t.Error(err)
	}
	p.answer(answer)
	p.connected()
	p.frame()
	// Nobody else looks, so its data channel has control.
	if err := p.input.SendText(`{"t":"key","k":"a","c":"KeyA","d":true}`); err != nil {
		eventually(t, "the data channel opens", func() bool {
			return p.input.SendText(`{"t":"key","k":"a","c":"KeyA","d":true}`) == nil
		})
	}
	eventually(t, "the key arrives", func() bool { in := <-n.agent.inputs; return in.Type == vitrine.InputKey && in.Key == "a" })
	if n.s.Viewers(session) != 1 {
		t.Errorf("%d viewers", n.s.Viewers(session))
	}
	_ = p.pc.Close()
	eventually(t, "the viewer is gone", func() bool { return n.s.Viewers(session) == 0 })
	n.agents.set(vitrine.Errorf(vitrine.ClassConflict, "not_ready", "it starts"))
	if _, err := n.s.Offer(ctx, v, "v=0"); vitrine.ClassOf(err) != vitrine.ClassConflict {
		t.Errorf("an offer to a session that starts: %v", err)
	}
}

func TestWHEP(t *testing.T) {
	n := start(t, newFakeAgent())
	ctx := context.Background()
	v := vitrine.Viewer{SessionID: session, Scope: vitrine.ScopeControl, UserID: "a"}
	p := newPlayer(t, udp)
	if _, err := p.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err) // players ask for audio as well
	}
	id, answer, err := n.s.WHEP(ctx, v, p.offer())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, "a=candidate:") {
		t.Error("the answer has no candidates")
	}
	p.answer(answer)
	p.connected()
	p.frame()
	if err := n.s.PatchWHEP(ctx, v, id, "a=ice-ufrag:x\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"); err != nil {
		t.Error(err)
	}
	other := v
	other.UserID = "b"
	if err := n.s.CloseWHEP(ctx, other, id); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		t.Errorf("another user closed the playback: %v", err)
	}
	if err := n.s.CloseWHEP(ctx, v, id); err != nil {
		t.Error(err)
	}
	eventually(t, "the playback is gone", func() bool { return n.s.CloseWHEP(ctx, v, id) != nil && n.s.Viewers(session) == 0 })
}

func TestRelayIsNoOpenProxy(t *testing.T) {
	n := start(t, newFakeAgent())
	victim, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Close() }()
	servers := n.s.ICEServers("a", time.Now())
	tab := n.tab("scope=control&user=a")
	_ = tab
	relayTo(t, servers[1], victim.LocalAddr())
	if err := victim.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if k, _, err := victim.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("the relay sent %d bytes to a port that is not the media port", k)
	}
}
