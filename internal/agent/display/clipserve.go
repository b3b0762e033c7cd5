package display

import (
	"slices"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// serve answers a client that wants our text.
func (c *clipboard) serve(ev xproto.SelectionRequestEvent) {
	prop := ev.Property
	if prop == 0 {
		prop = ev.Target // of clients from before ICCCM
	}
	reply := xproto.SelectionNotifyEvent{
		Time: ev.Time, Requestor: ev.Requestor, Selection: ev.Selection, Target: ev.Target, Property: prop,
	}
	if !c.owned[ev.Selection] || !c.give(ev.Requestor, prop, ev.Target) {
		reply.Property = 0
	}
	xproto.SendEvent(c.x.conn, false, ev.Requestor, 0, string(reply.Bytes()))
}

// give puts what target asks for into a client's property.
func (c *clipboard) give(win xproto.Window, prop, target xproto.Atom) bool {
	if target == c.atom["TARGETS"] {
		list := []xproto.Atom{target}
		for _, t := range textTargets {
			list = append(list, c.atom[t])
		}
		buf := make([]byte, 4*len(list))
		for i, a := range list {
			xgb.Put32(buf[i*4:], uint32(a))
		}
		xproto.ChangeProperty(c.x.conn, xproto.PropModeReplace, win, prop, c.atom["ATOM"], 32, uint32(len(list)), buf)
		return true
	}
	if !slices.ContainsFunc(textTargets, func(t string) bool { return c.atom[t] == target }) {
		return false
	}
	kind := target
	text := c.text
	switch target {
	case c.atom["TEXT"]:
		kind = c.atom["UTF8_STRING"]
	case c.atom["STRING"]:
		text = latin1(text)
	}
	if len(text) <= clipPiece {
		xproto.ChangeProperty(c.x.conn, xproto.PropModeReplace, win, prop, kind, 8, uint32(len(text)), text)
		return true
	}
	c.forget()
	if len(c.out) >= maxTransfers {
		return false
	}
	// The client deletes the property for each next piece, and we must see it.
	xproto.ChangeWindowAttributes(c.x.conn, win, xproto.CwEventMask, []uint32{xproto.EventMaskPropertyChange})
	size := make([]byte, 4)
	xgb.Put32(size, uint32(len(text)))
	xproto.ChangeProperty(c.x.conn, xproto.PropModeReplace, win, prop, c.atom["INCR"], 32, 1, size)
	c.out[transfer{win, prop}] = &outgoing{target: kind, rest: text, began: time.Now()}
	return true
}

// sendPiece sends the next piece; an empty one is the end.
func (c *clipboard) sendPiece(t transfer) {
	o := c.out[t]
	if o == nil {
		return
	}
	n := min(len(o.rest), clipPiece)
	xproto.ChangeProperty(c.x.conn, xproto.PropModeReplace, t.win, t.prop, o.target, 8, uint32(n), o.rest[:n])
	o.rest = o.rest[n:]
	if n == 0 {
		delete(c.out, t)
		for other := range c.out {
			if other.win == t.win {
				return
			}
		}
		xproto.ChangeWindowAttributes(c.x.conn, t.win, xproto.CwEventMask, []uint32{0})
	}
}

// forget drops transfers whose client has stopped reading, or is gone.
func (c *clipboard) forget() {
	for t, o := range c.out {
		if time.Since(o.began) > transferTime {
			delete(c.out, t)
		}
	}
}

// latin1 is a text for clients that know nothing else.
func latin1(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range string(s) {
		if r > 0xff {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return out
}
