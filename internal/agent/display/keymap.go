package display

import (
	"fmt"
	"time"

	"github.com/jezek/xgb/xproto"
)

// settle is how long a spare keycode keeps its meaning after it was last
// pressed: a client learns of the change by an event, but asks for the new
// layout only when it comes to that event.
const settle = 100 * time.Millisecond

// maxSpares keycodes at most are borrowed.
const maxSpares = 48

// keymap is the server's layout, and which of its unused keycodes we have
// given a meaning of our own.
type keymap struct {
	x      *xserver
	first  int // the lowest keycode
	per    int // columns
	syms   []keysym
	spares []spare
}

type spare struct {
	code xproto.Keycode
	sym  keysym
	used time.Time
	down bool
}

func newKeymap(x *xserver) (*keymap, error) {
	m := &keymap{x: x}
	return m, m.load()
}

// load reads the layout. Spares that still mean what we made them are kept.
func (m *keymap) load() error {
	lo, hi := m.x.info.MinKeycode, m.x.info.MaxKeycode
	r, err := xproto.GetKeyboardMapping(m.x.conn, lo, byte(hi-lo)+1).Reply()
	if err != nil {
		return fmt.Errorf("read the keyboard's layout: %w", err)
	}
	if r.KeysymsPerKeycode == 0 {
		return fmt.Errorf("read the keyboard's layout: it is empty")
	}
	m.first, m.per, m.syms = int(lo), int(r.KeysymsPerKeycode), r.Keysyms
	old := m.spares
	m.spares = nil
	for _, s := range old {
		if m.at(s.code, 0) == s.sym && s.sym != 0 {
			m.spares = append(m.spares, s)
		}
	}
	// From the top: the low ones are those of real keys.
	for c := int(hi); c >= int(lo) && len(m.spares) < maxSpares; c-- {
		if m.empty(xproto.Keycode(c)) {
			m.spares = append(m.spares, spare{code: xproto.Keycode(c)})
		}
	}
	return nil
}

func (m *keymap) at(code xproto.Keycode, column int) keysym {
	i := (int(code)-m.first)*m.per + column
	if column >= m.per || i < 0 || i >= len(m.syms) {
		return 0
	}
	return m.syms[i]
}

func (m *keymap) empty(code xproto.Keycode) bool {
	for c := range m.per {
		if m.at(code, c) != 0 {
			return false
		}
	}
	return true
}

// ours says whether a change of the layout is of one of our own keycodes.
func (m *keymap) ours(code xproto.Keycode, count byte) bool {
	if count != 1 {
		return false
	}
	for _, s := range m.spares {
		if s.code == code {
			return true
		}
	}
	return false
}

// shiftState is what a keycode needs for a keysym.
type shiftState int

const (
	shiftAny shiftState = iota
	shiftUp
	shiftDown
)

// find looks for a keysym in the layout proper, group one. Symbols that need a
// third level count as missing: pressing that modifier would be seen by pages.
func (m *keymap) find(sym keysym) (xproto.Keycode, shiftState, bool) {
	var code xproto.Keycode
	found := false
	for i := range len(m.syms) / m.per {
		c := xproto.Keycode(m.first + i)
		if m.at(c, 0) == sym {
			if up := m.at(c, 1); up == 0 || up == sym {
				return c, shiftAny, true
			}
			return c, shiftUp, true
		}
		if !found && m.at(c, 1) == sym {
			code, found = c, true
		}
	}
	return code, shiftDown, found
}

// borrow gives a spare keycode the keysym, or finds the one that has it. The
// one unused for longest is taken; wait is how long to wait before it may be.
func (m *keymap) borrow(sym keysym, now time.Time) (code xproto.Keycode, wait time.Duration, err error) {
	best := -1
	for i := range m.spares {
		s := &m.spares[i]
		if s.sym == sym {
			s.used = now
			return s.code, 0, nil
		}
		if !s.down && (best < 0 || s.used.Before(m.spares[best].used)) {
			best = i
		}
	}
	if best < 0 {
		return 0, 0, fmt.Errorf("the layout has no unused keycode")
	}
	s := &m.spares[best]
	if !s.used.IsZero() {
		if left := settle - now.Sub(s.used); left > 0 {
			return 0, left, nil
		}
	}
	// Both columns, so that shift does not matter.
	if err := xproto.ChangeKeyboardMappingChecked(m.x.conn, 1, s.code, 2, []keysym{sym, sym}).Check(); err != nil {
		return 0, 0, fmt.Errorf("borrow keycode %d: %w", s.code, err)
	}
	s.sym, s.used = sym, now
	i := (int(s.code) - m.first) * m.per
	m.syms[i] = sym
	if m.per > 1 {
		m.syms[i+1] = sym
	}
	return s.code, 0, nil
}

// hold notes that a keycode is pressed or let go, in case it is a spare.
func (m *keymap) hold(code xproto.Keycode, down bool, now time.Time) {
	for i := range m.spares {
		if m.spares[i].code == code {
			m.spares[i].down, m.spares[i].used = down, now
		}
	}
}
