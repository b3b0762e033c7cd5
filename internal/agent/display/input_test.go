package display

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// seen are what an app was given, in order.
func (a *app) seen() <-chan xgb.Event {
	c := make(chan xgb.Event, 10_000)
	go func() {
		defer close(c)
		for {
			ev, err := a.x.conn.WaitForEvent()
			if ev == nil && err == nil {
				return
			}
			if ev != nil {
				c <- ev
			}
		}
	}()
	return c
}

// wait is the first event that ok accepts.
func wait(t testing.TB, c <-chan xgb.Event, what string, ok func(xgb.Event) bool) xgb.Event {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev, open := <-c:
			if !open {
				t.Fatalf("the X server went before %s", what)
			}
			if ok(ev) {
				return ev
			}
		case <-timeout:
			t.Fatalf("the app never saw %s", what)
		}
	}
}

// reads is what the app makes of the next n key presses, as a client does that
// asks for the layout anew whenever it is told of a change.
func (a *app) reads(t testing.TB, c <-chan xgb.Event, n int) []keysym {
	t.Helper()
	m := &keymap{x: a.x}
	load := func() {
		if err := m.load(); err != nil {
			t.Fatal(err)
		}
	}
	load()
	var got []keysym
	for len(got) < n {
		wait(t, c, "a key", func(ev xgb.Event) bool {
			switch ev := ev.(type) {
			case xproto.MappingNotifyEvent:
				load()
			case xproto.KeyPressEvent:
				column := 0
				if ev.State&xproto.ModMaskShift != 0 && m.at(ev.Detail, 1) != 0 {
					column = 1
				}
				if s := m.at(ev.Detail, column); !isModifier(s) {
					got = append(got, s)
					return true
				}
			}
			return false
		})
	}
	return got
}

func TestKeysArriveAsWhatTheyMean(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	c := a.seen()
	h := grip(t, p)
	down := func(key, code string) { h.do(agentproto.Input{Type: "key", Key: key, Code: code, Down: true}) }
	up := func(key, code string) { h.do(agentproto.Input{Type: "key", Key: key, Code: code}) }
	for _, k := range []struct {
		what string
		do   func()
		want keysym
	}{
		{"a letter", func() { h.tap("a", "KeyA") }, 'a'},
		{"a capital with shift", func() { down("Shift", "ShiftLeft"); h.tap("A", "KeyA"); up("Shift", "ShiftLeft") }, 'A'},
		{"a capital with caps lock", func() { h.tap("CapsLock", "CapsLock"); h.tap("A", "KeyA") }, 'A'},
		{"a slash from a German keyboard", func() { down("Shift", "ShiftLeft"); h.tap("/", "Digit7"); up("Shift", "ShiftLeft") }, '/'},
		{"a quote from a German keyboard", func() { down("Shift", "ShiftLeft"); h.tap("\"", "Digit2"); up("Shift", "ShiftLeft") }, '"'},
		{"an at sign with AltGr from Windows", func() {
			down("Control", "ControlLeft")
			down("AltGraph", "AltRight")
			h.tap("@", "KeyQ")
			up("Control", "ControlLeft")
			up("AltGraph", "AltRight")
		}, '@'},
		{"Enter", func() { h.tap("Enter", "Enter") }, symReturn},
		{"the keypad's Enter", func() { h.tap("Enter", "NumpadEnter") }, 0xff8d},
		{"a digit of the keypad", func() { h.tap("7", "Numpad7") }, '7'},
		{"an arrow", func() { h.tap("ArrowLeft", "ArrowLeft") }, 0xff51},
		{"an umlaut", func() { h.tap("ü", "BracketLeft") }, 0xfc},
		{"é", func() { h.tap("é", "Digit2") }, 0xe9},
		{"a Cyrillic letter", func() { h.tap("ж", "Semicolon") }, 0x1000436},
		{"a Chinese character", func() { h.do(agentproto.Input{Type: "text", Text: "中"}) }, 0x1004e2d},
		{"an emoji", func() { h.do(agentproto.Input{Type: "text", Text: "😀"}) }, 0x101f600},
		{"copy on a Cyrillic keyboard", func() {
			down("Control", "ControlLeft")
			h.tap("с", "KeyC")
			up("Control", "ControlLeft")
		}, 'c'},
	} {
		k.do()
		if got := a.reads(t, c, 1)[0]; got != k.want {
			t.Errorf("%s arrived as %#x, not %#x", k.what, got, k.want)
		}
	}
}

