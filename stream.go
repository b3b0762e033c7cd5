package vitrine

import (
	"context"
	"io"
	"time"
)

// Codec is a video codec the agent can encode and browsers decode.
type Codec string

// The codecs.
const (
	CodecVP8  Codec = "vp8"
	CodecH264 Codec = "h264"
)

// Frame is one encoded access unit. H.264 is Annex B with SPS/PPS before each
// IDR. PTS is the capture time on the machine's monotonic clock.
type Frame struct {
	Codec    Codec
	Keyframe bool
	PTS      time.Duration
	Viewport Viewport // the size it was encoded at
	Data     []byte
}

// Video is one open, encoded view of a desktop. ReadFrame is called from one
// goroutine; the other methods from any.
type Video interface {
	// ReadFrame blocks for the next frame. Frames come when the screen
	// changes, and a heartbeat every 2 s when it does not.
	ReadFrame() (Frame, error)
	// RequestKeyframe asks for a keyframe soon; requests are coalesced.
	RequestKeyframe() error
	// SetBitrate sets the encoder's target in bits per second.
	SetBitrate(bps int) error
	io.Closer
}

// Desktop is the node's hold on one ready desktop: what a viewer hub needs.
type Desktop interface {
	// OpenVideo starts an encoder for one codec. Several may be open at once.
	OpenVideo(ctx context.Context, codec Codec) (Video, error)
	// OpenControl opens the channel for input, cursor, clipboard and size.
	OpenControl(ctx context.Context) (Control, error)
	// OpenVNC opens a raw RFB stream to the desktop's X server.
	OpenVNC(ctx context.Context) (io.ReadWriteCloser, error)
}

// Control carries input down and what the desktop tells up. Send may be called
// from any goroutine, Receive from one.
type Control interface {
	Send(Input) error
	Receive() (DesktopEvent, error)
	io.Closer
}

// InputType says which fields of an Input count.
type InputType string

// The inputs. Release lets go of every key and button (on blur or hand-over).
const (
	InputPointer   InputType = "pointer"   // X, Y, Buttons
	InputWheel     InputType = "wheel"     // X, Y, DX, DY
	InputKey       InputType = "key"       // Key, Code, Down
	InputText      InputType = "text"      // Text: committed by an IME
	InputRelease   InputType = "release"   //
	InputClipboard InputType = "clipboard" // Text: the viewer's clipboard
	InputResize    InputType = "resize"    // Width, Height
)

// Input is one act of a viewer in control. Positions are pixels of the desktop;
// Buttons is the DOM's bit mask (1 left, 2 right, 4 middle); DX and DY are wheel
// steps in pixels (120 a notch). Key and Code are the DOM's KeyboardEvent.key
// and .code.
type Input struct {
	Type    InputType `json:"t"`
	X       int       `json:"x,omitempty"`
	Y       int       `json:"y,omitempty"`
	Buttons int       `json:"b,omitempty"`
	DX      int       `json:"dx,omitempty"`
	DY      int       `json:"dy,omitempty"`
	Key     string    `json:"k,omitempty"`
	Code    string    `json:"c,omitempty"`
	Down    bool      `json:"d,omitempty"`
	Text    string    `json:"s,omitempty"`
	Width   int       `json:"w,omitempty"`
	Height  int       `json:"h,omitempty"`
}

// Bounds of what a viewer may send in one message.
const (
	MaxInputKey       = 64      // bytes of Key and Code
	MaxInputText      = 4096    // bytes of Text for InputText
	MaxInputClipboard = 1 << 20 // bytes of Text for InputClipboard
)

// DesktopEventType says which fields of a DesktopEvent count.
type DesktopEventType string

// The events a desktop tells its viewers.
const (
	DesktopCursor    DesktopEventType = "cursor"
	DesktopClipboard DesktopEventType = "clipboard"
	DesktopResized   DesktopEventType = "resized"
)

// DesktopEvent is what the desktop tells: the cursor's image and hot spot, text
// put on its clipboard, its new size.
type DesktopEvent struct {
	Type   DesktopEventType `json:"t"`
	PNG    []byte           `json:"png,omitempty"` // cursor; empty hides it
	HotX   int              `json:"hx,omitempty"`
	HotY   int              `json:"hy,omitempty"`
	Text   string           `json:"s,omitempty"`
	Width  int              `json:"w,omitempty"`
	Height int              `json:"h,omitempty"`
}
