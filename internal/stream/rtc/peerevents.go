package rtc

import (
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

func (p *Peer) onState(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		path := p.selected()
		p.mu.Lock()
		again := p.connected
		p.connected, p.path = true, path
		wait := channelWait
		if p.channels > 0 {
			wait = 0
		}
		p.mu.Unlock()
		if !again {
			time.AfterFunc(wait, p.begin)
		}
	case webrtc.PeerConnectionStateFailed:
		p.Close("the connection failed")
	case webrtc.PeerConnectionStateClosed:
		p.Close("the viewer closed it")
	default: // connecting; disconnected, which may heal
	}
}

// channelWait is how long media waits for a viewer's first data channel. This
// side of the DTLS handshake ends first, and what is sent until the viewer's has
// ended too is lost: a keyframe then, and the next one comes 300 ms later. A
// data channel proves that the viewer is there; one without channels (a plain
// player) gets its media after this wait.
const channelWait = 100 * time.Millisecond

// begin says once that media can flow.
func (p *Peer) begin() {
	p.mu.Lock()
	path, ready := p.path, p.connected && !p.begun && !p.closed
	if ready {
		p.begun = true
	}
	p.mu.Unlock()
	if ready && p.cfg.Events.Connected != nil {
		p.cfg.Events.Connected(path)
	}
}

// selected says how the viewer came in.
func (p *Peer) selected() string {
	pair, err := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return "udp"
	}
	if pair.Local.Protocol == webrtc.ICEProtocolTCP {
		return "tcp"
	}
	if a, err := netip.ParseAddr(pair.Remote.Address); err == nil && p.cfg.IsRelay != nil &&
		p.cfg.IsRelay(netip.AddrPortFrom(a.Unmap(), pair.Remote.Port)) {
		return "turn"
	}
	return "udp"
}

func (p *Peer) onChannel(d *webrtc.DataChannel) {
	p.mu.Lock()
	p.channels++
	n := p.channels
	p.mu.Unlock()
	p.begin()
	if n > maxChannels {
		p.Close("too many data channels")
		return
	}
	name := d.Label()
	if name != "input" && name != "pointer" {
		go func() { _ = d.Close() }()
		return
	}
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		if m.IsString && len(m.Data) <= MaxMessage && p.cfg.Events.Message != nil {
			p.cfg.Events.Message(name, m.Data)
		}
	})
}

// readRTCP reads until the connection ends; the interceptors below it see every
// packet first.
func (p *Peer) readRTCP(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch r := packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				if p.cfg.Events.Keyframe != nil {
					p.cfg.Events.Keyframe()
				}
			case *rtcp.ReceiverReport:
				for _, b := range r.Reports {
					p.onReport(b, time.Now())
				}
			}
		}
	}
}

// onReport takes the round trip from a receiver report (RFC 3550, 6.4.1): now
// less the time of our last report less the viewer's delay, in 1/65536 s.
func (p *Peer) onReport(b rtcp.ReceptionReport, now time.Time) {
	if b.LastSenderReport == 0 {
		return
	}
	const ntpEpoch = 2208988800 // seconds from 1900 to 1970
	secs := uint64(now.Unix()) + ntpEpoch
	frac := uint64(now.Nanosecond()) << 32 / 1e9
	mid := uint32((secs<<32 | frac) >> 16)
	rtt := time.Duration(mid-b.LastSenderReport-b.Delay) * time.Second >> 16
	if rtt < 0 || rtt > 30*time.Second { // a report of a clock that was set, or a lie
		return
	}
	p.mu.Lock()
	p.rtt = rtt
	p.mu.Unlock()
}
