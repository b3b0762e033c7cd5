package display

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func frame(t agentproto.FrameType, payload string) []byte {
	var b bytes.Buffer
	_ = agentproto.WriteFrame(&b, agentproto.Frame{Type: t, Payload: []byte(payload)})
	return b.Bytes()
}

// A control stream may hold any bytes: each becomes an input or the end.
func FuzzControlStream(f *testing.F) {
	f.Add(frame(agentproto.FrameInput, `{"t":"pointer","x":1,"y":2,"b":3}`))
	f.Add(frame(agentproto.FrameInput, `{"t":"key","k":"é","c":"KeyE","d":true}`))
	f.Add(frame(agentproto.FrameInput, `{"t":"text","s":"中😀"}`))
	f.Add(frame(agentproto.FrameInput, `{"t":"wheel","dx":9223372036854775807}`))
	f.Add(frame(agentproto.FrameMessage, `{}`))
	f.Add([]byte{4, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			in, err := readInput(r)
			if err != nil {
				return
			}
			sym, _ := symOfKey(in.Key, in.Code, in.Down)
			if sym > 0x1110ffff {
				t.Fatalf("%q is keysym %#x", in.Key, sym)
			}
			w, h := clampSize(in.Width, in.Height)
			if w < minWidth || w > maxWidth || h < minHeight || h > maxHeight || (w|h)&1 != 0 {
				t.Fatalf("%dx%d became %dx%d", in.Width, in.Height, w, h)
			}
		}
	})
}

// A frame that is longer than its stream allows is not held.
func FuzzSmallFrames(f *testing.F) {
	f.Add(frame(agentproto.FrameKeyframe, ""), int64(4))
	f.Add(frame(agentproto.FrameBitrate, "abcd"), int64(4))
	f.Add(frame(agentproto.FrameMessage, "much more than that"), int64(4))
	f.Fuzz(func(t *testing.T, b []byte, n int64) {
		n = min(max(n, 0), 1<<20)
		fr, err := readSmall(io.MultiReader(bytes.NewReader(b), bytes.NewReader(make([]byte, 100))), n)
		if err == nil && int64(len(fr.Payload)) > n {
			t.Fatalf("%d bytes, at most %d", len(fr.Payload), n)
		}
	})
}

// The ancillary data of the control socket is the kernel's, but is parsed.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"id":1,"op":"stream","path":"/video","query":{"codec":["vp8"]}}`), []byte{})
	f.Add([]byte(`{"id":-1}`), []byte{0})
	f.Fuzz(func(t *testing.T, b, oob []byte) {
		var r request
		if json.Unmarshal(b, &r) == nil {
			_ = CheckStream(r.Path, r.Query)
		}
		if len(oob) < 16 { // longer ones would close descriptors of this process
			_, _ = oneFile(oob)
		}
	})
}

// A cursor's image comes from any program in the machine.
func FuzzCursor(f *testing.F) {
	f.Add(16, 16, 3, 4, []byte{1, 2, 3, 4})
	f.Add(-1, 1<<30, 0, 0, []byte{})
	f.Add(500, 500, 600, -600, []byte{0xff})
	f.Fuzz(func(t *testing.T, w, h, x, y int, b []byte) {
		if w > 2000 || h > 2000 {
			w, h = w%2000, h%2000
		}
		px := make([]uint32, max(w, 0)*max(h, 0))
		for i := range px {
			if len(b) > 0 {
				px[i] = uint32(b[i%len(b)]) * 0x01030507
			}
		}
		e := cursorEvent(w, h, x, y, px)
		if len(e.PNG) > agentproto.MaxCursorPNG || e.HotX < 0 || e.HotY < 0 || e.HotX >= maxCursorSide || e.HotY >= maxCursorSide {
			t.Fatalf("%dx%d: %d bytes, hot %d,%d", w, h, len(e.PNG), e.HotX, e.HotY)
		}
	})
}
