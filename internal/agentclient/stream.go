package agentclient

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// stream is an upgraded connection. Writes come from any goroutine and are
// bounded in time; after one that failed the stream is of no use and closed.
type stream struct {
	conn    net.Conn
	r       *bufio.Reader
	silence time.Duration // reads fail after this; 0: never

	mu sync.Mutex // one frame at a time
}

func (s *stream) Close() error { return s.conn.Close() }

// receive reads a frame that must be of one type.
func (s *stream) receive(want agentproto.FrameType) (agentproto.Frame, error) {
	if s.silence > 0 {
		_ = s.conn.SetReadDeadline(time.Now().Add(s.silence))
	}
	f, err := agentproto.ReadFrame(s.r)
	if err != nil {
		return f, fmt.Errorf("read from the machine's agent: %w", err)
	}
	if f.Type != want {
		return f, malformed("a frame of type %d on a stream of type %d", f.Type, want)
	}
	return f, nil
}

func (s *stream) send(f agentproto.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamWriteTime))
	if err := agentproto.WriteFrame(s.conn, f); err != nil {
		_ = s.conn.Close()
		return fmt.Errorf("write to the machine's agent: %w", err)
	}
	return nil
}

// video is vitrine.Video.
type video struct {
	*stream
	codec vitrine.Codec
}

func (v *video) ReadFrame() (vitrine.Frame, error) {
	f, err := v.receive(agentproto.FrameVideo)
	if err != nil {
		return vitrine.Frame{}, err
	}
	size := vitrine.Viewport{Width: int(f.Width), Height: int(f.Height)}
	if size.Width == 0 || size.Height == 0 || size.Width > vitrine.MaxViewportWidth || size.Height > vitrine.MaxViewportHeight {
		return vitrine.Frame{}, malformed("a picture of %d x %d pixels", f.Width, f.Height)
	}
	if len(f.Payload) == 0 {
		return vitrine.Frame{}, malformed("an empty picture")
	}
	return vitrine.Frame{
		Codec: v.codec, Keyframe: f.Flags&agentproto.FlagKeyframe != 0,
		PTS: f.PTS, Viewport: size, Data: f.Payload,
	}, nil
}

func (v *video) RequestKeyframe() error {
	return v.send(agentproto.Frame{Type: agentproto.FrameKeyframe})
}

func (v *video) SetBitrate(bps int) error {
	bits := uint32(min(max(int64(bps), 0), math.MaxUint32))
	return v.send(agentproto.Frame{Type: agentproto.FrameBitrate, Payload: binary.BigEndian.AppendUint32(nil, bits)})
}

// control is vitrine.Control.
type control struct{ *stream }

func (c *control) Send(in vitrine.Input) error {
	payload, err := json.Marshal(agentproto.Input{
		Type: string(in.Type), X: in.X, Y: in.Y, Buttons: in.Buttons, DX: in.DX, DY: in.DY,
		Key: in.Key, Code: in.Code, Down: in.Down, Text: in.Text, Width: in.Width, Height: in.Height,
	})
	if err != nil {
		return fmt.Errorf("send input to the machine's agent: %w", err)
	}
	return c.send(agentproto.Frame{Type: agentproto.FrameInput, Payload: payload})
}

// Receive gives the next event that is whole and known; one of a kind that this
// daemon does not know is passed over.
func (c *control) Receive() (vitrine.DesktopEvent, error) {
	for {
		f, err := c.receive(agentproto.FrameEvent)
		if err != nil {
			return vitrine.DesktopEvent{}, err
		}
		var e agentproto.Event
		if err := json.Unmarshal(f.Payload, &e); err != nil {
			return vitrine.DesktopEvent{}, malformed("an event that is not JSON of the right form")
		}
		out, known, err := eventOf(e)
		if err != nil || known {
			return out, err
		}
	}
}

func eventOf(e agentproto.Event) (out vitrine.DesktopEvent, known bool, err error) {
	out = vitrine.DesktopEvent{Type: vitrine.DesktopEventType(e.Type)}
	switch out.Type {
	case vitrine.DesktopCursor:
		if len(e.PNG) > agentproto.MaxCursorPNG || (len(e.PNG) > 0 && (len(e.PNG) < len(pngMagic) || string(e.PNG[:len(pngMagic)]) != pngMagic)) {
			return out, false, malformed("a cursor of %d bytes that is no small PNG", len(e.PNG))
		}
		const most = 512 // pixels; X cursors have at most 256
		out.PNG, out.HotX, out.HotY = e.PNG, min(max(e.HotX, 0), most), min(max(e.HotY, 0), most)
	case vitrine.DesktopClipboard:
		if len(e.Text) > agentproto.MaxClipboard {
			return out, false, malformed("a clipboard of %d bytes", len(e.Text))
		}
		out.Text = e.Text
	case vitrine.DesktopResized:
		if e.Width <= 0 || e.Height <= 0 || e.Width > vitrine.MaxViewportWidth || e.Height > vitrine.MaxViewportHeight {
			return out, false, malformed("a desktop of %d x %d pixels", e.Width, e.Height)
		}
		out.Width, out.Height = e.Width, e.Height
	default:
		return out, false, nil
	}
	return out, true, nil
}

// messages is vitrine.MessageStream.
type messages struct{ *stream }

func (m *messages) ReadMessage() ([]byte, error) {
	f, err := m.receive(agentproto.FrameMessage)
	return f.Payload, err
}

func (m *messages) WriteMessage(data []byte) error {
	if most := agentproto.MaxPayload(agentproto.FrameMessage); len(data) > most {
		return vitrine.Errorf(vitrine.ClassTooLarge, "too_large", "a message of %d bytes, at most %d", len(data), most)
	}
	return m.send(agentproto.Frame{Type: agentproto.FrameMessage, Payload: data})
}

// OpenVNC opens a raw RFB stream to the desktop's X server.
func (c *Client) OpenVNC(ctx context.Context) (io.ReadWriteCloser, error) {
	s, err := c.open(ctx, agentproto.PathVNC)
	if err != nil {
		return nil, err
	}
	return &raw{stream: s}, nil
}

// raw is a stream without frames.
type raw struct{ *stream }

func (r *raw) Read(p []byte) (int, error) { return r.r.Read(p) }

func (r *raw) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.conn.SetWriteDeadline(time.Now().Add(streamWriteTime))
	return r.conn.Write(p)
}
