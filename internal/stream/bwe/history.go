package bwe

import (
	"time"

	"github.com/pion/rtcp"
)

// historyLen is how many sent packets are remembered: 3 s at 12 Mbit/s.
const historyLen = 4096

type sentPacket struct {
	seq  uint16
	live bool
	size int
	at   time.Duration
}

// ack is what a feedback says of one packet. Arrival is on the viewer's clock,
// whose zero is arbitrary; it is only ever compared with other arrivals.
type ack struct {
	size          int
	sent, arrival time.Duration
	lost          bool
}

// history matches feedback to what was sent.
type history struct{ ring [historyLen]sentPacket }

func (h *history) onSent(seq uint16, at time.Duration, size int) {
	h.ring[seq%historyLen] = sentPacket{seq: seq, live: true, size: size, at: at}
}

// take gives the packet once; a second report of it is not believed.
func (h *history) take(seq uint16) (sentPacket, bool) {
	p := &h.ring[seq%historyLen]
	if !p.live || p.seq != seq {
		return sentPacket{}, false
	}
	p.live = false
	return *p, true
}

// acks reads one transport-wide feedback packet (draft-holmer-rmcat-transport-
// wide-cc-extensions-01): a base sequence number, a list of statuses, and an
// arrival delta in microseconds for each packet received.
func (h *history) acks(fb *rtcp.TransportLayerCC) []ack {
	out := make([]ack, 0, min(int(fb.PacketStatusCount), historyLen))
	arrival := time.Duration(fb.ReferenceTime) * 64 * time.Millisecond
	seq, left, deltas := fb.BaseSequenceNumber, int(fb.PacketStatusCount), fb.RecvDeltas
	status := func(symbol uint16) {
		if left == 0 {
			return
		}
		left--
		lost := symbol == rtcp.TypeTCCPacketNotReceived
		timed := symbol == rtcp.TypeTCCPacketReceivedSmallDelta || symbol == rtcp.TypeTCCPacketReceivedLargeDelta
		if timed && len(deltas) > 0 {
			arrival += time.Duration(deltas[0].Delta) * time.Microsecond
			deltas = deltas[1:]
		}
		if timed || lost {
			if p, ok := h.take(seq); ok {
				out = append(out, ack{size: p.size, sent: p.at, arrival: arrival, lost: lost})
			}
		}
		seq++
	}
	for _, chunk := range fb.PacketChunks {
		switch c := chunk.(type) {
		case *rtcp.RunLengthChunk:
			for i := 0; i < int(c.RunLength) && left > 0; i++ {
				status(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				status(s)
			}
		}
	}
	return out
}
