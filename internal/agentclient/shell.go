package agentclient

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

var _ vitrine.Shells = (*Client)(nil)

// OpenShell starts a command or a login shell in the machine.
func (c *Client) OpenShell(ctx context.Context, req vitrine.ShellRequest) (vitrine.Shell, error) {
	out := agentproto.ShellRequest{Command: req.Command, Env: req.Env, User: req.User}
	if t := req.PTY; t != nil {
		out.PTY = &agentproto.PTY{Term: t.Term, Cols: t.Cols, Rows: t.Rows}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("ask the agent for a shell: %w", err)
	}
	if len(body) > agentproto.MaxShellStart {
		return nil, vitrine.Errorf(vitrine.ClassTooLarge, "too_large", "the command and its environment have %d bytes, at most %d can be given to a machine", len(body), agentproto.MaxShellStart)
	}
	p, err := c.openPipe(ctx, agentproto.PathShell)
	if err != nil {
		return nil, err
	}
	if err := p.send(agentproto.Frame{Type: agentproto.FrameStart, Payload: body}); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// OpenSFTP opens a connection to an SFTP server that runs as the user.
func (c *Client) OpenSFTP(ctx context.Context, user string) (vitrine.Pipe, error) {
	p, err := c.openPipe(ctx, agentproto.PathSFTP+"?"+url.Values{"user": {user}}.Encode())
	if err != nil {
		return nil, err
	}
	return &pipeConn{pipe: p}, nil
}

// OpenTCP connects to a port of the machine itself.
func (c *Client) OpenTCP(ctx context.Context, host string, port int) (vitrine.Pipe, error) {
	p, err := c.openPipe(ctx, agentproto.PathTCP+"?"+url.Values{"host": {host}, "port": {strconv.Itoa(port)}}.Encode())
	if err != nil {
		return nil, err
	}
	return &pipeConn{pipe: p}, nil
}

func (c *Client) openPipe(ctx context.Context, path string) (*pipe, error) {
	s, err := c.open(ctx, path)
	if err != nil {
		return nil, err
	}
	p := &pipe{stream: s, free: agentproto.PipeWindow}
	p.room.L = &p.windowLock
	return p, nil
}

// pipe is the node's end of a pipe stream (agentproto/shell.go). One goroutine
// reads, any may write.
type pipe struct {
	*stream

	windowLock sync.Mutex
	room       sync.Cond // free grew, or broken
	free       int
	broken     error
}

// Write sends input, as fast as it is taken there.
func (p *pipe) Write(data []byte) (int, error) {
	sent := 0
	for len(data) > 0 {
		chunk := data[:min(len(data), agentproto.MaxChunk)]
		if err := p.reserve(agentproto.PipeCost(len(chunk))); err != nil {
			return sent, err
		}
		if err := p.send(agentproto.Frame{Type: agentproto.FrameStdin, Payload: chunk}); err != nil {
			return sent, err
		}
		sent, data = sent+len(chunk), data[len(chunk):]
	}
	return sent, nil
}

// reserve waits until the window has room.
func (p *pipe) reserve(cost int) error {
	p.windowLock.Lock()
	defer p.windowLock.Unlock()
	for p.free < cost && p.broken == nil {
		p.room.Wait()
	}
	p.free -= cost
	return p.broken
}

// fail ends every wait for room, and the stream.
func (p *pipe) fail(err error) error {
	p.windowLock.Lock()
	if p.broken == nil {
		p.broken = err
	}
	p.windowLock.Unlock()
	p.room.Broadcast()
	_ = p.stream.Close()
	return err
}

func (p *pipe) Close() error {
	_ = p.fail(io.ErrClosedPipe)
	return nil
}

func (p *pipe) CloseWrite() error {
	return p.send(agentproto.Frame{Type: agentproto.FrameEOF})
}

func (p *pipe) Resize(cols, rows uint16) error {
	payload := binary.BigEndian.AppendUint16(nil, cols)
	return p.send(agentproto.Frame{Type: agentproto.FrameResize, Payload: binary.BigEndian.AppendUint16(payload, rows)})
}

func (p *pipe) Signal(name string) error {
	if len(name) > agentproto.MaxPayload(agentproto.FrameSignal) {
		return vitrine.Errorf(vitrine.ClassInvalid, "invalid_signal", "%.32q is no signal", name)
	}
	return p.send(agentproto.Frame{Type: agentproto.FrameSignal, Payload: []byte(name)})
}

// frame gives the next frame that is not an acknowledgement.
func (p *pipe) frame() (agentproto.Frame, error) {
	for {
		f, err := agentproto.ReadFrame(p.r)
		if err != nil {
			return f, p.fail(fmt.Errorf("read from the machine's agent: %w", err))
		}
		if f.Type != agentproto.FrameAck {
			return f, nil
		}
		if len(f.Payload) != 4 {
			return f, p.fail(malformed("an acknowledgement of %d bytes", len(f.Payload)))
		}
		n := binary.BigEndian.Uint32(f.Payload)
		p.windowLock.Lock()
		over := int64(p.free)+int64(n) > agentproto.PipeWindow
		if !over {
			p.free += int(n)
		}
		p.windowLock.Unlock()
		if over {
			return f, p.fail(malformed("an acknowledgement of what it was not given"))
		}
		p.room.Broadcast()
	}
}

// Next gives the next output of a shell.
func (p *pipe) Next() (vitrine.ShellOutput, error) {
	f, err := p.frame()
	if err != nil {
		return vitrine.ShellOutput{}, err
	}
	switch f.Type {
	case agentproto.FrameStdout, agentproto.FrameStderr:
		return vitrine.ShellOutput{Data: f.Payload, Stderr: f.Type == agentproto.FrameStderr}, nil
	case agentproto.FrameExit:
		var e agentproto.ShellExit
		if json.Unmarshal(f.Payload, &e) != nil {
			return vitrine.ShellOutput{}, p.fail(malformed("an exit status that is not JSON of the right form"))
		}
		_ = p.fail(io.EOF)
		return vitrine.ShellOutput{Exit: &vitrine.ShellExit{Code: e.Code & 0xff, Signal: clean(e.Signal, agentproto.MaxPayload(agentproto.FrameSignal)), Message: clean(e.Message, maxErrorText)}}, nil
	}
	return vitrine.ShellOutput{}, p.fail(malformed("a frame of type %d on a shell", f.Type))
}

// pipeConn is a pipe stream as bytes; errors of an SFTP server are not for the
// client's bytes and are passed over.
type pipeConn struct {
	*pipe
	rest []byte
	end  bool
}

func (p *pipeConn) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.end {
			return 0, io.EOF
		}
		f, err := p.frame()
		if err != nil {
			return 0, err
		}
		switch f.Type {
		case agentproto.FrameStdout:
			p.rest = f.Payload
		case agentproto.FrameStderr:
		case agentproto.FrameEOF, agentproto.FrameExit:
			p.end = true
		default:
			return 0, p.fail(malformed("a frame of type %d on a connection", f.Type))
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
