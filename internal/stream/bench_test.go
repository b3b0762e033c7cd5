package stream

import (
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

// BenchmarkFrame is the node's whole work for one 12.5 kB frame (6 Mbit/s at 60
// fps) and one viewer over UDP on loopback: RTP, SRTP and the kernel. The
// viewer's end throws packets away as they come; its reading is in cpu-ns/frame.
func BenchmarkFrame(b *testing.B) {
	n := start(b, newFakeAgent())
	h := udp
	h.lossy = func([]byte) bool { return true }
	tab := n.tab("scope=control&user=a")
	p := tab.play(h)
	c := n.s.hub.Find(session, tab.id).CurrentMedia().(*call)
	c.tap.Load().Close() // the frames here are the benchmark's
	u := &media.Unit{Key: true, Bytes: 12500}
	for range 11 {
		u.Payloads = append(u.Payloads, make([]byte, 1136))
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		u.Timestamp += 1500
		if err := c.peer.WriteUnit(u); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/frame")
	_ = p.pc.Close()
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
