package stream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// stall is a TCP proxy to the media port that can stop passing on what the node
// sends.
type stall struct {
	l    net.Listener
	mu   sync.Mutex
	held bool
	cond *sync.Cond
}

func newStall(t *testing.T, to string) *stall {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stall{l: l}
	s.cond = sync.NewCond(&s.mu)
	t.Cleanup(func() { _ = l.Close(); s.hold(false) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp4", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			_ = up.(*net.TCPConn).SetReadBuffer(16 << 10)
			go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
			go func() { defer func() { _ = c.Close() }(); s.down(c, up) }()
		}
	}()
	return s
}

func (s *stall) down(c, up net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		s.mu.Lock()
		for s.held {
			s.cond.Wait()
		}
		s.mu.Unlock()
		n, err := up.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *stall) hold(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = yes
	s.cond.Broadcast()
}

func TestATCPViewerThatStallsLosesFramesAndGoesOnFromAKeyframe(t *testing.T) {
	agent := newFakeAgent()
	agent.size = func(int) int { return 20_000 } // 10 Mbit/s: the kernel's buffers are full at once
	n := start(t, agent)
	proxy := newStall(t, fmt.Sprintf("127.0.0.1:%d", n.s.MediaPort()))
	quick := n.tab("scope=view&user=q").play(udp)

	b := n.tab("scope=control&user=s")
	slow := newPlayer(t, tcp)
	b.send(object{"type": "offer", "sdp": slow.offer()})
	sdp := b.wait("answer", func(m message) bool { return m.Type == "answer" }).SDP
	_, port, _ := strings.Cut(proxy.l.Addr().String(), ":")
	slow.answer(strings.ReplaceAll(sdp, fmt.Sprintf("127.0.0.1 %d typ host tcptype", n.s.MediaPort()), "127.0.0.1 "+port+" typ host tcptype"))
	slow.connected()
	slow.frame()

	proxy.hold(true)
	dropped := func() uint64 { return n.s.StreamFigures().Video[vitrine.CodecVP8].Dropped }
	eventually(t, "frames are dropped for the one that stalls", func() bool { quick.frame(); return dropped() > 0 })
	for len(slow.frames) > 0 {
		<-slow.frames
	}
	for range 10 { // the other is none the worse
		began := time.Now()
		quick.frame()
		if d := time.Since(began); d > time.Second {
			t.Errorf("the quick viewer waited %v for a frame", d)
		}
	}
	proxy.hold(false)
	eventually(t, "the slow viewer goes on from a keyframe", slow.frame)
}
