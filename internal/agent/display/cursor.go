package display

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"sync"

	"github.com/jezek/xgb/xfixes"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// maxCursorSide bounds a cursor in pixels; browsers show none over 128.
const maxCursorSide = 128

// cursors follows the pointer's image for the viewers, who draw it themselves.
type cursors struct {
	x *xserver

	mu   sync.Mutex
	last agentproto.Event
	seen map[uint32]agentproto.Event // by serial: a page's few cursors come and go
}

const maxSeen = 32

// watchCursor asks to be told of changes on x.
func watchCursor(x *xserver) (*cursors, error) {
	if err := xfixes.SelectCursorInputChecked(x.conn, x.root, xfixes.CursorNotifyMaskDisplayCursor).Check(); err != nil {
		return nil, fmt.Errorf("watch the cursor: %w", err)
	}
	return &cursors{x: x, seen: map[uint32]agentproto.Event{}}, nil
}

// image is the cursor's image now, as an event. serial is what the X server
// said it is, 0 when not known.
func (c *cursors) image(serial uint32, log *slog.Logger) agentproto.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.seen[serial]; ok && serial != 0 {
		c.last = e
		return e
	}
	r, err := xfixes.GetCursorImage(c.x.conn).Reply()
	if err != nil {
		log.Debug("cursor", "err", err)
		return c.last
	}
	e := cursorEvent(int(r.Width), int(r.Height), int(r.Xhot), int(r.Yhot), r.CursorImage)
	if len(c.seen) >= maxSeen {
		clear(c.seen)
	}
	if r.CursorSerial != 0 {
		c.seen[r.CursorSerial] = e
	}
	c.last = e
	return e
}

// cursorEvent makes the event of an image of premultiplied ARGB. A cursor with
// no visible pixel is hidden: it has no PNG.
func cursorEvent(w, h, hotX, hotY int, argb []uint32) agentproto.Event {
	e := agentproto.Event{Type: "cursor"}
	if w <= 0 || h <= 0 || len(argb) < w*h {
		return e
	}
	cw, ch := min(w, maxCursorSide), min(h, maxCursorSide)
	im := image.NewNRGBA(image.Rect(0, 0, cw, ch))
	seen := false
	for y := range ch {
		for x := range cw {
			p := argb[y*w+x]
			a := p >> 24
			if a == 0 {
				continue
			}
			seen = true
			o := im.PixOffset(x, y)
			im.Pix[o] = byte(min((p>>16&255)*255/a, 255))
			im.Pix[o+1] = byte(min((p>>8&255)*255/a, 255))
			im.Pix[o+2] = byte(min((p&255)*255/a, 255))
			im.Pix[o+3] = byte(a)
		}
	}
	var buf bytes.Buffer
	if !seen || png.Encode(&buf, im) != nil || buf.Len() > agentproto.MaxCursorPNG {
		return e
	}
	e.PNG, e.HotX, e.HotY = buf.Bytes(), min(max(hotX, 0), cw-1), min(max(hotY, 0), ch-1)
	return e
}
