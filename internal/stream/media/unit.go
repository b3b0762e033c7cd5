// Package media carries one desktop's encoded video to many viewers: it opens
// the agent's encoder when the first viewer of a codec comes and closes it a
// grace after the last has left, cuts each frame into RTP payloads once, and
// hands them to every viewer from a goroutine of that viewer's own, so that a
// slow one only ever loses frames of its own.
//
// A viewer that is new, or that lost a frame, is held until the next keyframe;
// requests for one are gathered over all viewers (at most one in 300 ms). The
// encoder's target is the least that any viewer's line takes.
//
// It knows neither WebRTC nor sessions: a Writer takes units, Open gives a
// vitrine.Video. Audio will be a second kind of Source beside this one.
package media

import (
	"fmt"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/vitrine-dev/vitrine"
)

// payloadMTU is the room for one RTP payload in bytes. A packet is at most 1200
// bytes as libwebrtc's are (they fit IPv6's least MTU of 1280 with a TURN
// header); 12 are the RTP header, 12 its extensions, 16 the SRTP tag.
const payloadMTU = 1200 - 12 - 12 - 16

// Unit is one frame as RTP payloads, shared by all viewers: nobody writes to it.
type Unit struct {
	Key       bool
	Timestamp uint32 // 90 kHz; zero at the first frame of the source
	Payloads  [][]byte
	Bytes     int
}

// packetizer makes units of one stream of frames.
type packetizer struct {
	payloader rtp.Payloader
	first     time.Duration
	started   bool
	base      int64 // ticks at the first frame since restart
}

func newPacketizer(codec vitrine.Codec) (*packetizer, error) {
	switch codec {
	case vitrine.CodecVP8:
		return &packetizer{payloader: &codecs.VP8Payloader{}}, nil
	case vitrine.CodecH264:
		return &packetizer{payloader: &codecs.H264Payloader{}}, nil
	}
	return nil, fmt.Errorf("no RTP payload format for codec %q", codec)
}

// restart begins a new stream of frames, whose clock has another zero, at this
// time since the source's beginning.
func (p *packetizer) restart(at time.Duration) {
	p.started, p.base = false, ticks(at)
}

func (p *packetizer) unit(f vitrine.Frame) *Unit {
	if !p.started {
		p.started, p.first = true, f.PTS
	}
	u := &Unit{
		Key: f.Keyframe, Bytes: len(f.Data),
		Timestamp: uint32(p.base + ticks(f.PTS-p.first)), // RTP time stamps wrap
		Payloads:  p.payloader.Payload(payloadMTU, f.Data),
	}
	return u
}

// ticks is a duration in units of 1/90000 s: ns × 90000 / 1e9.
func ticks(d time.Duration) int64 { return int64(d) / 100 * 9 / 1000 }
