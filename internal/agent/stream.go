package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/display"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// streamWriteTime is how long the node may leave a stream unread.
const streamWriteTime = 20 * time.Second

// upgrade answers 101 and gives the connection, without deadlines and with
// nothing of the stream read yet; nil when the request is no upgrade and has
// been answered.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request) net.Conn {
	if r.Header.Get("Upgrade") != agentproto.UpgradeStream || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
		w.Header().Set("Upgrade", agentproto.UpgradeStream)
		reply(w, http.StatusUpgradeRequired, agentproto.Error{Message: "this path is a stream: ask for the upgrade to " + agentproto.UpgradeStream})
		return nil
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		reply(w, http.StatusInternalServerError, agentproto.Error{Message: "the connection cannot be taken over"})
		return nil
	}
	if rw.Reader.Buffered() > 0 { // it spoke before it was answered
		_ = conn.Close()
		return nil
	}
	_ = conn.SetDeadline(time.Time{})
	_ = conn.SetWriteDeadline(time.Now().Add(replyTime))
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+
		agentproto.UpgradeStream+"\r\n"+agentproto.HeaderProtocol+": "+agentproto.Version+"\r\n\r\n")
	if err != nil {
		_ = conn.Close()
		return nil
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return conn
}

// needDesktop answers for a machine that has none.
func (s *server) needDesktop(next func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.desk == nil {
			reply(w, http.StatusNotFound, agentproto.Error{Message: "this machine has no desktop"})
			return
		}
		next(w, r)
	}
}

// unavailable answers for a part that does not run, or did not do it.
func unavailable(w http.ResponseWriter, err error) {
	reply(w, http.StatusServiceUnavailable, agentproto.Error{Message: err.Error()})
}

// media hands a stream to the display child.
func (s *server) media(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if err := display.CheckStream(r.URL.Path, query); err != nil {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: err.Error()})
		return
	}
	child, err := s.desk.display()
	if err != nil {
		unavailable(w, err)
		return
	}
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	given, err := transferable(s.ctx, conn)
	if err != nil {
		s.log.Warn("a stream was not given to the display", "path", r.URL.Path, "err", err)
		_ = conn.Close()
		return
	}
	if err := child.Stream(given, r.URL.Path, query); err != nil {
		s.log.Warn("a stream was not taken by the display", "path", r.URL.Path, "err", err)
		_ = given.Close()
	}
}

func (s *server) screenshot(w http.ResponseWriter, r *http.Request) {
	child, err := s.desk.display()
	if err != nil {
		unavailable(w, err)
		return
	}
	data, err := child.Screenshot(r.Context())
	if err != nil {
		unavailable(w, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(replyTime))
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(data)
}

func (s *server) resize(w http.ResponseWriter, r *http.Request) {
	var size agentproto.Size
	if !readJSON(w, r, &size) {
		return
	}
	if err := checkSize(size.Width, size.Height); err != nil {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: err.Error()})
		return
	}
	child, err := s.desk.display()
	if err != nil {
		unavailable(w, err)
		return
	}
	size.Width, size.Height, err = child.Resize(r.Context(), size.Width, size.Height)
	if err != nil {
		unavailable(w, err)
		return
	}
	reply(w, http.StatusOK, size)
}

// vnc relays raw RFB to the X server's socket.
func (s *server) vnc(w http.ResponseWriter, r *http.Request) {
	x, err := net.DialTimeout("unix", s.desk.x.vncPath(), headerTime)
	if err != nil {
		unavailable(w, errors.Join(errNotUp, err))
		return
	}
	defer x.Close()
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _, _ = x.Close(), conn.Close() })()
	relay(conn, x)
}

// cdp lets one more client speak with Chromium.
func (s *server) cdp(w http.ResponseWriter, r *http.Request) {
	mux, err := s.desk.devtools()
	if err != nil {
		unavailable(w, err)
		return
	}
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	err = mux.Serve(s.ctx, &messageStream{conn: conn})
	s.log.Info("a DevTools client left", "why", err)
}

// messageStream carries messages as frames on a connection.
type messageStream struct {
	conn net.Conn
	mu   sync.Mutex // one frame at a time
}

func (m *messageStream) ReadMessage() ([]byte, error) {
	f, err := agentproto.ReadFrame(m.conn)
	if err != nil {
		return nil, err
	}
	if f.Type != agentproto.FrameMessage {
		return nil, agentproto.ErrFrame
	}
	return f.Payload, nil
}

func (m *messageStream) WriteMessage(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.conn.SetWriteDeadline(time.Now().Add(streamWriteTime))
	return agentproto.WriteFrame(m.conn, agentproto.Frame{Type: agentproto.FrameMessage, Payload: data})
}

func (m *messageStream) Close() error { return m.conn.Close() }