func TestTextOfManyScriptsArrivesWhole(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	c := a.seen()
	var text strings.Builder
	for i := range 150 { // more than there are spare keycodes
		text.WriteRune(rune(0x4e00 + i*7))
		text.WriteRune([]rune("aZ!é\n")[i%5])
	}
	grip(t, p).do(agentproto.Input{Type: "text", Text: text.String()})
	want := []rune(text.String())
	for i, got := range a.reads(t, c, len(want)) {
		if got != symOfRune(want[i]) {
			t.Fatalf("character %d, %q, arrived as %#x", i, want[i], got)
		}
	}
}

func TestNothingStaysPressed(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	c := a.seen()
	for what, let := range map[string]func(*hand){
		"on release":                  func(h *hand) { h.do(agentproto.Input{Type: "release"}) },
		"when the connection is lost": func(h *hand) { h.conn.Close() },
	} {
		h := grip(t, p)
		h.do(agentproto.Input{Type: "pointer", X: 100, Y: 100, Buttons: 1})
		h.do(agentproto.Input{Type: "key", Key: "Control", Code: "ControlLeft", Down: true})
		h.do(agentproto.Input{Type: "key", Key: "x", Code: "KeyX", Down: true})
		wait(t, c, "x", func(ev xgb.Event) bool {
			k, ok := ev.(xproto.KeyPressEvent)
			return ok && k.Detail == 53
		})
		let(h)
		keys, button := 0, false
		wait(t, c, "everything let go "+what, func(ev xgb.Event) bool {
			switch ev.(type) {
			case xproto.KeyReleaseEvent:
				keys++
			case xproto.ButtonReleaseEvent:
				button = true
			}
			return keys == 2 && button
		})
	}
}

func TestHeldKeyRepeatsAndIsNotDoubled(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	c := a.seen()
	h := grip(t, p)
	for range 5 { // what a browser sends while a key is held
		h.do(agentproto.Input{Type: "key", Key: "j", Code: "KeyJ", Down: true})
	}
	began, presses := time.Now(), 0
	wait(t, c, "repeats", func(ev xgb.Event) bool {
		if _, ok := ev.(xproto.KeyPressEvent); ok {
			presses++
		}
		return presses == 5
	})
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("five presses within %s: the browser's repeats came through", took)
	}
}

func TestPointerAndWheel(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	c := a.seen()
	h := grip(t, p)
	h.do(agentproto.Input{Type: "pointer", X: 320, Y: 200})
	wait(t, c, "the pointer at 320,200", func(ev xgb.Event) bool {
		m, ok := ev.(xproto.MotionNotifyEvent)
		return ok && m.EventX == 320 && m.EventY == 200
	})
	press := func(b byte) func(xgb.Event) bool {
		return func(ev xgb.Event) bool {
			e, ok := ev.(xproto.ButtonPressEvent)
			if ok && byte(e.Detail) != b {
				t.Errorf("button %d instead of %d", e.Detail, b)
			}
			return ok
		}
	}
	for _, b := range []struct {
		mask int
		want byte
	}{{1, 1}, {2, 3}, {4, 2}, {8, 8}, {16, 9}} {
		h.do(agentproto.Input{Type: "pointer", X: 320, Y: 200, Buttons: b.mask})
		wait(t, c, "a button", press(b.want))
		h.do(agentproto.Input{Type: "pointer", X: 320, Y: 200})
	}
	for range 4 {
		h.do(agentproto.Input{Type: "wheel", X: 320, Y: 200, DY: 30}) // a touchpad: one notch in four
	}
	wait(t, c, "a notch down", press(5))
	h.do(agentproto.Input{Type: "wheel", X: 320, Y: 200, DY: -240, DX: -120})
	wait(t, c, "a notch left", press(6))
	wait(t, c, "a notch up", press(4))
	wait(t, c, "another notch up", press(4))
	h.do(agentproto.Input{Type: "wheel", DX: 120, DY: 1 << 40})
	wait(t, c, "a notch right", press(7))
	for range maxNotches {
		wait(t, c, "no more notches than allowed", press(5))
	}
	h.do(agentproto.Input{Type: "pointer", X: -5, Y: 1 << 40, Buttons: 1})
	wait(t, c, "the next", press(1))
}

