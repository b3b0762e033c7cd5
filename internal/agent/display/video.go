package display

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/codec"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The codecs' names in a stream's query.
const (
	codecVP8  = "vp8"
	codecH264 = "h264"
)

const (
	// maxQueued frames may wait for a slow reader. Then nothing is encoded until
	// one has left, and the next frame is of the screen as it is by then.
	maxQueued = 2
	// sendBuffer bounds what the kernel holds beyond that, in bytes.
	sendBuffer = 64 << 10
	// writeTimeout ends a stream whose reader takes nothing.
	writeTimeout = 20 * time.Second
	// smallChange is the share of blocks, one in so many, up to which a change
	// is encoded at the best quality at once: it costs few bits, and a caret
	// then needs no refinement at each blink.
	smallChange = 100
	// longMotion frames make the last refinement one of the whole picture:
	// loop filters have by then worn the blocks beside the moving ones.
	longMotion = 10
	// sweepTime apart, a frame of motion also carries what is rough and does
	// not move: the text beside a playing film.
	sweepTime = 300 * time.Millisecond
)

// video is one /video stream. Its encoder is the engine's; a reader and a
// writer goroutine serve the socket.
type video struct {
	conn  net.Conn
	codec string
	poke  func()

	wantKey  atomic.Bool
	bitrate  atomic.Int64 // bits per second asked for; 0 until the node has
	queued   atomic.Int32
	out      chan agentproto.Frame
	done     chan struct{}
	doneOnce sync.Once

	// The engine's own.
	pace    pace
	enc     codec.Encoder
	size    *screen // the screen that enc and the maps are for
	rate    int     // enc's
	pending *blocks // changed since the last frame
	since   time.Time
	rough   *blocks // changed since the last refinement
	motion  int     // frames of motion since then
	swept   time.Time
	stats   stats
}

// stats are a stream's figures, logged at its end.
type stats struct {
	frames, keys, bytes int
	grab, encode        time.Duration
}

func newVideo(conn net.Conn, codec string, poke func()) *video {
	if u, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = u.SetWriteBuffer(sendBuffer) // vsock has none; only latency is at stake
	}
	return &video{
		conn: conn, codec: codec, poke: poke,
		out: make(chan agentproto.Frame, maxQueued), done: make(chan struct{}),
	}
}

// serve runs the stream's two goroutines.
func (v *video) serve() {
	go v.write()
	go v.read()
}

// end makes the stream end; the engine then frees its encoder.
func (v *video) end() {
	v.doneOnce.Do(func() {
		close(v.done)
		v.conn.Close()
		v.poke()
	})
}

func (v *video) ended() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// read takes keyframe requests and bit rates. Anything else ends the stream.
func (v *video) read() {
	defer v.end()
	for {
		f, err := readSmall(v.conn, 4)
		if err != nil {
			return
		}
		switch {
		case f.Type == agentproto.FrameKeyframe:
			v.wantKey.Store(true)
		case f.Type == agentproto.FrameBitrate && len(f.Payload) == 4:
			p := f.Payload
			bps := int64(p[0])<<24 | int64(p[1])<<16 | int64(p[2])<<8 | int64(p[3])
			v.bitrate.Store(min(max(bps, codec.MinBitrate), codec.MaxBitrate))
		default:
			return
		}
		v.poke()
	}
}

// readSmall reads a frame of at most n bytes of payload: a stream's other end
// may send only some types, and must not make us hold the greatest of all.
func readSmall(r io.Reader, n int64) (agentproto.Frame, error) {
	const header = 18
	return agentproto.ReadFrame(io.LimitReader(r, header+n))
}

func (v *video) write() {
	defer v.end()
	for {
		select {
		case f := <-v.out:
			_ = v.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if err := agentproto.WriteFrame(v.conn, f); err != nil {
				return
			}
			v.queued.Add(-1)
			v.poke()
		case <-v.done:
			return
		}
	}
}

// busy says that the reader is behind.
func (v *video) busy() bool { return v.queued.Load() >= maxQueued }

// due tells what the stream sends next and when; stale is since when the
// screen has changes that nobody has fetched.
func (v *video) due(s *screen, stale time.Time) (kind, time.Time) {
	if v.size != s {
		return kindKey, time.Time{} // a new stream, or a new size
	}
	changed := v.since
	if changed.IsZero() {
		changed = stale
	}
	return v.pace.due(changed, v.wantKey.Load())
}

// note adds what has just been fetched to what the stream has to send.
func (v *video) note(s *screen, changed *blocks, at time.Time) {
	if v.size != s {
		return
	}
	v.pending.add(changed)
	if v.since.IsZero() {
		v.since = at
	}
}

