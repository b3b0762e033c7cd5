package faults

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/coder/websocket"
)

// flipPage changes its whole colour at every key.
var flipPage = "data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(`<!doctype html><title>flip</title><body style="margin:0;background:#000"><script>
let on=false;addEventListener('keydown',()=>{on=!on;document.body.style.background=on?'#fff':'#000'})</script>`))

// viewer looks at a desktop by RFB (RFC 6143) over the daemon's WebSocket, as
// noVNC does, with raw pixels of a small square in the middle of the screen.
type viewer struct {
	conn net.Conn
	in   *bufio.Reader
	x, y uint16
	seen byte // the green of the square's first pixel
}

const square = 8 // pixels

// look opens a session's screen.
func (w *world) look(ctx context.Context, session string) (*viewer, error) {
	ws, err := w.api.Dial(ctx, session, "vnc", nil)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	v := &viewer{conn: websocket.NetConn(ctx, ws, websocket.MessageBinary)}
	v.in = bufio.NewReader(v.conn)
	_ = v.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := v.greet(); err != nil {
		v.conn.Close()
		return nil, fmt.Errorf("greeting the screen of %s: %w", session, err)
	}
	return v, nil
}

func (v *viewer) greet() error {
	version := make([]byte, 12)
	if _, err := io.ReadFull(v.in, version); err != nil {
		return err
	}
	v.conn.Write([]byte("RFB 003.008\n"))
	n, err := v.in.ReadByte()
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(v.in, make([]byte, n)); err != nil {
		return err
	}
	v.conn.Write([]byte{1}) // no security: the ticket was it
	if _, err := io.ReadFull(v.in, make([]byte, 4)); err != nil {
		return err
	}
	v.conn.Write([]byte{1}) // shared
	hello := make([]byte, 24)
	if _, err := io.ReadFull(v.in, hello); err != nil {
		return err
	}
	v.x, v.y = binary.BigEndian.Uint16(hello)/2, binary.BigEndian.Uint16(hello[2:])/2
	if _, err := io.CopyN(io.Discard, v.in, int64(binary.BigEndian.Uint32(hello[20:]))); err != nil {
		return err
	}
	v.conn.Write([]byte{2, 0, 0, 1, 0, 0, 0, 0}) // SetEncodings: raw
	return v.picture(false)
}

// picture asks for the square and reads it; a change of it when incremental.
func (v *viewer) picture(incremental bool) error {
	ask := []byte{3, 0}
	if incremental {
		ask[1] = 1
	}
	for _, n := range []uint16{v.x, v.y, square, square} {
		ask = binary.BigEndian.AppendUint16(ask, n)
	}
	if _, err := v.conn.Write(ask); err != nil {
		return err
	}
	head := make([]byte, 4)
	for {
		if _, err := io.ReadFull(v.in, head[:1]); err != nil {
			return err
		}
		switch head[0] {
		case 2: // a bell
		case 3: // somebody cut text
			if _, err := io.ReadFull(v.in, make([]byte, 3)); err != nil {
				return err
			}
			if _, err := io.ReadFull(v.in, head); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, v.in, int64(binary.BigEndian.Uint32(head))); err != nil {
				return err
			}
		case 0:
			return v.rectangles()
		default:
			return fmt.Errorf("the server sent message %d", head[0])
		}
	}
}

func (v *viewer) rectangles() error {
	head := make([]byte, 12)
	if _, err := io.ReadFull(v.in, head[:3]); err != nil {
		return err
	}
	for range binary.BigEndian.Uint16(head[1:]) {
		if _, err := io.ReadFull(v.in, head); err != nil {
			return err
		}
		pixels := make([]byte, 4*int(binary.BigEndian.Uint16(head[4:]))*int(binary.BigEndian.Uint16(head[6:])))
		if _, err := io.ReadFull(v.in, pixels); err != nil {
			return err
		}
		if len(pixels) >= 4 {
			v.seen = pixels[1]
		}
	}
	return nil
}

// key types a letter and gives the time until the square has changed.
func (v *viewer) key() (time.Duration, error) {
	_ = v.conn.SetDeadline(time.Now().Add(10 * time.Second))
	was, began := v.seen, time.Now()
	for _, down := range []byte{1, 0} {
		if _, err := v.conn.Write([]byte{4, down, 0, 0, 0, 0, 0, 'a'}); err != nil {
			return 0, err
		}
	}
	for v.seen == was {
		if err := v.picture(true); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