func TestCursorIsShownToTheViewer(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	a := newApp(t, d, 640, 480)
	h := grip(t, p)
	h.event("cursor", nil) // the one that is there
	cursor, _ := xproto.NewCursorId(a.x.conn)
	pix, _ := xproto.NewPixmapId(a.x.conn)
	// A cursor of 16x16, all of it red, hot spot at 3,4.
	gc, _ := xproto.NewGcontextId(a.x.conn)
	xproto.CreatePixmap(a.x.conn, 1, pix, xproto.Drawable(a.win), 16, 16)
	xproto.CreateGC(a.x.conn, gc, xproto.Drawable(pix), xproto.GcForeground, []uint32{1})
	xproto.PolyFillRectangle(a.x.conn, xproto.Drawable(pix), gc, []xproto.Rectangle{{Width: 16, Height: 16}})
	xproto.CreateCursor(a.x.conn, cursor, pix, pix, 0xffff, 0, 0, 0xffff, 0, 0, 3, 4)
	xproto.ChangeWindowAttributes(a.x.conn, a.win, xproto.CwCursor, []uint32{uint32(cursor)})
	h.do(agentproto.Input{Type: "pointer", X: 50, Y: 50})
	e := h.event("cursor", func(e agentproto.Event) bool { return e.HotX == 3 && e.HotY == 4 })
	im, err := png.Decode(bytes.NewReader(e.PNG))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, al := im.At(8, 8).RGBA(); r>>8 != 255 || g != 0 || b != 0 || al>>8 != 255 {
		t.Errorf("the cursor is %d %d %d %d", r>>8, g>>8, b>>8, al>>8)
	}
	// And one that is not to be seen.
	empty, _ := xproto.NewPixmapId(a.x.conn)
	hidden, _ := xproto.NewCursorId(a.x.conn)
	xproto.CreatePixmap(a.x.conn, 1, empty, xproto.Drawable(a.win), 16, 16)
	xproto.ChangeGC(a.x.conn, gc, xproto.GcForeground, []uint32{0})
	xproto.PolyFillRectangle(a.x.conn, xproto.Drawable(empty), gc, []xproto.Rectangle{{Width: 16, Height: 16}})
	xproto.CreateCursor(a.x.conn, hidden, empty, empty, 0, 0, 0, 0, 0, 0, 0, 0)
	xproto.ChangeWindowAttributes(a.x.conn, a.win, xproto.CwCursor, []uint32{uint32(hidden)})
	h.event("cursor", func(e agentproto.Event) bool { return len(e.PNG) == 0 })
}

func TestClipboardBothWays(t *testing.T) {
	d := xvnc(t, 640, 480)
	p := start(t, d)
	h := grip(t, p)
	h.event("cursor", nil)
	// The desktop's programs are our own clipboard code, on another connection.
	a := newApp(t, d, 640, 480)
	got := make(chan string, 10)
	other, err := newClipboard(a.x, discard, func() bool { return true }, func(s string) { got <- s })
	if err != nil {
		t.Fatal(err)
	}
	go a.x.pump(discard, other.event, func(error) {})
	big := strings.Repeat("0123456789abcdéf", agentproto.MaxClipboard/17)
	for what, text := range map[string]string{
		"a word": "hello", "other scripts": "héllo 中文 😀\nsecond line", "a megabyte": big,
	} {
		h.do(agentproto.Input{Type: "clipboard", Text: text})
		select {
		case s := <-got:
			if s != text {
				t.Errorf("%s: the desktop got %d bytes of %d", what, len(s), len(text))
			}
		case <-time.After(patience):
			t.Fatalf("%s: the desktop never got it", what)
		}
		back := text + "."
		if len(back) > agentproto.MaxClipboard {
			back = text[1:]
		}
		other.set(back)
		e := h.event("clipboard", nil)
		if e.Text != back {
			t.Errorf("%s: the viewer got %d bytes of %d", what, len(e.Text), len(back))
		}
	}
	// Too much is not cut but left out, and the next text still comes.
	other.mu.Lock()
	other.text = bytes.Repeat([]byte("x"), agentproto.MaxClipboard+100)
	other.mu.Unlock()
	xproto.SetSelectionOwner(a.x.conn, other.win, other.atom["CLIPBOARD"], xproto.TimeCurrentTime)
	a.sync()
	other.set("after")
	if e := h.event("clipboard", nil); e.Text != "after" {
		t.Errorf("the viewer got %d bytes", len(e.Text))
	}
}
