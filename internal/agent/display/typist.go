package display

import (
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of one input; the domain's, which this package cannot import.
const (
	maxKeyName = 64   // bytes of Key and of Code
	maxText    = 4096 // bytes
	maxHeld    = 64   // keys held down at once
	notch      = 120  // of DX and DY, one click of a wheel
	maxNotches = 20   // of one input
	maxPlace   = 1 << 14
)

// typist presses keys and buttons and moves the pointer, by XTEST.
type typist struct {
	x   *xserver
	log *slog.Logger

	mu      sync.Mutex
	keys    *keymap
	stale   bool // the layout was changed by someone else
	held    map[string]xproto.Keycode
	mods    map[keysym]xproto.Keycode // modifiers held down
	buttons int                       // the DOM's mask
	px, py  int
	moved   bool // px, py are set
	dx, dy  int  // of the wheel, less than a notch
}

func newTypist(x *xserver, log *slog.Logger) (*typist, error) {
	m, err := newKeymap(x)
	if err != nil {
		return nil, err
	}
	return &typist{x: x, log: log, keys: m, held: map[string]xproto.Keycode{}, mods: map[keysym]xproto.Keycode{}}, nil
}

// event takes an event of the typist's connection.
func (t *typist) event(ev xgb.Event) {
	if m, ok := ev.(xproto.MappingNotifyEvent); ok && m.Request == xproto.MappingKeyboard {
		t.mu.Lock()
		if !t.keys.ours(m.FirstKeycode, m.Count) {
			t.stale = true
		}
		t.mu.Unlock()
	}
}

// input does one input. What is out of bounds or unknown is ignored: the
// viewer is not told what its keyboard has that ours has not.
func (t *typist) input(in agentproto.Input) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch in.Type {
	case "pointer":
		t.point(in.X, in.Y)
		t.press(in.Buttons)
	case "wheel":
		t.point(in.X, in.Y)
		t.wheel(in.DX, in.DY)
	case "key":
		if len(in.Key) <= maxKeyName && len(in.Code) <= maxKeyName {
			t.key(in.Key, in.Code, in.Down)
		}
	case "text":
		if len(in.Text) <= maxText && utf8.ValidString(in.Text) {
			t.text(in.Text)
		}
	case "release":
		t.release()
	}
}

func (t *typist) fake(kind, detail byte, x, y int) {
	xtest.FakeInput(t.x.conn, kind, detail, 0, t.x.root, int16(x), int16(y), 0)
}

func (t *typist) point(x, y int) {
	x, y = min(max(x, 0), maxPlace), min(max(y, 0), maxPlace)
	if t.moved && x == t.px && y == t.py {
		return
	}
	t.px, t.py, t.moved = x, y, true
	t.fake(xproto.MotionNotify, 0, x, y)
}

// buttons of the DOM's mask, and X's numbers. 4 to 7 are the wheel.
var buttons = []struct {
	mask   int
	button byte
}{{1, 1}, {4, 2}, {2, 3}, {8, 8}, {16, 9}}

func (t *typist) press(mask int) {
	for _, b := range buttons {
		switch was, is := t.buttons&b.mask != 0, mask&b.mask != 0; {
		case is && !was:
			t.fake(xproto.ButtonPress, b.button, 0, 0)
		case was && !is:
			t.fake(xproto.ButtonRelease, b.button, 0, 0)
		}
	}
	t.buttons = mask & 31
}

// wheel turns steps into clicks and keeps the rest for the next.
func (t *typist) wheel(dx, dy int) {
	turn := func(rest *int, d int, back, forth byte) {
		*rest += min(max(d, -notch*maxNotches), notch*maxNotches)
		button, n := forth, *rest/notch
		*rest -= n * notch
		if n < 0 {
			button, n = back, -n
		}
		for range n {
			t.fake(xproto.ButtonPress, button, 0, 0)
			t.fake(xproto.ButtonRelease, button, 0, 0)
		}
	}
	turn(&t.dx, dx, 6, 7)
	turn(&t.dy, dy, 4, 5)
}

