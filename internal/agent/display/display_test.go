package display

import (
	"image"
	"slices"
	"testing"
	"time"

	"github.com/jezek/xgb/xproto"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func TestKeyChangesThePicture(t *testing.T) {
	for _, codec := range []string{codecVP8, codecH264} {
		t.Run(codec, func(t *testing.T) {
			d := xvnc(t, 1280, 720)
			p := start(t, d)
			a := newApp(t, d, 1280, 720)
			go func() { // black and white by turns, at each key
				white := false
				for {
					ev, err := a.x.conn.WaitForEvent()
					if ev == nil && err == nil {
						return
					}
					if _, ok := ev.(xproto.KeyPressEvent); ok {
						white = !white
						a.fill(image.Rect(0, 0, 1280, 720), map[bool]uint32{true: 0xffffff}[white])
					}
				}
			}()
			h, w := grip(t, p), watch(t, p, codec)
			w.until("black", func(p *image.YCbCr) bool { return !bright(p) })
			if w.last.Flags&agentproto.FlagKeyframe == 0 {
				t.Error("the first frame is not a keyframe")
			}
			var took, sent []time.Duration
			for i := range 40 {
				time.Sleep(time.Duration(110+i*7%60) * time.Millisecond) // a person types; also between refinements
				began := time.Now()
				h.tap("a", "KeyA")
				w.until("the other colour", func(p *image.YCbCr) bool { return bright(p) == (i%2 == 0) })
				took = append(took, w.at.Sub(began))
				sent = append(sent, time.Duration(monotonic())-time.Since(w.at)-w.last.PTS)
			}
			slices.Sort(took)
			slices.Sort(sent)
			t.Logf("%s: key to encoded frame p50 %.1f ms, p95 %.1f ms; of that from capture to here p50 %.1f ms",
				codec, ms(took[20]), ms(took[37]), ms(sent[20]))
		})
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
