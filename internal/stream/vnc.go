package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/hub"
	"github.com/vitrine-dev/vitrine/internal/stream/rfb"
)

const (
	maxVNCMessage = 2 << 20  // one WebSocket message of a viewer, in bytes
	vncChunk      = 64 << 10 // of the desktop's bytes, per WebSocket message
)

// VNC serves RFB over WebSocket.
func (s *Streams) VNC(w http.ResponseWriter, r *http.Request, v vitrine.Viewer, viewerID string) {
	conn, err := s.accept(w, r, maxVNCMessage, "binary")
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := newEnder(conn, cancel)
	defer s.live.add(&live{kind: kindVNC, viewer: v, shut: e.close})()
	e.finish(s.vnc(ctx, conn, v, viewerID, e))
}

func (s *Streams) vnc(ctx context.Context, conn *websocket.Conn, v vitrine.Viewer, viewerID string, e *ender) error {
	agent, err := s.cfg.Agents.Agent(ctx, v.SessionID)
	if err != nil {
		return err
	}
	m, own := s.vncMember(v, viewerID)
	if m == nil {
		if m, err = s.hub.Join(v, "", nil); err != nil {
			return err
		}
		m.SetPath("novnc", "", false)
		defer m.Remove()
	}
	desktop, err := agent.OpenVNC(ctx)
	if err != nil {
		return err
	}
	var once sync.Once
	closeDesktop := func() { once.Do(func() { _ = desktop.Close() }) }
	defer closeDesktop()
	defer context.AfterFunc(ctx, closeDesktop)()

	f := rfb.NewFilter(desktop, &vncGate{m: m, own: own})
	defer m.OnControl(func(in bool) {
		if !in {
			_ = f.ReleaseAll() // a desktop that is gone holds nothing down
		}
	})()
	go keepAlive(ctx, conn, func() { e.close(websocket.StatusGoingAway, "the viewer does not answer") })

	down := make(chan struct{})
	go func() {
		defer close(down)
		e.fail(toViewer(ctx, conn, desktop))
	}()
	e.fail(fromViewer(ctx, conn, f))
	closeDesktop()
	<-down
	return nil // what came first has been told
}

// vncMember finds the signal viewer that this socket belongs to: of the same
// session, user and ticket. own says that there is none, and that the socket
// speaks for itself.
func (s *Streams) vncMember(v vitrine.Viewer, viewerID string) (m *hub.Member, own bool) {
	if viewerID == "" {
		return nil, true
	}
	if m = s.hub.Find(v.SessionID, viewerID); m != nil {
		if o := m.Viewer(); o.UserID == v.UserID && o.TicketID == v.TicketID {
			return m, false
		}
	}
	return nil, true
}

// vncGate lets input by while the viewer is in control. A plain VNC viewer
// cannot ask for control, so it takes it when nobody has it.
type vncGate struct {
	m   *hub.Member
	own bool
}

func (g *vncGate) MayInput() bool {
	ok := g.m.InControl() || g.own && g.m.TakeIfFree()
	if ok {
		g.m.Touch()
	}
	return ok
}

func fromViewer(ctx context.Context, conn *websocket.Conn, f *rfb.Filter) error {
	buf := make([]byte, 16<<10)
	for {
		_, r, err := conn.Reader(ctx)
		if err != nil {
			return err
		}
		for {
			n, err := r.Read(buf)
			if n > 0 {
				if ferr := f.Feed(buf[:n]); ferr != nil {
					return vitrine.Errorf(vitrine.ClassInvalid, "bad_rfb", "%s", ferr.Error())
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
}

// toViewer relays the desktop's bytes. A viewer that reads slowly holds up the
// X server's updates for itself alone.
func toViewer(ctx context.Context, conn *websocket.Conn, desktop io.Reader) error {
	buf := make([]byte, vncChunk)
	for {
		n, err := desktop.Read(buf)
		if n > 0 {
			if werr := conn.Write(ctx, websocket.MessageBinary, buf[:n]); werr != nil {
				return werr
			}
		}
		if err != nil {
			return vitrine.Errorf(vitrine.ClassUnavailable, "desktop_gone", "the desktop closed the VNC stream").WithCause(err)
		}
	}
}
