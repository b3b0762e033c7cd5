package codec

import (
	"bytes"
	"errors"
	"image"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/codec/codectest"
)

var codecs = []struct {
	name string
	make func(Config) (Encoder, error)
}{{"vp8", NewVP8}, {"h264", NewH264}}

// rig encodes pages of w x h and decodes them again.
type rig struct {
	t   testing.TB
	enc Encoder
	dec *codectest.Decoder
	img *I420
	pts time.Duration
}

func newRig(t testing.TB, name string, mk func(Config) (Encoder, error), w, h, bitrate int) *rig {
	t.Helper()
	enc, err := mk(Config{w, h, bitrate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(enc.Close)
	dec, err := codectest.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	img, err := NewI420(w, h)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, enc: enc, dec: dec, img: img, pts: time.Hour}
}

// show puts page's rows from top on into the picture.
func (r *rig) show(page []byte, top int) {
	r.t.Helper()
	w := r.img.Width
	if err := r.img.Convert(image.Rect(0, 0, w, r.img.Height), page[top*w*4:], w*4); err != nil {
		r.t.Fatal(err)
	}
}

// encode returns the unit, whether it is a keyframe, and how near the decoded
// picture is in dB.
func (r *rig) encode(after time.Duration, in Input) ([]byte, bool, float64) {
	r.t.Helper()
	r.pts += after
	in.Image, in.PTS = r.img, r.pts
	data, key, err := r.enc.Encode(in)
	if err != nil {
		r.t.Fatal(err)
	}
	pic, err := r.dec.Decode(data)
	if err != nil {
		r.t.Fatal(err)
	}
	if pic.Rect.Dx() != r.img.Width || pic.Rect.Dy() != r.img.Height {
		r.t.Fatalf("decoded %v, encoded %dx%d", pic.Rect, r.img.Width, r.img.Height)
	}
	return data, key, codectest.PSNR(r.source(), pic)
}

func (r *rig) source() *image.YCbCr {
	p := r.img
	return &image.YCbCr{Y: p.Y, Cb: p.U, Cr: p.V, YStride: p.YStride, CStride: p.CStride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, p.Width, p.Height)}
}

func TestTextIsCoarseAtFirstAndSharpHalfASecondLater(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.name, c.make, 1280, 720, 6_000_000)
			r.show(codectest.Page(1280, 720, 1), 0)
			first, key, coarse := r.encode(0, Input{})
			if !key {
				t.Fatal("the first frame is not a keyframe")
			}
			r.encode(60*time.Millisecond, Input{Refine: 1})
			r.encode(90*time.Millisecond, Input{Refine: 2})
			_, key, fine := r.encode(250*time.Millisecond, Input{Refine: 3})
			t.Logf("keyframe %d bytes %.1f dB, refined %.1f dB", len(first), coarse, fine)
			if key || len(first) > 250_000 || coarse < 24 || fine < 38 {
				t.Errorf("keyframe of %d bytes, %.1f dB, refined to %.1f dB (another keyframe: %v)", len(first), coarse, fine, key)
			}
			none := make([]byte, 80*45)
			if beat, key, _ := r.encode(2*time.Second, Input{Changed: none, Refine: MaxRefine}); key || len(beat) > 5000 {
				t.Errorf("a heartbeat has %d bytes, keyframe %v", len(beat), key)
			}
		})
	}
}

func TestSmallChangeArrivesAndLeavesTheRestAlone(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.name, c.make, 640, 480, 4_000_000)
			r.show(codectest.Page(640, 480, 1), 0)
			r.encode(0, Input{})
			r.encode(400*time.Millisecond, Input{Refine: 3})
			red := bytes.Repeat([]byte{0, 0, 255, 0}, 32*32)
			if err := r.img.Convert(image.Rect(320, 160, 352, 192), red, 32*4); err != nil {
				t.Fatal(err)
			}
			changed := make([]byte, 40*30)
			for _, i := range []int{10*40 + 20, 10*40 + 21, 11*40 + 20, 11*40 + 21} {
				changed[i] = 1
			}
			data, _, near := r.encode(time.Second, Input{Changed: changed})
			if len(data) > 20_000 || near < 35 {
				t.Errorf("a red square took %d bytes, the picture is at %.1f dB", len(data), near)
			}
		})
	}
}

func TestNoKeyframeUnlessAsked(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.name, c.make, 640, 480, 2_000_000)
			a, b := codectest.Page(640, 480, 1), codectest.Page(640, 480, 2)
			for i := range 150 {
				if i%30 < 15 { // whole scenes change
					r.show(a, 0)
				} else {
					r.show(b, 0)
				}
				_, key, near := r.encode(time.Second/60, Input{Key: i == 100})
				if key != (i == 0 || i == 100) {
					t.Fatalf("frame %d: keyframe %v", i, key)
				}
				if near < 20 {
					t.Fatalf("frame %d: %.1f dB", i, near)
				}
			}
		})
	}
}

