package bwe

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// link is a simulated bottleneck: a rate, a queue in bytes, a base delay.
type link struct {
	bps   float64
	queue time.Duration // longest wait before packets are dropped
	free  time.Duration // when the line is free again
	drop  func(n int) bool
	n     int
}

func (l *link) send(at time.Duration, size int) (arrival time.Duration, ok bool) {
	l.n++
	if l.drop != nil && l.drop(l.n) {
		return 0, false
	}
	start := max(at, l.free)
	if start-at > l.queue {
		return 0, false
	}
	l.free = start + time.Duration(float64(size)*8/l.bps*1e9)
	return l.free + 20*time.Millisecond, true
}

// run drives a controller for a while with a source of 60 frames a second at a
// rate that may depend on the estimate, and feedback every 50 ms.
func run(c *controller, l *link, from, to time.Duration, source func(estimate float64) float64) {
	const frame = time.Second / 60
	var pending []ack
	next := from + 50*time.Millisecond
	for at := from; at < to; at += frame {
		bytes := int(source(c.estimate) / 8 / 60)
		for bytes > 0 {
			size := min(bytes, 1200)
			bytes -= size
			c.sent.add(at, size)
			arrival, ok := l.send(at, size)
			pending = append(pending, ack{size: size, sent: at, arrival: arrival, lost: !ok})
		}
		if at >= next {
			next = at + 50*time.Millisecond
			var due, rest []ack
			for _, a := range pending {
				if a.arrival <= at {
					due = append(due, a)
				} else {
					rest = append(rest, a)
				}
			}
			pending = rest
			if len(due) > 0 {
				c.onFeedback(at, due)
			}
		}
	}
}

func follow(e float64) float64 { return e }

func TestEstimate(t *testing.T) {
	const M = 1e6
	tests := []struct {
		name   string
		link   link
		source func(float64) float64
		lo, hi float64
	}{
		{"a fast line is found out", link{bps: 100 * M, queue: time.Second}, follow, 11 * M, 12 * M},
		{"a slow line with a deep queue does not pile up seconds", link{bps: 1.5 * M, queue: 3 * time.Second}, follow, 0.8 * M, 1.7 * M},
		{"a slow line that drops at once", link{bps: 1.5 * M, queue: 30 * time.Millisecond}, follow, 0.5 * M, 1.9 * M},
		{"one packet in four is lost", link{bps: 100 * M, queue: time.Second, drop: func(n int) bool { return n%4 == 0 }}, follow, 0.3 * M, 0.4 * M},
		{"an idle page keeps its estimate", link{bps: 100 * M, queue: time.Second}, func(float64) float64 { return 5000 }, 3 * M, 3 * M},
		{"a lossy idle page keeps its estimate", link{bps: 100 * M, queue: time.Second, drop: func(n int) bool { return n%5 == 0 }}, func(float64) float64 { return 60000 }, 3 * M, 3 * M},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newController(3e6, 3e5, 12e6)
			run(c, &tt.link, 0, 60*time.Second, tt.source)
			if c.estimate < tt.lo || c.estimate > tt.hi {
				t.Errorf("estimate %.0f, want %.0f..%.0f", c.estimate, tt.lo, tt.hi)
			}
		})
	}
}

func TestQueueStaysShort(t *testing.T) {
	c, l := newController(3e6, 3e5, 12e6), &link{bps: 1.5e6, queue: 3 * time.Second}
	run(c, l, 0, 20*time.Second, follow)
	var worst time.Duration
	for s := 20 * time.Second; s < 40*time.Second; s += 200 * time.Millisecond {
		run(c, l, s, s+200*time.Millisecond, follow)
		worst = max(worst, l.free-s-200*time.Millisecond)
	}
	if worst > 400*time.Millisecond {
		t.Errorf("a queue of %v stands on a 1.5 Mbit/s line", worst)
	}
}

func TestComesBackAfterTheLineDid(t *testing.T) {
	c, l := newController(3e6, 3e5, 12e6), &link{bps: 1e6, queue: time.Second}
	run(c, l, 0, 20*time.Second, follow)
	low := c.estimate
	l.bps = 50e6
	run(c, l, 20*time.Second, 60*time.Second, follow)
	if low > 1.2e6 || c.estimate < 5e6 {
		t.Errorf("estimate went %.0f → %.0f, want under 1.2M and then over 5M", low, c.estimate)
	}
}

func TestMotionAfterIdleStartsAtTheOldEstimate(t *testing.T) {
	c, l := newController(3e6, 3e5, 12e6), &link{bps: 20e6, queue: time.Second}
	run(c, l, 0, 20*time.Second, follow)
	before := c.estimate
	run(c, l, 20*time.Second, 120*time.Second, func(float64) float64 { return 3000 })
	if c.estimate != before {
		t.Errorf("100 s of idling took the estimate from %.0f to %.0f", before, c.estimate)
	}
}

func TestFeedbackIsMatchedToWhatWasSent(t *testing.T) {
	var h history
	for i := range 5 {
		h.onSent(uint16(65534+i), time.Duration(i)*time.Millisecond, 100)
	}
	fb := &rtcp.TransportLayerCC{
		BaseSequenceNumber: 65534, PacketStatusCount: 5, ReferenceTime: 1,
		PacketChunks: []rtcp.PacketStatusChunk{&rtcp.StatusVectorChunk{
			SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: []uint16{1, 0, 1, 1, 1, 0, 0},
		}},
		RecvDeltas: []*rtcp.RecvDelta{{Delta: 250}, {Delta: 500}, {Delta: 250}, {Delta: 1000}},
	}
	got := h.acks(fb)
	if len(got) != 5 || !got[1].lost || got[4].arrival != 64*time.Millisecond+2*time.Millisecond {
		t.Fatalf("acks %+v", got)
	}
	if again := h.acks(fb); len(again) != 0 {
		t.Fatalf("a packet was believed twice: %+v", again)
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 3, 0, 0, 1, 0, 0x20, 3, 4, 4, 4, 0})
	f.Add([]byte{0x8f, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0x1f, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		packets, err := rtcp.Unmarshal(raw)
		if err != nil {
			return
		}
		e := New(Config{Initial: 3e6, Min: 3e5, Max: 12e6})
		for i := range 100 {
			e.onSent(uint16(i), 1200)
		}
		_ = e.WriteRTCP(packets, nil)
		if r := e.GetTargetBitrate(); r < 3e5 || r > 12e6 {
			t.Fatalf("estimate %d is out of bounds", r)
		}
	})
}
