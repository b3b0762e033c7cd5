package display

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/jezek/xgb/randr"

	"github.com/vitrine-dev/vitrine/internal/agent/codec/codectest"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func TestFullMotionIsSixtyFramesASecond(t *testing.T) {
	const w, h = 1280, 720
	page := codectest.Page(w, h+200*8, 1)
	for _, codec := range []string{codecVP8, codecH264} {
		t.Run(codec, func(t *testing.T) {
			d := xvnc(t, w, h)
			p := start(t, d)
			a := newApp(t, d, w, h)
			v := watch(t, p, codec)
			v.next()
			const frames = 180
			go func() { // scrolls at 60 Hz
				tick := time.NewTicker(time.Second / 60)
				defer tick.Stop()
				for i := range frames {
					<-tick.C
					top := (i % 200) * 8
					a.paint(page[top*w*4:], w, h)
				}
				a.fill(image.Rect(0, 0, w, h), 0x0000ff) // blue: the end
			}()
			before, began, n, size := cpu(t, p.PID()), time.Now(), 0, 0
			blue := func(p *image.YCbCr) bool { return p.Cb[0] > 200 && p.Y[0] < 80 }
			v.until("the end", func(pic *image.YCbCr) bool {
				n++
				size += len(v.last.Payload)
				return blue(pic)
			})
			took := time.Since(began)
			used := cpu(t, p.PID()) - before
			t.Logf("%s: %d frames in %.1f s of %d painted, %.1f ms CPU a frame, %d kbit/s", codec, n, took.Seconds(), frames,
				ms(used)/float64(n), size*8/int(took.Milliseconds()))
			if n < frames/4 {
				t.Errorf("%d frames of %d arrived", n, frames)
			}
		})
	}
}

func TestStillScreenCostsNothing(t *testing.T) {
	d := xvnc(t, 1280, 720)
	p := start(t, d)
	a := newApp(t, d, 1280, 720)
	a.paint(codectest.Page(1280, 720, 1), 1280, 720)
	a.sync()
	v := watch(t, p, codecVP8)
	v.next()
	last := v.last.PTS
	v.until("stillness", func(*image.YCbCr) bool {
		gap := v.last.PTS - last
		last = v.last.PTS
		return gap > time.Second
	})
	before, began := cpu(t, p.PID()), time.Now()
	for i := range 3 {
		v.next()
		if gap := v.last.PTS - last; gap < agentproto.HeartbeatInterval-100*time.Millisecond {
			t.Errorf("heartbeat %d came %s after the frame before", i, gap)
		}
		last = v.last.PTS
		if len(v.last.Payload) > 4000 {
			t.Errorf("a heartbeat of %d bytes", len(v.last.Payload))
		}
	}
	used := (cpu(t, p.PID()) - before).Seconds() / time.Since(began).Seconds()
	t.Logf("%.4f cores while the screen is still", used)
	if used > 0.05 {
		t.Errorf("%.3f cores while the screen is still", used)
	}
}

func TestRefinedPictureIsTheScreen(t *testing.T) {
	page := codectest.Page(1280, 720, 1)
	for _, codec := range []string{codecVP8, codecH264} {
		d := xvnc(t, 1280, 720)
		p := start(t, d)
		a := newApp(t, d, 1280, 720)
		v := watch(t, p, codec)
		v.next()
		a.paint(page, 1280, 720)
		a.sync()
		shot, err := p.Screenshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		im, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		want := image.NewYCbCr(image.Rect(0, 0, 1280, 720), image.YCbCrSubsampleRatio420)
		for y := range 720 {
			for x := range 1280 {
				r, g, b, _ := im.At(x, y).RGBA() // BT.601, limited
				want.Y[y*want.YStride+x] = byte(16 + (66*(r>>8)+129*(g>>8)+25*(b>>8)+128)>>8)
				if o := (y*1280 + x) * 4; byte(b>>8) != page[o] || byte(r>>8) != page[o+2] {
					t.Fatalf("the screenshot differs at %d,%d", x, y)
				}
			}
		}
		best := 0.0
		v.until("a sharp picture", func(pic *image.YCbCr) bool {
			best = codectest.PSNR(want, pic)
			return best > 38
		})
		t.Logf("%s: %.1f dB", codec, best)
	}
}

