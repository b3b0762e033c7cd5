package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

var errGone = errors.New("gone")

// loadFrames reads testdata: frames of a 320x240 moving square, each after its
// length; the first is a keyframe. vpxenc 1.12 and OpenH264 2.3 made them.
func loadFrames(codec vitrine.Codec) [][]byte {
	b, err := os.ReadFile("testdata/" + string(codec) + ".frames")
	if err != nil {
		panic(err)
	}
	var out [][]byte
	for r := bytes.NewReader(b); ; {
		var n uint32
		if binary.Read(r, binary.BigEndian, &n) != nil {
			return out
		}
		f := make([]byte, n)
		if _, err := io.ReadFull(r, f); err != nil {
			panic(err)
		}
		out = append(out, f)
	}
}

// fakeAgents holds one machine, whose state a test may set.
type fakeAgents struct {
	mu    sync.Mutex
	err   error
	agent *fakeAgent
}

func (a *fakeAgents) Agent(context.Context, string) (vitrine.Agent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	return a.agent, nil
}

func (a *fakeAgents) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// fakeAgent is a desktop that moves.
type fakeAgent struct {
	vitrine.Agent // what is not faked must not be called
	frames        map[vitrine.Codec][][]byte
	interval      time.Duration
	loop          bool                  // begin anew with a keyframe after the last, so that a decoder is content
	size          func(bitrate int) int // of a delta frame in bytes; nil: the real ones

	mu       sync.Mutex
	opened   map[vitrine.Codec]int
	openNow  map[vitrine.Codec]int
	keys     int
	bitrate  int
	video    *fakeVideo
	control  *fakeControl
	inputs   chan vitrine.Input
	vnc      chan net.Conn
	opens    chan struct{} // one for each video opened or closed, and control opened
	pressure chan int      // every bitrate told
}

func newFakeAgent() *fakeAgent {
	return &fakeAgent{
		frames:   map[vitrine.Codec][][]byte{vitrine.CodecVP8: loadFrames(vitrine.CodecVP8), vitrine.CodecH264: loadFrames(vitrine.CodecH264)},
		interval: 15 * time.Millisecond,
		opened:   map[vitrine.Codec]int{}, openNow: map[vitrine.Codec]int{},
		inputs: make(chan vitrine.Input, 4096), vnc: make(chan net.Conn, 8), opens: make(chan struct{}, 1024),
	}
}

func (a *fakeAgent) counts(c vitrine.Codec) (opened, now, keys int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened[c], a.openNow[c], a.keys
}

func (a *fakeAgent) OpenVideo(_ context.Context, c vitrine.Codec) (vitrine.Video, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened[c]++
	a.openNow[c]++
	v := &fakeVideo{a: a, codec: c, key: make(chan struct{}, 1), done: make(chan struct{}), start: time.Now(), tick: time.NewTicker(a.interval)}
	v.key <- struct{}{}
	a.video = v
	a.opens <- struct{}{}
	return v, nil
}

type fakeVideo struct {
	a     *fakeAgent
	codec vitrine.Codec
	key   chan struct{}
	done  chan struct{}
	once  sync.Once
	start time.Time
	tick  *time.Ticker
	n     int
}

func (v *fakeVideo) ReadFrame() (vitrine.Frame, error) {
	f := vitrine.Frame{Codec: v.codec, Viewport: vitrine.Viewport{Width: 320, Height: 240}}
	frames := v.a.frames[v.codec]
	select {
	case <-v.done:
		return f, errGone
	default:
	}
	select {
	case <-v.done:
		return f, errGone
	case <-v.key:
		f.Keyframe, f.Data, v.n = true, frames[0], 0
	case <-v.tick.C:
		v.n++
		f.Data = frames[1+v.n%(len(frames)-1)]
		if v.a.loop {
			f.Data, f.Keyframe = frames[v.n%len(frames)], v.n%len(frames) == 0
		}
		v.a.mu.Lock()
		if v.a.size != nil {
			f.Data = append(append([]byte(nil), f.Data...), make([]byte, v.a.size(v.a.bitrate))...)
		}
		v.a.mu.Unlock()
	}
	f.PTS = time.Since(v.start)
	return f, nil
}

func (v *fakeVideo) RequestKeyframe() error {
	v.a.mu.Lock()
	v.a.keys++
	v.a.mu.Unlock()
	select {
	case v.key <- struct{}{}:
	default:
	}
	return nil
}

func (v *fakeVideo) SetBitrate(bps int) error {
	v.a.mu.Lock()
	defer v.a.mu.Unlock()
	v.a.bitrate = bps
	if v.a.pressure != nil {
		select {
		case v.a.pressure <- bps:
		default:
		}
	}
	return nil
}

func (v *fakeVideo) Close() error {
	v.once.Do(func() {
		close(v.done)
		v.tick.Stop()
		v.a.mu.Lock()
		v.a.openNow[v.codec]--
		v.a.mu.Unlock()
		v.a.opens <- struct{}{}
	})
	return nil
}

func (a *fakeAgent) OpenControl(context.Context) (vitrine.Control, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control = &fakeControl{a: a, events: make(chan vitrine.DesktopEvent, 16), done: make(chan struct{})}
	a.opens <- struct{}{}
	return a.control, nil
}

func (a *fakeAgent) tell(e vitrine.DesktopEvent) {
	a.mu.Lock()
	c := a.control
	a.mu.Unlock()
	c.events <- e
}

type fakeControl struct {
	a      *fakeAgent
	events chan vitrine.DesktopEvent
	done   chan struct{}
	once   sync.Once
}

func (c *fakeControl) Send(in vitrine.Input) error {
	select {
	case <-c.done:
		return errGone
	case c.a.inputs <- in:
		return nil
	}
}

func (c *fakeControl) Receive() (vitrine.DesktopEvent, error) {
	select {
	case <-c.done:
		return vitrine.DesktopEvent{}, errGone
	case e := <-c.events:
		return e, nil
	}
}

func (c *fakeControl) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

func (a *fakeAgent) OpenVNC(context.Context) (io.ReadWriteCloser, error) {
	node, desktop := net.Pipe()
	a.vnc <- desktop
	return node, nil
}

type fakeCDP struct {
	in   chan []byte
	done chan struct{}
	once sync.Once
}

func (c *fakeCDP) ReadMessage() ([]byte, error) {
	select {
	case b := <-c.in:
		return append([]byte("echo "), b...), nil
	case <-c.done:
		return nil, errGone
	}
}
func (c *fakeCDP) WriteMessage(b []byte) error { c.in <- b; return nil }
func (c *fakeCDP) Close() error                { c.once.Do(func() { close(c.done) }); return nil }

func (a *fakeAgent) OpenCDP(context.Context) (vitrine.MessageStream, error) {
	return &fakeCDP{in: make(chan []byte, 8), done: make(chan struct{})}, nil
}

func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
