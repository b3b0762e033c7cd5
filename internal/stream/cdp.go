package stream

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// maxCDPMessage bounds one DevTools message in bytes: they hold whole
// screenshots and bodies. It is the agent protocol's own bound.
const maxCDPMessage = 64 << 20

// CDP serves Chrome DevTools Protocol messages over WebSocket.
func (s *Streams) CDP(w http.ResponseWriter, r *http.Request, v vitrine.Viewer) {
	conn, err := s.accept(w, r, maxCDPMessage)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := newEnder(conn, cancel)
	defer s.live.add(&live{kind: kindCDP, viewer: v, shut: e.close})()
	e.finish(s.cdp(ctx, conn, v, e))
}

func (s *Streams) cdp(ctx context.Context, conn *websocket.Conn, v vitrine.Viewer, e *ender) error {
	agent, err := s.cfg.Agents.Agent(ctx, v.SessionID)
	if err != nil {
		return err
	}
	browser, err := agent.OpenCDP(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = browser.Close() })()
	go keepAlive(ctx, conn, func() { e.close(websocket.StatusGoingAway, "the client does not answer") })

	down := make(chan struct{})
	go func() {
		defer close(down)
		e.fail(fromBrowser(ctx, conn, browser))
	}()
	e.fail(s.toBrowser(ctx, conn, browser, v.SessionID))
	_ = browser.Close()
	<-down
	return nil // what came first has been told
}

func fromBrowser(ctx context.Context, conn *websocket.Conn, browser vitrine.MessageStream) error {
	for {
		b, err := browser.ReadMessage()
		if err != nil {
			return vitrine.Errorf(vitrine.ClassUnavailable, "browser_gone", "the browser closed the DevTools stream").WithCause(err)
		}
		if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
			return err
		}
	}
}

func (s *Streams) toBrowser(ctx context.Context, conn *websocket.Conn, browser vitrine.MessageStream, sessionID string) error {
	var told time.Time
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if now := time.Now(); s.cfg.OnActivity != nil && now.Sub(told) >= time.Second {
			told = now
			s.cfg.OnActivity(sessionID)
		}
		if err := browser.WriteMessage(b); err != nil {
			return vitrine.Errorf(vitrine.ClassUnavailable, "browser_gone", "the browser closed the DevTools stream").WithCause(err)
		}
	}
}
