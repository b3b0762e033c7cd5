package rtc

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
)

const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"

const transport = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 " +
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"

func offerOf(pts string, lines ...string) string {
	return head + "m=video 9 UDP/TLS/RTP/SAVPF " + pts + "\r\n" + transport + strings.Join(lines, "\r\n") + "\r\n"
}

const (
	vp8     = "a=rtpmap:96 VP8/90000"
	vp9     = "a=rtpmap:98 VP9/90000"
	h264    = "a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	h264p0  = "a=rtpmap:104 H264/90000\r\na=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"
	h264pro = "a=rtpmap:106 H264/90000\r\na=fmtp:106 packetization-mode=1;profile-level-id=640c1f"
)

func testTransport() *Transport {
	return &Transport{cfg: Config{Deny: []netip.Prefix{netip.MustParsePrefix("192.168.100.0/24")}}}
}

func TestTheFirstCodecWeHaveIsPicked(t *testing.T) {
	for name, tt := range map[string]struct {
		offer string
		want  vitrine.Codec
	}{
		"Chromium":                       {offerOf("96 98 102", vp8, vp9, h264), vitrine.CodecVP8},
		"Safari":                         {offerOf("106 102 96", h264pro, h264, vp8), vitrine.CodecH264},
		"VP9 first, which we have not":   {offerOf("98 96", vp9, vp8), vitrine.CodecVP8},
		"H.264 of another packetization": {offerOf("104 96", h264p0, vp8), vitrine.CodecVP8},
		"only what we have not":          {offerOf("98 104 106", vp9, h264p0, h264pro), ""},
		"no video":                       {head, ""},
		"not SDP":                        {"hello", ""},
		"more than 64 KiB":               {offerOf("96", vp8, strings.Repeat("a=x\r\n", 20000)), ""},
		"hundreds of sections":           {offerOf("96", vp8) + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 200), ""},
	} {
		_, got, _, err := testTransport().readOffer(tt.offer)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q %v, want %q", name, got, err, tt.want)
		}
	}
}

func TestOnlyAddressesOfViewersAreContacted(t *testing.T) {
	for in, want := range map[string]bool{
		"1 1 udp 2122260223 203.0.113.7 50000 typ host generation 0":   true,
		"1 1 UDP 1 2001:db8::7 50000 typ srflx raddr 10.0.0.1 rport 9": true,
		"1 1 udp 1 10.1.2.3 50000 typ relay raddr 0.0.0.0 rport 0":     true,
		"1 1 udp 1 127.0.0.1 50000 typ host":                           true, // a viewer on the node itself
		"1 1 tcp 1 203.0.113.7 80 typ host tcptype passive":            false,
		"1 1 udp 1 b1b2.local 50000 typ host":                          false,
		"1 1 udp 1 intranet.example 50000 typ host":                    false,
		"1 1 udp 1 169.254.169.254 80 typ host":                        false,
		"1 1 udp 1 ::ffff:169.254.169.254 80 typ host":                 false,
		"1 1 udp 1 192.168.100.5 80 typ host":                          false, // a machine
		"1 1 udp 1 224.0.0.1 80 typ host":                              false,
		"1 1 udp 1 255.255.255.255 80 typ host":                        false,
		"1 1 udp 1 0.0.0.0 80 typ host":                                false,
		"1 1 udp 1 fe80::1%eth0 80 typ host":                           false,
		"1 1 udp 1 203.0.113.7 0 typ host":                             false,
		"1 1 udp 1 203.0.113.7 99999 typ host":                         false,
		"1 2 udp 1 203.0.113.7 9 typ host":                             false,
		"1 1 udp 1 203.0.113.7 9 typ wormhole":                         false,
		"a\x00b 1 udp 1 203.0.113.7 9 typ host":                        false,
		"1 1 udp":                                                      false, "": false, strings.Repeat("1", 600): false,
	} {
		if _, got := testTransport().candidate(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestCandidatesOfAnOfferAreBounded(t *testing.T) {
	lines := []string{vp8}
	for range 200 {
		lines = append(lines, "a=candidate:1 1 udp 1 203.0.113.7 5000 typ host", "a=candidate:1 1 udp 1 169.254.169.254 80 typ host")
	}
	cleaned, _, n, err := testTransport().readOffer(offerOf("96", lines...))
	if err != nil || n != maxCandidates || strings.Count(cleaned, "a=candidate") != maxCandidates || strings.Contains(cleaned, "169.254") {
		t.Errorf("%d candidates were taken: %v", n, err)
	}
}

// FuzzOffer answers hostile offers on a real port: no panic, nothing left.
func FuzzOffer(f *testing.F) {
	t, err := Listen(Config{Host: "127.0.0.1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = t.Close() })
	for _, s := range []string{
		offerOf("96", vp8), offerOf("102 96", h264, vp8), head, "v=0", offerOf("96", vp8, "a=rid:1 recv", "a=simulcast:recv 1"),
		offerOf("96", vp8, "a=candidate:1 1 udp 1 127.0.0.1 9 typ host", "a=extmap:1 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
		offerOf("96", vp8, "a=ssrc-group:FID 1 2", "a=ssrc:1 cname:x", "a=extmap-allow-mixed", "a=ice-options:trickle renomination"),
		offerOf("96", vp8) + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(tt *testing.T, offer string) {
		p, _, err := t.Answer(tt.Context(), PeerConfig{Log: slog.New(slog.DiscardHandler)}, offer)
		if err == nil {
			p.Close("done")
			<-p.Done()
		}
	})
}

func FuzzCandidate(f *testing.F) {
	f.Add("1 1 udp 1 203.0.113.7 50000 typ host")
	f.Add("1 1 udp 1 ::1%lo 50000 typ srflx raddr ::1 rport 9")
	t := testTransport()
	f.Fuzz(func(tt *testing.T, s string) {
		clean, ok := t.candidate(s)
		if !ok {
			return
		}
		if again, ok := t.candidate(clean); !ok || again != clean {
			tt.Errorf("%q became %q, which becomes %q", s, clean, again)
		}
	})
}
