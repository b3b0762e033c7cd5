package hub

import "github.com/vitrine-dev/vitrine"

// What a member is told (docs/viewer-protocol.md). Each is one JSON message.
type (
	// Viewers says who looks and who is in control.
	Viewers struct {
		Type       string       `json:"type"` // "viewers"
		Viewers    []ViewerInfo `json:"viewers"`
		Controller string       `json:"controller"`
	}
	// ViewerInfo is one viewer, as the others see it.
	ViewerInfo struct {
		ID     string        `json:"id"`
		UserID string        `json:"user_id"`
		Scope  vitrine.Scope `json:"scope"`
		Path   string        `json:"path"`
		Why    string        `json:"why,omitempty"`
		Away   bool          `json:"away,omitempty"`
	}
	// Resume replaces the resume secret of hello: it says who is in control.
	Resume struct {
		Type   string `json:"type"` // "resume"
		Resume string `json:"resume"`
	}
	// ControlRequested tells the controller that another would like control.
	ControlRequested struct {
		Type     string `json:"type"` // "control_requested"
		ViewerID string `json:"viewer_id"`
	}
	// Cursor is the pointer's image; an empty PNG hides it.
	Cursor struct {
		Type string `json:"type"` // "cursor"
		PNG  []byte `json:"png"`
		HotX int    `json:"hx"`
		HotY int    `json:"hy"`
	}
	// Clipboard is text copied in the desktop.
	Clipboard struct {
		Type string `json:"type"` // "clipboard"
		Text string `json:"s"`
	}
	// Resized is the desktop's new size.
	Resized struct {
		Type   string `json:"type"` // "resized"
		Width  int    `json:"w"`
		Height int    `json:"h"`
	}
	// State is the session's state.
	State struct {
		Type        string              `json:"type"` // "state"
		State       vitrine.State       `json:"state"`
		EndedReason vitrine.EndedReason `json:"ended_reason,omitempty"`
		Failure     *vitrine.Failure    `json:"failure,omitempty"`
	}
	// Refused says that a message of the viewer was refused.
	Refused struct {
		Type    string `json:"type"` // "error"
		Code    string `json:"code"`
		Message string `json:"message"`
	}
)

// Sink takes what one member is told. Neither method may block or call the hub.
type Sink interface {
	// Deliver queues one message.
	Deliver(message any)
	// Shut ends the connection after what is queued, saying why.
	Shut(why string)
}
