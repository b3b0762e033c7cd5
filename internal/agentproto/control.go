package agentproto

// Input is one act of the viewer in control, as it travels to the agent. The
// fields are those of the domain's Input: t is pointer, wheel, key, text,
// release, clipboard or resize.
type Input struct {
	Type    string `json:"t"`
	X       int    `json:"x,omitempty"`
	Y       int    `json:"y,omitempty"`
	Buttons int    `json:"b,omitempty"`
	DX      int    `json:"dx,omitempty"`
	DY      int    `json:"dy,omitempty"`
	Key     string `json:"k,omitempty"`
	Code    string `json:"c,omitempty"`
	Down    bool   `json:"d,omitempty"`
	Text    string `json:"s,omitempty"`
	Width   int    `json:"w,omitempty"`
	Height  int    `json:"h,omitempty"`
}

// Event is what the desktop tells: t is cursor, clipboard or resized.
type Event struct {
	Type   string `json:"t"`
	PNG    []byte `json:"png,omitempty"`
	HotX   int    `json:"hx,omitempty"`
	HotY   int    `json:"hy,omitempty"`
	Text   string `json:"s,omitempty"`
	Width  int    `json:"w,omitempty"`
	Height int    `json:"h,omitempty"`
}

// MaxCursorPNG bounds a cursor's image in bytes; MaxClipboard its text.
const (
	MaxCursorPNG = 128 << 10
	MaxClipboard = 1 << 20
)
