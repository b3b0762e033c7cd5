package display

import (
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// maxControls bounds the control streams of one desktop; the node needs one.
const maxControls = 8

// controls are the open control streams.
type controls struct {
	mu   sync.Mutex
	open map[*control]struct{}
}

// tell sends an event to all of them.
func (c *controls) tell(e agentproto.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.open {
		s.tell(e)
	}
}

func (c *controls) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) > 0
}

func (c *controls) add(s *control) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxControls {
		return false
	}
	if c.open == nil {
		c.open = map[*control]struct{}{}
	}
	c.open[s] = struct{}{}
	return true
}

func (c *controls) drop(s *control) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, s)
}

// control is one /control stream. Of each type of event only the latest waits
// for a slow reader: an older cursor is of no use to anyone.
type control struct {
	conn net.Conn
	done chan struct{}
	more chan struct{}

	mu    sync.Mutex
	queue []agentproto.Event // at most one of a type
}

func newControl(conn net.Conn) *control {
	return &control{conn: conn, done: make(chan struct{}), more: make(chan struct{}, 1)}
}

func (c *control) tell(e agentproto.Event) {
	c.mu.Lock()
	for i, q := range c.queue {
		if q.Type == e.Type {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			break
		}
	}
	c.queue = append(c.queue, e)
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *control) next() (agentproto.Event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return agentproto.Event{}, false
	}
	e := c.queue[0]
	c.queue = c.queue[1:]
	return e, true
}

// write sends events until the stream ends.
func (c *control) write() {
	defer c.conn.Close()
	for {
		e, ok := c.next()
		if !ok {
			select {
			case <-c.more:
				continue
			case <-c.done:
				return
			}
		}
		b, err := json.Marshal(e)
		if err != nil || len(b) > agentproto.MaxPayload(agentproto.FrameEvent) {
			continue // a clipboard of control characters grows sixfold in JSON
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if agentproto.WriteFrame(c.conn, agentproto.Frame{Type: agentproto.FrameEvent, Payload: b}) != nil {
			return
		}
	}
}

// read gives each input to do, until the stream ends or breaks a rule.
func (c *control) read(do func(agentproto.Input)) {
	defer close(c.done)
	defer c.conn.Close()
	for {
		in, err := readInput(c.conn)
		if err != nil {
			return
		}
		do(in)
	}
}

// readInput reads one input. Its fields are checked where they are used.
func readInput(r io.Reader) (agentproto.Input, error) {
	var in agentproto.Input
	f, err := readSmall(r, int64(agentproto.MaxPayload(agentproto.FrameInput)))
	if err != nil {
		return in, err
	}
	if f.Type != agentproto.FrameInput {
		return in, agentproto.ErrFrame
	}
	return in, json.Unmarshal(f.Payload, &in)
}
