package media

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// encoder gives frames that a test pushes; the first is a keyframe.
type encoder struct {
	frames chan vitrine.Frame
	keys   chan struct{}
	rates  chan int
	done   chan struct{}
}

func newEncoder() *encoder {
	return &encoder{frames: make(chan vitrine.Frame), keys: make(chan struct{}, 64), rates: make(chan int, 64), done: make(chan struct{})}
}

func (e *encoder) ReadFrame() (vitrine.Frame, error) {
	select {
	case f := <-e.frames:
		return f, nil
	case <-e.done:
		return vitrine.Frame{}, errors.New("closed")
	}
}
func (e *encoder) RequestKeyframe() error   { e.keys <- struct{}{}; return nil }
func (e *encoder) SetBitrate(bps int) error { e.rates <- bps; return nil }
func (e *encoder) Close() error {
	select {
	case <-e.done:
	default:
		close(e.done)
	}
	return nil
}

func (e *encoder) push(key bool, at time.Duration) {
	e.frames <- vitrine.Frame{Codec: vitrine.CodecVP8, Keyframe: key, PTS: at, Data: []byte{0x10, 0, 0, 0}}
	synctest.Wait()
}

// viewer records what it is given; while gate is not nil, each write waits for
// it.
type viewer struct {
	gate chan struct{}
	got  []*Unit
}

func (v *viewer) WriteUnit(u *Unit) error {
	if v.gate != nil {
		<-v.gate
	}
	v.got = append(v.got, u)
	return nil
}

func source(opened *int, e *encoder) *Source {
	return NewSource(Config{
		Codec: vitrine.CodecVP8, Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context) (vitrine.Video, error) { *opened++; return e, nil },
	})
}

func TestANewViewerIsHeldUntilItsKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e, v := 0, newEncoder(), &viewer{}
		s := source(&opened, e)
		defer s.Close()
		tap := s.Attach(v)
		synctest.Wait()
		e.push(true, 0)
		e.push(false, 1)
		if len(v.got) != 0 {
			t.Fatal("frames came before the viewer was connected")
		}
		tap.Start()
		synctest.Wait()
		if len(e.keys) != 1 {
			t.Fatalf("%d keyframes were asked for", len(e.keys))
		}
		e.push(false, 2)
		e.push(true, 3)
		e.push(false, 4)
		if len(v.got) != 2 || !v.got[0].Key {
			t.Fatalf("got %d frames, the first a keyframe: %v", len(v.got), len(v.got) > 0 && v.got[0].Key)
		}
	})
}

func TestRequestsBecomeOneKeyframeIn300ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e := 0, newEncoder()
		s := source(&opened, e)
		defer s.Close()
		a, b := s.Attach(&viewer{}), s.Attach(&viewer{})
		synctest.Wait()
		a.Start()
		b.Start()
		for range 100 { // a second
			a.RequestKeyframe()
			b.RequestKeyframe()
			time.Sleep(10 * time.Millisecond) // of synctest's clock
		}
		synctest.Wait()
		if n := len(e.keys); n < 3 || n > 4 {
			t.Errorf("%d keyframes were asked for in a second, want 4 at most", n)
		}
	})
}

func TestAKeyframeOnItsWaySatisfiesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e := 0, newEncoder()
		s := source(&opened, e)
		defer s.Close()
		a := s.Attach(&viewer{})
		synctest.Wait()
		a.Start()
		a.RequestKeyframe() // waits for the end of the 300 ms
		synctest.Wait()
		e.push(true, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(e.keys); n != 1 {
			t.Errorf("%d keyframes were asked for, want 1", n)
		}
	})
}

