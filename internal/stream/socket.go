package stream

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Times and bounds of sockets.
const (
	pingEvery    = 20 * time.Second // proxies cut idle sockets at 60 s
	pongTimeout  = 40 * time.Second // with pingEvery, dead after 60 s
	writeTimeout = 10 * time.Second

	maxSignal   = 5 << 18 // 1.25 MiB: a 1 MiB clipboard with its JSON
	queueLen    = 256
	maxQueued   = 4 << 20 // bytes waiting for one viewer
	maxWhyBytes = 120     // a close reason has at most 123 (RFC 6455, 5.5)
)

// accept upgrades a request. The error has been answered already.
func (s *Streams) accept(w http.ResponseWriter, r *http.Request, limit int64, protocols ...string) (*websocket.Conn, error) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols, OriginPatterns: s.cfg.Origins})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(limit)
	return c, nil
}

// keepAlive pings until ctx ends, and ends it when a pong does not come. The
// socket must be read meanwhile.
func keepAlive(ctx context.Context, c *websocket.Conn, dead context.CancelFunc) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		pong, cancel := context.WithTimeout(ctx, pongTimeout)
		err := c.Ping(pong)
		cancel()
		if err != nil {
			dead()
			return
		}
	}
}

// shorten makes a close reason fit.
func shorten(why string) string { return why[:min(len(why), maxWhyBytes)] }

// sink is a signal socket's way out: a bounded queue and a goroutine. A viewer
// that does not read is cut off.
type sink struct {
	conn   *websocket.Conn
	cancel context.CancelFunc // ends the socket
	queue  chan []byte
	done   chan struct{}

	mu     sync.Mutex
	queued int
	code   websocket.StatusCode
	why    string
	shut   bool
}

func newSink(c *websocket.Conn, cancel context.CancelFunc) *sink {
	return &sink{conn: c, cancel: cancel, queue: make(chan []byte, queueLen), done: make(chan struct{})}
}

// Deliver queues a message as JSON.
func (k *sink) Deliver(message any) {
	b, err := json.Marshal(message)
	if err != nil {
		return // messages are structs of ours: they marshal
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shut {
		return
	}
	if k.queued+len(b) <= maxQueued {
		select {
		case k.queue <- b:
			k.queued += len(b)
			return
		default:
		}
	}
	k.end(websocket.StatusNormalClosure, "the viewer does not keep up")
	k.cancel()
}

// Shut ends the socket after what is queued.
func (k *sink) Shut(why string) { k.shutAs(websocket.StatusNormalClosure, why) }

func (k *sink) shutAs(code websocket.StatusCode, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end(code, why)
}

func (k *sink) end(code websocket.StatusCode, why string) {
	if !k.shut {
		k.shut, k.code, k.why = true, code, why
		close(k.queue)
	}
}

// run writes what is queued until the sink is shut or a write fails.
func (k *sink) run(ctx context.Context) {
	defer close(k.done)
	for b := range k.queue {
		k.mu.Lock()
		k.queued -= len(b)
		k.mu.Unlock()
		wctx, cancel := context.WithTimeout(ctx, writeTimeout)
		err := k.conn.Write(wctx, websocket.MessageText, b)
		cancel()
		if err != nil {
			k.cancel()
			k.Shut("the connection broke")
			return
		}
	}
	k.mu.Lock()
	code, why := k.code, k.why
	k.mu.Unlock()
	_ = k.conn.Close(code, shorten(why))
	k.cancel()
}