// encode makes and queues the frame that is due.
func (v *video) encode(s *screen, now time.Time, pts, grabbed time.Duration, log *slog.Logger) {
	k, at := v.due(s, time.Time{})
	if at.After(now) {
		// The change that made it due was taken back, which cannot be; or the
		// screen was fetched for another stream. The next look decides.
		return
	}
	if v.size != s && !v.open(s, log) {
		return
	}
	if r := int(v.bitrate.Load()); r != 0 && r != v.rate {
		if err := v.enc.SetBitrate(r); err != nil {
			log.Warn("bit rate", "codec", v.codec, "err", err)
		}
		v.rate = r
	}
	in := codec.Input{Image: s.picture, PTS: pts}
	small := false
	switch k {
	case kindKey:
		v.wantKey.Store(false)
		in.Key = true
		v.rough.fill()
	case kindMotion:
		small = v.pending.count*smallChange <= len(v.pending.bits)
		in.Changed = v.pending.bits
		switch {
		case small && v.pace.step == codec.MaxRefine:
			in.Refine = codec.MaxRefine
		case small && v.pace.refineOverdue(now):
			k = kindRefine // a spinner must not keep the page around it rough
			v.rough.add(v.pending)
			in.Refine = v.pace.step + 1
			in.Changed = v.rough.bits
		default:
			v.rough.add(v.pending)
			v.motion++
			if now.Sub(v.swept) > sweepTime {
				v.swept = now
				in.Changed = v.rough.bits
			}
		}
	case kindRefine:
		in.Refine = v.pace.step + 1
		in.Changed = v.rough.bits
		if in.Refine == codec.MaxRefine && v.motion > longMotion {
			in.Changed = nil
		}
	case kindBeat:
		in.Changed = v.pending.bits // none
		in.Refine = codec.MaxRefine
	}
	started := time.Now()
	data, key, err := v.enc.Encode(in)
	if err != nil {
		log.Error("a stream ends: its encoder failed", "codec", v.codec, "err", err)
		v.end()
		return
	}
	v.stats.add(len(data), key, grabbed, time.Since(started))
	v.pending.clear() // each kind has sent it, or there was none
	v.since = time.Time{}
	v.pace.took(k, small, now, len(data), v.rate)
	if k == kindRefine && v.pace.step == codec.MaxRefine {
		v.rough.clear()
		v.motion = 0
	}
	f := agentproto.Frame{
		Type: agentproto.FrameVideo, Width: uint16(s.width), Height: uint16(s.height), PTS: pts, Payload: data,
	}
	if key {
		f.Flags = agentproto.FlagKeyframe
	}
	v.queued.Add(1)
	select {
	case v.out <- f: // busy() left room
	case <-v.done:
	}
}

// open makes the encoder for a screen of this size.
func (v *video) open(s *screen, log *slog.Logger) bool {
	if v.enc != nil {
		v.enc.Close()
		v.enc = nil
	}
	rate := int(v.bitrate.Load())
	if rate == 0 {
		rate = codec.DefaultBitrate(s.width, s.height)
	}
	cfg := codec.Config{Width: s.width, Height: s.height, Bitrate: rate}
	var err error
	if v.codec == codecH264 {
		v.enc, err = codec.NewH264(cfg)
	} else {
		v.enc, err = codec.NewVP8(cfg)
	}
	if err != nil {
		log.Error("a stream ends: no encoder", "codec", v.codec, "err", err)
		v.end()
		return false
	}
	v.size, v.rate, v.pace = s, rate, pace{}
	v.pending, v.rough = newBlocks(s.width, s.height), newBlocks(s.width, s.height)
	v.since = time.Time{}
	return true
}

// close frees the encoder; the engine calls it once.
func (v *video) close(log *slog.Logger) {
	if v.enc != nil {
		v.enc.Close()
	}
	v.stats.report(log, v.codec)
}

func (s *stats) add(bytes int, key bool, grab, encode time.Duration) {
	s.frames++
	s.bytes += bytes
	s.grab += grab
	s.encode += encode
	if key {
		s.keys++
	}
}

func (s *stats) report(log *slog.Logger, codec string) {
	n := time.Duration(max(s.frames, 1))
	log.Info("video stream ended", "codec", codec, "frames", s.frames, "keyframes", s.keys,
		"bytes", s.bytes, "grab_us", (s.grab / n).Microseconds(), "encode_us", (s.encode / n).Microseconds())
}