func TestTwoCodecsShareOneCapture(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	v, h := watch(t, p, codecVP8), watch(t, p, codecH264)
	for i := range 6 {
		white := i%2 == 0
		a.fill(image.Rect(0, 0, 640, 480), map[bool]uint32{true: 0xffffff}[white])
		for _, s := range []*watcher{v, h} {
			s.until("the colour", func(p *image.YCbCr) bool { return bright(p) == white })
		}
	}
	v.conn.Close() // one leaves, the other goes on
	a.fill(image.Rect(0, 0, 640, 480), 0xffffff)
	h.until("white after the other left", bright)
}

func TestKeyframesAreCoalesced(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	v := watch(t, p, codecVP8)
	v.next()
	var keys []time.Duration
	for range 20 {
		v.send(agentproto.Frame{Type: agentproto.FrameKeyframe})
	}
	v.until("a keyframe", func(*image.YCbCr) bool { return v.last.Flags&agentproto.FlagKeyframe != 0 })
	keys = append(keys, v.last.PTS)
	for range 20 {
		v.send(agentproto.Frame{Type: agentproto.FrameKeyframe})
	}
	v.until("a keyframe", func(*image.YCbCr) bool { return v.last.Flags&agentproto.FlagKeyframe != 0 })
	if gap := v.last.PTS - keys[0]; gap < keyInterval-10*time.Millisecond {
		t.Errorf("keyframes %s apart", gap)
	}
	for v.next(); v.last.PTS-keys[0] < 4*time.Second; v.next() {
		if v.last.Flags&agentproto.FlagKeyframe != 0 && v.last.PTS-keys[0] > 2*keyInterval+100*time.Millisecond {
			t.Fatalf("a keyframe that nobody asked for, %s later", v.last.PTS-keys[0])
		}
	}
}

func TestSlowReaderGetsTheScreenAsItIsNotAsItWas(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	v := watch(t, p, codecH264)
	v.next()
	var rate [4]byte
	binary.BigEndian.PutUint32(rate[:], 20_000_000)
	v.send(agentproto.Frame{Type: agentproto.FrameBitrate, Payload: rate[:]})
	fast := watch(t, p, codecVP8) // says when the slow one must have had enough
	for i := range 100 {
		a.paint(codectest.Page(640, 480, int64(i)), 640, 480)
		fast.next()
	}
	a.fill(image.Rect(0, 0, 640, 480), 0xffffff)
	fast.until("white", bright)
	n, size := 0, 0
	v.until("white", func(p *image.YCbCr) bool {
		n++
		size += len(v.last.Payload)
		return p.Y[0] > 200 && bright(p) && p.Y[100*p.YStride+100] > 200
	})
	t.Logf("the slow reader had %d frames, %d KB, to read", n, size>>10)
	if n > 30 {
		t.Errorf("%d frames of the past were waiting", n)
	}
}

func TestResizeFollowsAnySize(t *testing.T) {
	d := xvnc(t, 1280, 720)
	p := start(t, d)
	h := grip(t, p)
	h.event("resized", func(e agentproto.Event) bool { return e.Width == 1280 && e.Height == 720 })
	v, v2 := watch(t, p, codecVP8), watch(t, p, codecH264)
	v.next()
	v2.next()
	for _, s := range []struct{ askW, askH, w, h int }{
		{1111, 733, 1110, 732}, {390, 844, 390, 844}, {1920, 1080, 1920, 1080}, {1, 1, 320, 240},
		{1000, 1000, 1000, 1000}, {99999, 99999, 3840, 2160}, {1280, 720, 1280, 720},
	} {
		gotW, gotH, err := p.Resize(t.Context(), s.askW, s.askH)
		if err != nil || gotW != s.w || gotH != s.h {
			t.Fatalf("%dx%d: got %dx%d, %v", s.askW, s.askH, gotW, gotH, err)
		}
		h.event("resized", func(e agentproto.Event) bool { return e.Width == s.w && e.Height == s.h })
		for _, w := range []*watcher{v, v2} {
			w.until("the size", func(p *image.YCbCr) bool { return p.Rect.Dx() == s.w && p.Rect.Dy() == s.h })
			if w.last.Flags&agentproto.FlagKeyframe == 0 {
				t.Errorf("%v does not begin with a keyframe", s)
			}
		}
	}
	for i := range 10 { // a window being dragged
		h.do(agentproto.Input{Type: "resize", Width: 800 + i, Height: 600})
	}
	h.event("resized", func(e agentproto.Event) bool {
		if e.Width != 808 || e.Height != 600 {
			t.Errorf("resized to %dx%d on the way", e.Width, e.Height)
		}
		return true
	})
}