func TestASlowViewerLosesFramesOfItsOwnOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e := 0, newEncoder()
		s := source(&opened, e)
		defer s.Close()
		quick, slow := &viewer{}, &viewer{gate: make(chan struct{})}
		for _, v := range []*viewer{quick, slow} {
			s.Attach(v).Start()
		}
		synctest.Wait()
		const n = 100
		e.push(true, 0)
		for i := 1; i < n; i++ {
			e.push(false, time.Duration(i)*time.Millisecond)
		}
		if len(quick.got) != n {
			t.Errorf("the quick viewer got %d of %d frames", len(quick.got), n)
		}
		for len(e.keys) > 0 {
			<-e.keys
		}
		time.Sleep(time.Second)
		close(slow.gate)
		synctest.Wait()
		if got := len(slow.got); got > queueUnits+1 {
			t.Errorf("%d frames were kept for the slow viewer, at most %d", got, queueUnits+1)
		}
		if len(e.keys) != 1 {
			t.Errorf("%d keyframes were asked for when it had caught up", len(e.keys))
		}
		had := len(slow.got)
		e.push(false, n)
		e.push(true, n+1)
		e.push(false, n+2)
		if after := slow.got[had:]; len(after) != 2 || !after[0].Key {
			t.Errorf("it went on with %d frames, not from a keyframe", len(after))
		}
	})
}

func TestTheSlowestLineSetsTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e := 0, newEncoder()
		s := source(&opened, e)
		defer s.Close()
		a, b := s.Attach(&viewer{}), s.Attach(&viewer{})
		a.SetLimit(8_000_000)
		a.Start()
		b.Start()
		last := func() (r int) {
			synctest.Wait()
			for len(e.rates) > 0 {
				r = <-e.rates
			}
			return r
		}
		if r := last(); r != 8_000_000 {
			t.Errorf("target %d", r)
		}
		b.SetLimit(1_000_000)
		if r := last(); r != 1_000_000 {
			t.Errorf("target %d with a slow viewer", r)
		}
		b.SetLimit(10)
		if r := last(); r != MinBitrate {
			t.Errorf("target %d, want the floor", r)
		}
		b.Close()
		if r := last(); r != 8_000_000 {
			t.Errorf("target %d after it left", r)
		}
		a.SetLimit(99_000_000)
		if r := last(); r != MaxBitrate {
			t.Errorf("target %d, want the ceiling", r)
		}
	})
}

func TestAReloadDoesNotOpenTheEncoderAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, e := 0, newEncoder()
		s := source(&opened, e)
		defer s.Close()
		s.Attach(&viewer{}).Close()
		time.Sleep(DefaultGrace / 2)
		again := s.Attach(&viewer{})
		time.Sleep(2 * DefaultGrace)
		synctest.Wait()
		if opened != 1 {
			t.Errorf("the encoder was opened %d times", opened)
		}
		again.Close()
		time.Sleep(DefaultGrace + time.Millisecond)
		synctest.Wait()
		select {
		case <-e.done:
		default:
			t.Error("the encoder is still open after the grace")
		}
	})
}

func TestTimestampsGoOnOverARestartOfTheEncoder(t *testing.T) {
	p, err := newPacketizer(vitrine.CodecVP8)
	if err != nil {
		t.Fatal(err)
	}
	at := func(pts time.Duration) uint32 {
		return p.unit(vitrine.Frame{PTS: pts, Data: []byte{1}}).Timestamp
	}
	p.restart(0)
	if a, b := at(5*time.Hour), at(5*time.Hour+time.Second); a != 0 || b != 90000 {
		t.Errorf("time stamps %d, %d", a, b)
	}
	p.restart(10 * time.Second) // its clock begins anew
	if c := at(time.Millisecond); c != 900000 {
		t.Errorf("time stamp %d after a restart", c)
	}
}

type discard struct{}

func (discard) WriteUnit(*Unit) error { return nil }

// BenchmarkFanOut is the cost of one 12 kB frame (6 Mbit/s at 60 fps) to ten
// viewers, without their SRTP.
func BenchmarkFanOut(b *testing.B) {
	p, err := newPacketizer(vitrine.CodecVP8)
	if err != nil {
		b.Fatal(err)
	}
	s := NewSource(Config{Codec: vitrine.CodecVP8, Log: slog.New(slog.DiscardHandler), Open: func(ctx context.Context) (vitrine.Video, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	for range 10 {
		s.Attach(discard{}).Start()
	}
	f := vitrine.Frame{Keyframe: true, Data: make([]byte, 12500)}
	b.ReportAllocs()
	for b.Loop() {
		s.fanOut(p.unit(f))
	}
	b.StopTimer()
	s.Close()
}
