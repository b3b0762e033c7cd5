package display

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xfixes"
	"github.com/jezek/xgb/xproto"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of the clipboard's transfers. A request to the X server holds 256 KiB
// (without BIG-REQUESTS, which xgb does not speak); larger texts go by INCR
// (ICCCM 2.7.2) in pieces.
const (
	clipPiece    = 128 << 10
	maxTransfers = 16
	transferTime = 30 * time.Second // then a reader that stopped is forgotten
)

// clipboard carries text between the viewer and the desktop's selections. A
// viewer's text becomes CLIPBOARD and PRIMARY; of the desktop only CLIPBOARD is
// told: PRIMARY is every text that is merely marked.
type clipboard struct {
	x      *xserver
	log    *slog.Logger
	win    xproto.Window
	atom   map[string]xproto.Atom
	wanted func() bool    // whether anybody wants to know what was copied
	tell   func(s string) // what was copied

	mu    sync.Mutex
	text  []byte
	owned map[xproto.Atom]bool
	in    incoming
	out   map[transfer]*outgoing
}

// incoming is a conversion that we have asked for.
type incoming struct {
	time   xproto.Timestamp
	target xproto.Atom
	incr   bool
	over   bool // too long: the rest is read and dropped
	buf    []byte
}

type transfer struct {
	win  xproto.Window
	prop xproto.Atom
}

// outgoing is an INCR transfer to another client.
type outgoing struct {
	target xproto.Atom
	rest   []byte
	began  time.Time
}

var atomNames = []string{
	"CLIPBOARD", "PRIMARY", "TARGETS", "TIMESTAMP", "UTF8_STRING", "STRING", "TEXT", "INCR", "ATOM",
	"text/plain", "text/plain;charset=utf-8", "VITRINE_CLIPBOARD",
}

// textTargets are what a text can be had as, best first.
var textTargets = []string{"UTF8_STRING", "text/plain;charset=utf-8", "STRING", "TEXT", "text/plain"}

func newClipboard(x *xserver, log *slog.Logger, wanted func() bool, tell func(string)) (*clipboard, error) {
	c := &clipboard{
		x: x, log: log, wanted: wanted, tell: tell, atom: map[string]xproto.Atom{},
		owned: map[xproto.Atom]bool{}, out: map[transfer]*outgoing{},
	}
	for _, n := range atomNames {
		r, err := xproto.InternAtom(x.conn, false, uint16(len(n)), n).Reply()
		if err != nil {
			return nil, fmt.Errorf("clipboard: %w", err)
		}
		c.atom[n] = r.Atom
	}
	var err error
	if c.win, err = xproto.NewWindowId(x.conn); err != nil {
		return nil, fmt.Errorf("clipboard: %w", err)
	}
	err = xproto.CreateWindowChecked(x.conn, 0, c.win, x.root, 0, 0, 1, 1, 0, xproto.WindowClassInputOnly, 0,
		xproto.CwEventMask, []uint32{xproto.EventMaskPropertyChange}).Check()
	if err != nil {
		return nil, fmt.Errorf("clipboard: make a window: %w", err)
	}
	if err = xfixes.SelectSelectionInputChecked(x.conn, c.win, c.atom["CLIPBOARD"],
		xfixes.SelectionEventMaskSetSelectionOwner).Check(); err != nil {
		return nil, fmt.Errorf("watch the clipboard: %w", err)
	}
	return c, nil
}

// set makes text the desktop's clipboard.
func (c *clipboard) set(text string) {
	if len(text) > agentproto.MaxClipboard {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = []byte(strings.ToValidUTF8(text, "\uFFFD"))
	for _, s := range []string{"CLIPBOARD", "PRIMARY"} {
		xproto.SetSelectionOwner(c.x.conn, c.win, c.atom[s], xproto.TimeCurrentTime)
		c.owned[c.atom[s]] = true
	}
}

// event takes an event of the desk's connection.
func (c *clipboard) event(ev xgb.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev := ev.(type) {
	case xfixes.SelectionNotifyEvent:
		if ev.Owner != c.win && ev.Owner != 0 && c.wanted() {
			c.in = incoming{time: ev.Timestamp}
			c.ask("UTF8_STRING")
		}
	case xproto.SelectionNotifyEvent:
		c.answered(ev)
	case xproto.PropertyNotifyEvent:
		if ev.Window == c.win {
			if ev.State == xproto.PropertyNewValue && ev.Atom == c.atom["VITRINE_CLIPBOARD"] && c.in.incr {
				c.piece()
			}
		} else if ev.State == xproto.PropertyDelete {
			c.sendPiece(transfer{ev.Window, ev.Atom})
		}
	case xproto.SelectionClearEvent:
		delete(c.owned, ev.Selection)
	case xproto.SelectionRequestEvent:
		c.serve(ev)
	}
}

func (c *clipboard) ask(target string) {
	c.in.target = c.atom[target]
	xproto.ConvertSelection(c.x.conn, c.win, c.atom["CLIPBOARD"], c.in.target, c.atom["VITRINE_CLIPBOARD"], c.in.time)
}

// answered takes the owner's answer to ask.
func (c *clipboard) answered(ev xproto.SelectionNotifyEvent) {
	if ev.Time != c.in.time || ev.Target != c.in.target || c.in.time == 0 {
		return // of an earlier question
	}
	if ev.Property == 0 {
		if ev.Target == c.atom["UTF8_STRING"] {
			c.ask("STRING")
		}
		return
	}
	kind, data := c.fetch()
	if kind == c.atom["INCR"] {
		c.in.incr = true // fetch deleted it, which starts the transfer
		return
	}
	c.arrived(kind, data)
}

// fetch takes the property's value, as much as a clipboard may hold.
func (c *clipboard) fetch() (xproto.Atom, []byte) {
	r, err := xproto.GetProperty(c.x.conn, true, c.win, c.atom["VITRINE_CLIPBOARD"], 0, 0,
		agentproto.MaxClipboard/4+1).Reply()
	if err != nil {
		c.log.Debug("clipboard", "err", err)
		return 0, nil
	}
	if r.BytesAfter > 0 { // too long; it is deleted only when read to its end
		xproto.DeleteProperty(c.x.conn, c.win, c.atom["VITRINE_CLIPBOARD"])
	}
	if r.Format != 8 {
		return r.Type, nil
	}
	return r.Type, r.Value
}

func (c *clipboard) piece() {
	kind, data := c.fetch()
	if len(data) == 0 {
		buf, over := c.in.buf, c.in.over
		c.in = incoming{}
		if !over {
			c.arrived(kind, buf)
		}
		return
	}
	if len(c.in.buf)+len(data) > agentproto.MaxClipboard {
		c.in.over, c.in.buf = true, nil
	}
	if !c.in.over {
		c.in.buf = append(c.in.buf, data...)
	}
}

func (c *clipboard) arrived(kind xproto.Atom, data []byte) {
	if len(data) == 0 || len(data) > agentproto.MaxClipboard {
		return
	}
	var s string
	if kind == c.atom["STRING"] { // Latin-1
		r := make([]rune, len(data))
		for i, b := range data {
			r[i] = rune(b)
		}
		s = string(r)
	} else {
		s = strings.ToValidUTF8(string(data), "\uFFFD")
	}
	if s = strings.ReplaceAll(s, "\x00", ""); s != "" && len(s) <= agentproto.MaxClipboard {
		c.tell(s)
	}
}