// release lets go of everything.
func (t *typist) release() {
	for id := range t.held {
		t.up(id)
	}
	t.press(0)
	t.dx, t.dy = 0, 0
}

func (t *typist) key(key, code string, down bool) {
	id := code
	if id == "" {
		id = key
	}
	if !down {
		t.up(id)
		return
	}
	if key == "AltGraph" {
		// Windows says Control before AltGraph, and means neither: the
		// character that follows has it applied.
		t.up("ControlLeft")
		return
	}
	if _, ok := t.held[id]; ok || len(t.held) >= maxHeld {
		return // the X server repeats held keys itself
	}
	sym, char := symOfKey(key, code, t.shortcut())
	if sym == 0 {
		return
	}
	c, need, ok := t.code(sym)
	if !ok {
		return
	}
	if !char || t.shortcut() {
		need = shiftAny
	}
	t.strike(c, need, false)
	t.held[id] = c
	if isModifier(sym) {
		t.mods[sym] = c
	}
}

func isModifier(s keysym) bool { return s >= symShiftL && s <= 0xffee }

// up lets go of a key by what it was pressed as, whatever it would be now.
func (t *typist) up(id string) {
	c, ok := t.held[id]
	if !ok {
		return
	}
	delete(t.held, id)
	for s, m := range t.mods {
		if m == c {
			delete(t.mods, s)
		}
	}
	t.fake(xproto.KeyRelease, byte(c), 0, 0)
	t.keys.hold(c, false, time.Now())
}

// shortcut says whether a modifier other than shift is held.
func (t *typist) shortcut() bool {
	for s := range t.mods {
		if s != symShiftL && s != symShiftR {
			return true
		}
	}
	return false
}

// code finds a keycode for a keysym, or borrows one.
func (t *typist) code(sym keysym) (xproto.Keycode, shiftState, bool) {
	if sym == 0 {
		return 0, 0, false
	}
	if t.stale {
		t.stale = false
		if err := t.keys.load(); err != nil {
			t.log.Warn("keyboard", "err", err)
		}
	}
	if c, need, ok := t.keys.find(sym); ok {
		return c, need, true
	}
	for range 2 {
		c, wait, err := t.keys.borrow(sym, time.Now())
		if err != nil {
			t.log.Debug("keyboard", "err", err)
			return 0, 0, false
		}
		if wait == 0 {
			return c, shiftAny, true
		}
		time.Sleep(wait) // see settle; only a text with very many new characters
	}
	return 0, 0, false
}

// strike presses a keycode with shift as it needs it; tap lets go as well.
func (t *typist) strike(c xproto.Keycode, need shiftState, tap bool) {
	var lift []xproto.Keycode // shifts held that must not be
	for _, s := range []keysym{symShiftL, symShiftR} {
		if m, ok := t.mods[s]; ok {
			lift = append(lift, m)
		}
	}
	add := need == shiftDown && len(lift) == 0
	if need != shiftUp {
		lift = nil
	}
	shift, _, ok := t.keys.find(symShiftL)
	add = add && ok
	for _, m := range lift {
		t.fake(xproto.KeyRelease, byte(m), 0, 0)
	}
	if add {
		t.fake(xproto.KeyPress, byte(shift), 0, 0)
	}
	t.fake(xproto.KeyPress, byte(c), 0, 0)
	if tap {
		t.fake(xproto.KeyRelease, byte(c), 0, 0)
	}
	if add {
		t.fake(xproto.KeyRelease, byte(shift), 0, 0)
	}
	for _, m := range lift {
		t.fake(xproto.KeyPress, byte(m), 0, 0)
	}
	t.keys.hold(c, !tap, time.Now())
}

// text types a string that an input method has composed.
func (t *typist) text(s string) {
	for _, r := range s {
		if c, need, ok := t.code(symOfRune(r)); ok {
			t.strike(c, need, true)
		}
	}
}