func TestScreenOfAnOddSizeIsCropped(t *testing.T) {
	d := xvnc(t, 641, 481)
	p := start(t, d)
	v := watch(t, p, codecH264)
	if pic := v.next(); pic.Rect.Dx() != 640 || pic.Rect.Dy() != 480 {
		t.Errorf("the picture is %v", pic.Rect)
	}
}

func TestXServerGoneEndsTheChild(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	v := watch(t, p, codecVP8)
	v.next()
	endServer(d)
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("the child lives on without an X server")
	}
	if _, err := p.Screenshot(context.Background()); err == nil {
		t.Error("a screenshot without a child")
	}
	if _, err := Start(t.Context(), Options{Display: d, Stderr: testLog{t}}); err == nil {
		t.Error("a display without an X server")
	}
}

func TestOnlyStreamsOfTheDisplayAreTaken(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	for _, s := range [][2]string{{"/cdp", ""}, {agentproto.PathVideo, ""}, {agentproto.PathVideo, "av1"}, {"", "vp8"}} {
		_, theirs := pair(t)
		if err := p.Stream(theirs, s[0], map[string][]string{"codec": {s[1]}}); err == nil {
			t.Errorf("%v was taken", s)
		}
		theirs.Close()
	}
	// A stream that breaks the rules ends, and nothing else.
	v := watch(t, p, codecVP8)
	v.next()
	bad := watch(t, p, codecVP8)
	bad.send(agentproto.Frame{Type: agentproto.FrameMessage, Payload: []byte("hello")})
	_ = bad.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, err := agentproto.ReadFrame(bad.conn); err != nil {
			break
		}
	}
	v.send(agentproto.Frame{Type: agentproto.FrameKeyframe})
	v.until("a keyframe", func(*image.YCbCr) bool { return v.last.Flags&agentproto.FlagKeyframe != 0 })
}

func TestModeIsSixtyHertz(t *testing.T) {
	d := xvnc(t, 1024, 768)
	p := start(t, d)
	a := newApp(t, d, 1024, 768)
	for _, s := range [][2]int{{1024, 768}, {1366, 768}, {1024, 768}} {
		if _, _, err := p.Resize(t.Context(), s[0], s[1]); err != nil {
			t.Fatal(err)
		}
		r, err := randr.GetScreenResourcesCurrent(a.x.conn, a.x.root).Reply()
		if err != nil {
			t.Fatal(err)
		}
		c, err := randr.GetCrtcInfo(a.x.conn, r.Crtcs[0], r.ConfigTimestamp).Reply()
		if err != nil {
			t.Fatal(err)
		}
		ours := 0
		for i, m := range r.Modes {
			if strings.HasPrefix(modeNames(r)[i], modePrefix) {
				ours++
			}
			if randr.Mode(m.Id) != c.Mode {
				continue
			}
			if hz := float64(m.DotClock) / float64(m.Htotal) / float64(m.Vtotal); hz != 60 {
				t.Errorf("%v has %.2f Hz", s, hz)
			}
			if int(c.Width) != s[0] || int(c.Height) != s[1] {
				t.Errorf("%v is %dx%d", s, c.Width, c.Height)
			}
		}
		if ours > 1 {
			t.Errorf("%d modes of ours are left", ours)
		}
	}
}

func TestNothingIsCapturedUntilSomebodyWatches(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	h := grip(t, p)
	h.event("cursor", nil)
	before := cpu(t, p.PID())
	for i := range 300 {
		a.fill(image.Rect(0, 0, 640, 480), uint32(i))
		a.sync()
	}
	if used := cpu(t, p.PID()) - before; used > 20*time.Millisecond {
		t.Errorf("%s of CPU for 300 changes that nobody watches", used)
	}
	v := watch(t, p, codecVP8)
	v.next()
	v.conn.Close()
	grip(t, p).event("cursor", nil) // the child lives; and soon the damage is off
}
