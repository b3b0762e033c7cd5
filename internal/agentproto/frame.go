package agentproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// FrameType says what a stream's frame holds.
type FrameType uint8

// The frames. FrameInput's payload is Input as JSON, FrameEvent's is Event as
// JSON, FrameBitrate's is 4 bytes big-endian bits per second, FrameKeyframe's
// is empty, FrameMessage's is one whole message of the protocol carried.
const (
	FrameVideo    FrameType = 1
	FrameKeyframe FrameType = 2
	FrameBitrate  FrameType = 3
	FrameInput    FrameType = 4
	FrameEvent    FrameType = 5
	FrameMessage  FrameType = 6
	FrameStart    FrameType = 7  // down, once, first: ShellRequest as JSON
	FrameStdin    FrameType = 8  // down: bytes for the other end
	FrameStdout   FrameType = 9  // up: bytes from the other end
	FrameStderr   FrameType = 10 // up: bytes of its second output
	FrameAck      FrameType = 11 // up: 4 bytes big-endian, how much of the window is free again
	FrameEOF      FrameType = 12 // either way: no more bytes will come
	FrameResize   FrameType = 13 // down: columns and rows, 2 bytes big-endian each
	FrameSignal   FrameType = 14 // down: a signal's name without SIG, such as INT
	FrameExit     FrameType = 15 // up, last: ShellExit as JSON
)

// FlagKeyframe is set on a video frame that can be decoded by itself.
const FlagKeyframe uint8 = 1

// Bounds of a payload, per type; see MaxPayload.
const (
	maxVideo   = 8 << 20 // a coarse 4K keyframe is under 2 MiB
	maxControl = 2 << 20 // a 1 MiB clipboard with JSON escapes
	maxMessage = 64 << 20
	maxSignal  = 16
	maxExit    = 4 << 10
)

// MaxPayload is the greatest payload of a frame type in bytes, 0 for a type
// that does not exist. CDP messages may hold whole screenshots and bodies.
func MaxPayload(t FrameType) int {
	switch t {
	case FrameVideo:
		return maxVideo
	case FrameKeyframe:
		return 0
	case FrameBitrate:
		return 4
	case FrameInput, FrameEvent:
		return maxControl
	case FrameMessage:
		return maxMessage
	case FrameStart:
		return MaxShellStart
	case FrameStdin, FrameStdout, FrameStderr:
		return MaxChunk
	case FrameAck, FrameResize:
		return 4
	case FrameSignal:
		return maxSignal
	case FrameExit:
		return maxExit
	}
	return 0
}

// Frame is one unit of a stream. On the wire: type (1 byte), flags (1), width
// (2), height (2), length of payload (4), PTS in microseconds (8), payload; all
// big-endian. Width and height are of the encoded picture, 0 elsewhere.
type Frame struct {
	Type          FrameType
	Flags         uint8
	Width, Height uint16
	PTS           time.Duration
	Payload       []byte
}

const headerLen = 18

// ErrFrame is a frame that breaks the rules: the stream cannot be read further.
var ErrFrame = errors.New("bad frame")

// ReadFrame reads one frame. Its payload is a buffer of its own.
func ReadFrame(r io.Reader) (Frame, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{
		Type: FrameType(h[0]), Flags: h[1],
		Width: binary.BigEndian.Uint16(h[2:]), Height: binary.BigEndian.Uint16(h[4:]),
	}
	n := binary.BigEndian.Uint32(h[6:])
	pts := binary.BigEndian.Uint64(h[10:])
	if f.Type < FrameVideo || f.Type > FrameExit {
		return Frame{}, fmt.Errorf("%w: type %d", ErrFrame, f.Type)
	}
	if int64(n) > int64(MaxPayload(f.Type)) {
		return Frame{}, fmt.Errorf("%w: %d bytes in a frame of type %d, at most %d", ErrFrame, n, f.Type, MaxPayload(f.Type))
	}
	if pts > uint64(1<<62)/1000 {
		return Frame{}, fmt.Errorf("%w: time stamp", ErrFrame)
	}
	f.PTS = time.Duration(pts) * time.Microsecond
	if n == 0 {
		return f, nil
	}
	payload, err := readBounded(r, int(n))
	if err != nil {
		return Frame{}, err
	}
	f.Payload = payload
	return f, nil
}

// readBounded reads n bytes, growing as they come, so that a peer that only
// claims a length does not make us hold it.
func readBounded(r io.Reader, n int) ([]byte, error) {
	const step = 256 << 10
	buf := make([]byte, 0, min(n, step))
	for len(buf) < n {
		want := min(n-len(buf), step)
		start := len(buf)
		buf = append(buf, make([]byte, want)...)
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return buf, nil
}

// WriteFrame writes one frame with a single Write.
func WriteFrame(w io.Writer, f Frame) error {
	if len(f.Payload) > MaxPayload(f.Type) {
		return fmt.Errorf("%w: %d bytes in a frame of type %d, at most %d", ErrFrame, len(f.Payload), f.Type, MaxPayload(f.Type))
	}
	buf := make([]byte, headerLen+len(f.Payload))
	buf[0], buf[1] = byte(f.Type), f.Flags
	binary.BigEndian.PutUint16(buf[2:], f.Width)
	binary.BigEndian.PutUint16(buf[4:], f.Height)
	binary.BigEndian.PutUint32(buf[6:], uint32(len(f.Payload)))
	binary.BigEndian.PutUint64(buf[10:], uint64(f.PTS/time.Microsecond))
	copy(buf[headerLen:], f.Payload)
	_, err := w.Write(buf)
	return err
}
