package media

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Bounds and times of a source.
const (
	// DefaultGrace keeps an encoder open after its last viewer, so that a
	// reload does not start it anew.
	DefaultGrace = 2 * time.Second
	// MinBitrate and MaxBitrate bound an encoder's target in bits per second:
	// less shows no readable text at 720p, more is not seen.
	MinBitrate = 300_000
	MaxBitrate = 12_000_000
	// keyframeInterval is the least time between two keyframe requests: a 720p
	// text keyframe is near 2 Mbit (measured), so a burst of requests must not
	// become a burst of keyframes.
	keyframeInterval = 300 * time.Millisecond

	backoffMin, backoffMax = 100 * time.Millisecond, 2 * time.Second
)

// Config makes a Source.
type Config struct {
	Codec vitrine.Codec
	// Open opens the encoder; it is called again, with a growing pause, when
	// the encoder's stream breaks.
	Open func(ctx context.Context) (vitrine.Video, error)
	// OnViewport, when not nil, is told the size of the picture when it changes.
	OnViewport func(vitrine.Viewport)
	Grace      time.Duration // 0: DefaultGrace
	Log        *slog.Logger
}

// Stats is what a source has done since it was made.
type Stats struct {
	Viewers   int
	Frames    uint64 // read from the encoder
	Bytes     uint64 // of those frames, as RTP payloads
	Dropped   uint64 // not given to a viewer that lagged, per viewer
	Keyframes uint64 // asked of the encoder
	Opened    uint64 // encoders opened
	Bitrate   int    // the target in force, bits per second
}

// Source is one codec's video of one desktop.
type Source struct {
	cfg     Config
	created time.Time
	wg      sync.WaitGroup

	mu      sync.Mutex
	taps    map[*Tap]struct{}
	closed  bool
	running bool
	idle    *time.Timer
	cancel  context.CancelFunc
	video   vitrine.Video
	wake    chan struct{} // something for the encoder to be told

	wantKey bool
	lastKey time.Time
	keyWait *time.Timer
	bitrate int
	stats   Stats
}

// NewSource makes a source; nothing is opened before the first Attach.
func NewSource(cfg Config) *Source {
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	return &Source{cfg: cfg, created: time.Now(), taps: map[*Tap]struct{}{}, wake: make(chan struct{}, 1)}
}

// Attach joins a viewer. Frames come after Start. On a closed source the tap
// never gets any.
func (s *Source) Attach(w Writer) *Tap {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := newTap(s, w)
	if s.closed {
		t.shut()
		return t
	}
	s.taps[t] = struct{}{}
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	if !s.running {
		s.running = true
		s.wg.Add(1)
		go s.run()
	}
	return t
}

func (s *Source) detach(t *Tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.taps[t]; !ok {
		return
	}
	delete(s.taps, t)
	t.shut()
	s.retarget()
	if len(s.taps) == 0 && !s.closed {
		s.idle = time.AfterFunc(s.cfg.Grace, s.stopIfIdle)
	}
}

func (s *Source) stopIfIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taps) == 0 {
		s.stopLocked()
	}
}

// stopLocked ends the run in hand; run itself decides whether to begin another.
func (s *Source) stopLocked() {
	if s.keyWait != nil {
		s.keyWait.Stop()
		s.keyWait = nil
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// Close ends the source and waits for its goroutines.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	for t := range s.taps {
		delete(s.taps, t)
		t.shut()
	}
	s.stopLocked()
	s.mu.Unlock()
	s.wg.Wait()
}

// Stats gives the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Viewers, st.Bitrate = len(s.taps), s.bitrate
	return st
}

// run opens the encoder and reads it, again and again, until nobody looks.
func (s *Source) run() {
	defer s.wg.Done()
	p, err := newPacketizer(s.cfg.Codec)
	if err != nil {
		s.cfg.Log.Error("video cannot be sent", "error", err)
		return
	}
	pause := backoffMin
	for {
		s.mu.Lock()
		if s.closed || len(s.taps) == 0 {
			s.running, s.cancel = false, nil
			s.mu.Unlock()
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.cancel = cancel
		s.mu.Unlock()

		p.restart(time.Since(s.created))
		if n, err := s.once(ctx, p); err != nil && ctx.Err() == nil {
			if n > 0 {
				pause = backoffMin
			}
			s.cfg.Log.Info("video stream broke, opening it again", "codec", s.cfg.Codec, "frames", n, "pause", pause, "error", err)
			wait(ctx, pause)
			pause = min(2*pause, backoffMax)
		}
		cancel()
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// once opens the encoder and reads until it breaks or ctx ends.
func (s *Source) once(ctx context.Context, p *packetizer) (frames int, err error) {
	openCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	video, err := s.cfg.Open(openCtx)
	cancel()
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Add(2)
	go func() { defer wg.Done(); s.tell(video, done) }()
	go func() { // ends a blocked ReadFrame
		defer wg.Done()
		select {
		case <-ctx.Done():
		case <-done:
		}
		_ = video.Close()
	}()
	defer wg.Wait()
	defer close(done)

	s.opened(video)
	defer s.opened(nil)
	var size vitrine.Viewport
	for {
		f, err := video.ReadFrame()
		if err != nil {
			return frames, err
		}
		frames++
		if f.Viewport != size && s.cfg.OnViewport != nil {
			size = f.Viewport
			s.cfg.OnViewport(size)
		}
		s.fanOut(p.unit(f))
	}
}

func (s *Source) opened(v vitrine.Video) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.video = v
	if v == nil {
		for t := range s.taps {
			t.hold = true // what comes next is another stream
		}
		return
	}
	s.stats.Opened++
	s.bitrate = 0
	s.retarget()
}

func (s *Source) fanOut(u *Unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Frames++
	s.stats.Bytes += uint64(u.Bytes)
	if u.Key && s.keyWait != nil { // whoever asked is served by this one
		s.keyWait.Stop()
		s.keyWait = nil
	}
	for t := range s.taps {
		if !t.push(u) {
			s.stats.Dropped++
		}
	}
}
