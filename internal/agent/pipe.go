package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// pipe is the agent's end of a pipe stream (agentproto/shell.go): frames on a
// connection on the one side, what runs or is connected on the other.
type pipe struct {
	conn net.Conn

	mu sync.Mutex // one frame at a time

	in       chan []byte  // input not yet taken; closed at its end
	inFlight atomic.Int64 // what of the window it holds
	closed   bool         // the reader's own
}

func newPipe(conn net.Conn) *pipe {
	return &pipe{conn: conn, in: make(chan []byte, agentproto.MaxPipeFrames)}
}

// send writes a frame. It waits as long as the node does not read: a client may
// be stopped for hours. Hanging up ends it.
func (p *pipe) send(t agentproto.FrameType, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return agentproto.WriteFrame(p.conn, agentproto.Frame{Type: t, Payload: payload})
}

func (p *pipe) exit(e agentproto.ShellExit) {
	if len(e.Message) > 512 {
		e.Message = e.Message[:512]
	}
	if body, err := json.Marshal(e); err == nil {
		_ = p.send(agentproto.FrameExit, body)
	}
}

// receive reads the node's frames until it hangs up or breaks the rules. Input
// goes to p.in, anything else to control.
func (p *pipe) receive(control func(agentproto.Frame)) error {
	defer p.endInput()
	for {
		f, err := agentproto.ReadFrame(p.conn)
		if err != nil {
			return err
		}
		switch f.Type {
		case agentproto.FrameStdin:
			cost := int64(agentproto.PipeCost(len(f.Payload)))
			if p.inFlight.Add(cost) > agentproto.PipeWindow || p.closed {
				return agentproto.ErrFrame
			}
			p.in <- f.Payload // the window has room, so the queue has
		case agentproto.FrameEOF:
			p.endInput()
		case agentproto.FrameResize, agentproto.FrameSignal:
			if control != nil {
				control(f)
			}
		default:
			return agentproto.ErrFrame
		}
	}
}

// endInput is the reader's own.
func (p *pipe) endInput() {
	if !p.closed {
		p.closed = true
		close(p.in)
	}
}

// feed writes the input to w until its end. What can no longer be written is
// acknowledged and dropped, as a shell's pipe would.
func (p *pipe) feed(w io.Writer) {
	broken := false
	for data := range p.in {
		if !broken {
			if _, err := w.Write(data); err != nil {
				broken = true
			}
		}
		cost := agentproto.PipeCost(len(data))
		p.inFlight.Add(int64(-cost))
		if p.send(agentproto.FrameAck, binary.BigEndian.AppendUint32(nil, uint32(cost))) != nil {
			broken = true
		}
	}
}

// drain sends what r gives as frames of one type, until it ends.
func (p *pipe) drain(t agentproto.FrameType, r io.Reader) error {
	buf := make([]byte, agentproto.MaxChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if e := p.send(t, buf[:n]); e != nil {
				return e
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