func TestBitrateIsFollowed(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.name, c.make, 1280, 720, 8_000_000)
			page := codectest.Page(1280, 720+120*8, 1)
			run := func() int {
				n := 0
				for i := range 120 {
					r.show(page, i*8)
					data, _, _ := r.encode(time.Second/60, Input{})
					if i >= 60 {
						n += len(data) * 8
					}
				}
				return n
			}
			fast := run()
			if err := r.enc.SetBitrate(1_500_000); err != nil {
				t.Fatal(err)
			}
			run()
			slow := run()
			t.Logf("%d kbit/s, then %d kbit/s", fast/1000, slow/1000)
			if slow > 4_000_000 || slow*3/2 > fast {
				t.Errorf("asked for 8 and then 1.5 Mbit/s, got %d and %d kbit/s", fast/1000, slow/1000)
			}
		})
	}
}

func TestEverySizeAScreenCanHave(t *testing.T) {
	for _, c := range codecs {
		for _, s := range [][2]int{{16, 16}, {320, 240}, {390, 844}, {1110, 734}, {1366, 768}, {3840, 2160}} {
			r := newRig(t, c.name, c.make, s[0], s[1], 4_000_000)
			r.show(codectest.Page(s[0], s[1], 3), 0)
			if _, key, near := r.encode(0, Input{}); !key || near < 18 {
				t.Errorf("%s %v: keyframe %v, %.1f dB", c.name, s, key, near)
			}
		}
	}
}

func TestH264SaysWhatItIs(t *testing.T) {
	r := newRig(t, "h264", NewH264, 1280, 720, 6_000_000)
	r.show(codectest.Page(1280, 720, 1), 0)
	for _, in := range []Input{{}, {Key: true}} {
		data, _, _ := r.encode(time.Second, in)
		sps := []byte{0, 0, 0, 1, 0x67, 0x42, 0xe0}
		if !bytes.HasPrefix(data, sps) || !bytes.Contains(data, []byte{0, 0, 0, 1, 0x68}) {
			t.Fatalf("an IDR begins with % x, without SPS 42e0 or PPS", data[:12])
		}
	}
}

func TestWhatCannotBeEncodedIsRefused(t *testing.T) {
	img, err := NewI420(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codecs {
		for _, s := range [][2]int{{0, 0}, {15, 16}, {641, 480}, {640, 481}, {-2, 20}, {MaxSize + 2, 100}} {
			if _, err := c.make(Config{s[0], s[1], 1_000_000}); !errors.Is(err, ErrSize) {
				t.Errorf("%s %v: %v", c.name, s, err)
			}
		}
		e, err := c.make(Config{64, 64, 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		small, _ := NewI420(32, 32)
		for what, in := range map[string]Input{
			"no picture": {}, "another size": {Image: small},
			"a short map": {Image: img, Changed: make([]byte, 15)}, "step 4": {Image: img, Refine: 4},
		} {
			if _, _, err := e.Encode(in); err == nil {
				t.Errorf("%s: %s was encoded", c.name, what)
			}
		}
		e.Close()
		e.Close()
		if _, _, err := e.Encode(Input{Image: img}); err == nil {
			t.Errorf("%s: a closed encoder encodes", c.name)
		}
	}
	for what, f := range map[string]func() error{
		"odd":     func() error { return img.Convert(image.Rect(1, 0, 9, 8), make([]byte, 1000), 32) },
		"outside": func() error { return img.Convert(image.Rect(60, 0, 68, 8), make([]byte, 1000), 32) },
		"short":   func() error { return img.Convert(image.Rect(0, 0, 8, 8), make([]byte, 255), 32) },
		"empty":   func() error { return img.Convert(image.Rect(0, 0, 0, 8), make([]byte, 1000), 32) },
	} {
		if err := f(); !errors.Is(err, ErrSize) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func BenchmarkScroll720p(b *testing.B) {
	page := codectest.Page(1280, 720+256*8, 1)
	for _, c := range codecs {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b, c.name, c.make, 1280, 720, 6_000_000)
			n := 0
			for i := 0; b.Loop(); i++ {
				r.show(page, i%256*8)
				r.pts += time.Second / 60
				data, _, err := r.enc.Encode(Input{Image: r.img, PTS: r.pts})
				if err != nil {
					b.Fatal(err)
				}
				n += len(data)
			}
			b.ReportMetric(float64(n)/float64(b.N), "bytes/frame")
		})
	}
}
