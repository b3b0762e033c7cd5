package hub

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

var errViewOnly = vitrine.Errorf(vitrine.ClassForbidden, "view_only", "this viewer may look, not control").
	WithRemedy("open the session with a ticket of scope control")

// InControl says whether the member's input goes anywhere now.
func (m *Member) InControl() bool {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	return m.room.controller == m.id
}

// Control does what the viewer asks: "take", "request", "give" to another, or
// "release".
func (m *Member) Control(action, to string) error {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.viewer.Scope != vitrine.ScopeControl {
		return errViewOnly
	}
	switch action {
	case "take":
		if m.ended {
			return nil
		}
		r.setController(m.id, false)
	case "request":
		if c := r.members[r.controller]; c != nil && c != m {
			c.deliver(ControlRequested{Type: "control_requested", ViewerID: m.id})
		} else {
			r.setController(m.id, false)
		}
	case "give":
		if r.controller != m.id {
			return vitrine.Errorf(vitrine.ClassConflict, "not_in_control", "only the viewer in control can give it")
		}
		other := r.members[to]
		if other == nil || other.viewer.Scope != vitrine.ScopeControl {
			return vitrine.Errorf(vitrine.ClassNotFound, "no_such_viewer", "there is no viewer of that id that may have control")
		}
		r.setController(to, false)
	case "release":
		if r.controller == m.id {
			r.setController("", false)
		}
	default:
		return vitrine.Errorf(vitrine.ClassInvalid, "bad_action", "control knows take, request, give and release")
	}
	r.tellViewers()
	return nil
}

// TakeIfFree takes control when nobody has it, and says whether the member is in
// control then: for viewers that cannot ask.
func (m *Member) TakeIfFree() bool {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.controller == "" && !m.ended && m.viewer.Scope == vitrine.ScopeControl {
		r.setController(m.id, true)
		r.tellViewers()
	}
	return r.controller == m.id
}

// Input passes one act on if the member is in control, and drops it without a
// word if not. An error says that the act was out of bounds.
func (m *Member) Input(in vitrine.Input) error {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.controller != m.id {
		return nil
	}
	in, err := check(in, r.desktop)
	if err != nil {
		return err
	}
	switch in.Type {
	case vitrine.InputPointer:
		m.buttons = in.Buttons
	case vitrine.InputRelease:
		m.buttons = 0
	case vitrine.InputResize:
		r.link.resize(r, in)
		return nil
	}
	r.touch()
	r.link.push(in)
	return nil
}

// Move is a pointer's move from a channel that may reorder: the buttons are
// those last said on the ordered one, or a late move would press them again.
func (m *Member) Move(in vitrine.Input) error {
	if in.Type != vitrine.InputPointer {
		return badInput("this channel carries pointer moves only")
	}
	m.room.mu.Lock()
	in.Buttons = m.buttons
	m.room.mu.Unlock()
	return m.Input(in)
}

// Touch notes that the member did something with the desktop by another way
// than Input.
func (m *Member) Touch() {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.room.touch()
}

// touch tells the session service, now and then, that somebody is at work.
func (r *Room) touch() {
	now := time.Now()
	if r.hub.cfg.OnActivity == nil || now.Sub(r.lastActive) < activityEvery {
		return
	}
	r.lastActive = now
	go r.hub.cfg.OnActivity(r.id)
}
