package rtc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

// playoutDelayURI asks the viewer to show frames at once: min = max = 0 took
// 20 to 35 ms off key-to-photon in Chromium, where jitterBufferTarget took less
// (measured).
const playoutDelayURI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

// ErrNotBound is a frame before the connection is up.
var ErrNotBound = errors.New("the track is not connected")

// video is the one track of a peer. Bind and Unbind are pion's.
type video struct {
	codec vitrine.Codec
	bytes atomic.Uint64

	mu    sync.Mutex
	out   webrtc.TrackLocalWriter
	ssrc  uint32
	pt    uint8
	delay uint8 // id of the playout-delay extension, 0 when the viewer has none
	seq   uint16
	base  uint32 // RTP time stamps begin at random (RFC 3550, 5.1)
}

func newVideo(codec vitrine.Codec) *video {
	return &video{codec: codec, seq: uint16(rand.Uint32()), base: rand.Uint32()}
}

func capability(codec vitrine.Codec) webrtc.RTPCodecCapability {
	c := webrtc.RTPCodecCapability{
		ClockRate: 90000,
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: webrtc.TypeRTCPFBTransportCC},
		},
	}
	switch codec {
	case vitrine.CodecVP8:
		c.MimeType = webrtc.MimeTypeVP8
	case vitrine.CodecH264:
		c.MimeType = webrtc.MimeTypeH264
		c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	return c
}

func (v *video) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	want := capability(v.codec).MimeType
	for _, c := range ctx.CodecParameters() {
		if c.MimeType != want {
			continue
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.out, v.ssrc, v.pt = ctx.WriteStream(), uint32(ctx.SSRC()), uint8(c.PayloadType)
		for _, e := range ctx.HeaderExtensions() {
			if e.URI == playoutDelayURI {
				v.delay = uint8(e.ID)
			}
		}
		return c, nil
	}
	return webrtc.RTPCodecParameters{}, fmt.Errorf("the connection has no %s", v.codec)
}

func (v *video) Unbind(webrtc.TrackLocalContext) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out = nil
	return nil
}

func (v *video) ID() string                { return "video" }
func (v *video) RID() string               { return "" }
func (v *video) StreamID() string          { return "desktop" }
func (v *video) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// WriteUnit sends one frame's packets at once: pacing them would be delay.
func (v *video) WriteUnit(u *media.Unit) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.out == nil {
		return ErrNotBound
	}
	for i, payload := range u.Payloads {
		h := rtp.Header{
			Version: 2, PayloadType: v.pt, SSRC: v.ssrc, SequenceNumber: v.seq,
			Timestamp: v.base + u.Timestamp, Marker: i == len(u.Payloads)-1,
		}
		if v.delay != 0 {
			if err := h.SetExtension(v.delay, []byte{0, 0, 0}); err != nil {
				return fmt.Errorf("setting playout-delay: %w", err)
			}
		}
		v.seq++
		n, err := v.out.WriteRTP(&h, payload)
		if err != nil {
			return err
		}
		v.bytes.Add(uint64(n))
	}
	return nil
}
