package hub

import (
	"context"
	"errors"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of a cursor, which is a guest's word: pixels of its hot spot, bytes of
// its image.
const (
	maxCursorSide = 512
	maxCursorPNG  = 128 << 10
)

// over says whether an error of the agent means that the session is over, or
// that there is none.
func over(err error) bool {
	var e *vitrine.Error
	return errors.As(err, &e) && (e.Code == "session_over" || e.Class == vitrine.ClassNotFound)
}

// observe asks for the session's state and tells it when it has changed. It says
// whether the session is over; the room is then closed. gone is what the caller
// has heard of it already.
func (r *Room) observe(gone bool) bool {
	if known, isOver := r.refresh(); known {
		gone = isOver
	}
	if gone {
		r.close("session over")
	}
	return gone
}

// refresh asks for the session's state and tells it when it has changed. known
// says that there was an answer.
func (r *Room) refresh() (known, isOver bool) {
	if r.hub.cfg.SessionState == nil {
		return false, false
	}
	ctx, cancel := context.WithTimeout(r.ctx, stateTimeout)
	defer cancel()
	s, err := r.hub.cfg.SessionState(ctx, r.id)
	if err != nil {
		gone := vitrine.ClassOf(err) == vitrine.ClassNotFound
		return gone, gone
	}
	msg := State{Type: "state", State: s.State, EndedReason: s.EndedReason, Failure: s.Failure}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.State == "" && s.Viewport.Valid() && r.desktop == vitrine.DefaultViewport {
		r.desktop = s.Viewport
	}
	if r.state.State != msg.State {
		r.state = msg
		r.broadcast(msg)
	}
	return true, s.State.Over()
}

// onDesktop passes on what the desktop tells.
func (r *Room) onDesktop(e vitrine.DesktopEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case vitrine.DesktopCursor:
		if len(e.PNG) > maxCursorPNG || e.HotX < 0 || e.HotY < 0 || e.HotX > maxCursorSide || e.HotY > maxCursorSide {
			return
		}
		r.cursor = &Cursor{Type: "cursor", PNG: e.PNG, HotX: e.HotX, HotY: e.HotY}
		r.broadcast(*r.cursor)
	case vitrine.DesktopClipboard:
		if c := r.members[r.controller]; c != nil && len(e.Text) <= vitrine.MaxInputClipboard {
			c.deliver(Clipboard{Type: "clipboard", Text: e.Text})
		}
	case vitrine.DesktopResized:
		r.resized(vitrine.Viewport{Width: e.Width, Height: e.Height})
	}
}

// resized notes the desktop's size, as an event or a frame says it. Called with
// the lock held.
func (r *Room) resized(v vitrine.Viewport) {
	if v.Valid() && v != r.desktop {
		r.desktop = v
		r.broadcast(Resized{Type: "resized", Width: v.Width, Height: v.Height})
	}
}
