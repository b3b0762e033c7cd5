package stream

import (
	"context"
	"errors"
	"sync"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// ender closes a relayed socket once, telling the viewer why, and ends its
// context when that is done: ended before, the reason would not get out.
type ender struct {
	conn   *websocket.Conn
	cancel context.CancelFunc
	once   sync.Once
	done   chan struct{}
}

func newEnder(c *websocket.Conn, cancel context.CancelFunc) *ender {
	return &ender{conn: c, cancel: cancel, done: make(chan struct{})}
}

func (e *ender) close(code websocket.StatusCode, why string) {
	e.once.Do(func() {
		go func() {
			defer close(e.done)
			defer e.cancel()
			_ = e.conn.Close(code, shorten(why)) // it waits up to 5 s for the viewer's word
		}()
	})
}

// fail is for errors: only words meant for people go out.
func (e *ender) fail(err error) {
	var v *vitrine.Error
	switch {
	case err == nil:
		e.close(websocket.StatusNormalClosure, "")
	case errors.As(err, &v):
		e.close(websocket.StatusTryAgainLater, v.Code+": "+v.Message)
	default:
		e.close(websocket.StatusInternalError, "the connection broke")
	}
}

// finish fails with err, unless it has ended already, and waits.
func (e *ender) finish(err error) {
	e.fail(err)
	<-e.done
}
