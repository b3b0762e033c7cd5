package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

func connectSignal(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	return s.socket(w, r, c, func(w http.ResponseWriter, r *http.Request) { s.cfg.Streams.Signal(w, r, c.viewer) })
}

func connectVNC(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	viewerID := r.URL.Query().Get("viewer")
	if viewerID != "" && !vitrine.ValidID(vitrine.PrefixViewer, viewerID) {
		return vitrine.Errorf(vitrine.ClassMalformed, "invalid_parameter", `the query parameter "viewer" is not a viewer's id`).
			WithRemedy("send the viewer_id of the signal socket's hello")
	}
	return s.socket(w, r, c, func(w http.ResponseWriter, r *http.Request) { s.cfg.Streams.VNC(w, r, c.viewer, viewerID) })
}

func connectCDP(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	return s.socket(w, r, c, func(w http.ResponseWriter, r *http.Request) { s.cfg.Streams.CDP(w, r, c.viewer) })
}

// touchEvery is how often an open socket counts as use of its session.
const touchEvery = 30 * time.Second

// socket hands a request to the streams. Its context ends when the caller is put
// out or the daemon shuts down, and the streams close the socket then.
func (s *Server) socket(w http.ResponseWriter, r *http.Request, c *call, serve func(http.ResponseWriter, *http.Request)) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return vitrine.Errorf(vitrine.ClassMalformed, "not_a_websocket", "%s is a WebSocket", clip(r.URL.Path, 200)).
			WithRemedy("open it with a WebSocket client")
	}
	if err := ready(c.session); err != nil {
		return err
	}
	ctx, leave, err := s.live.join(r.Context(), c.caller)
	if err != nil {
		return err
	}
	defer leave()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(touchEvery)
		defer tick.Stop()
		for {
			s.cfg.Sessions.Touch(c.session.ID)
			select {
			case <-tick.C:
			case <-ctx.Done():
				s.cfg.Sessions.Touch(c.session.ID)
				return
			}
		}
	}()
	defer func() { leave(); <-done }()
	serve(w, r.WithContext(ctx))
	return nil
}

// Times of the version question.
const (
	cdpTime       = 5 * time.Second
	cdpTicketLife = time.Minute
	maxCDPSkipped = 64 // messages of others that may come before our answer
)

// getCDPVersion answers what DevTools clients ask before they connect. The
// address it gives carries a ticket, since such clients send no header there.
func getCDPVersion(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	if c.session.Kind != vitrine.KindDesktop {
		return vitrine.Errorf(vitrine.ClassConflict, "no_browser", "session %s is a %s and has no browser", c.session.ID, c.session.Kind).
			WithRemedy("start a desktop")
	}
	agent, err := s.agent(r, c)
	if err != nil {
		return err
	}
	out, err := browserVersion(r.Context(), agent)
	if err != nil {
		return err
	}
	t, secret, err := s.makeTicket(r, c, vitrine.ScopeCDP, cdpTicketLife)
	if err != nil {
		return err
	}
	out.WebSocketDebuggerURL = socketBase(s.here(r)) + "/v1/sessions/" + t.SessionID + "/cdp?ticket=" + secret
	s.cfg.Sessions.Touch(c.session.ID)
	reply(w, http.StatusOK, out)
	return nil
}

// browserVersion asks the browser itself, by Browser.getVersion.
func browserVersion(ctx context.Context, agent vitrine.Agent) (api.CDPVersion, error) {
	var out api.CDPVersion
	ctx, cancel := context.WithTimeout(ctx, cdpTime)
	defer cancel()
	silent := vitrine.Errorf(vitrine.ClassUnavailable, "browser_silent", "the browser does not answer on its DevTools port").
		WithRemedy("try again; if it stays, end the session and start another one")
	conn, err := agent.OpenCDP(ctx)
	if err != nil {
		return out, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends a read that waits
	defer stop()
	if err := conn.WriteMessage([]byte(`{"id":1,"method":"Browser.getVersion"}`)); err != nil {
		return out, silent.WithCause(err)
	}
	for range maxCDPSkipped {
		b, err := conn.ReadMessage()
		if err != nil {
			return out, silent.WithCause(err)
		}
		var m struct {
			ID     int `json:"id"`
			Result struct{ ProtocolVersion, Product, UserAgent, JSVersion string }
		}
		if json.Unmarshal(b, &m) != nil || m.ID != 1 || m.Result.Product == "" {
			continue
		}
		out.Browser, out.ProtocolVersion = clip(m.Result.Product, 256), clip(m.Result.ProtocolVersion, 64)
		out.UserAgent, out.V8Version = clip(m.Result.UserAgent, 1024), clip(m.Result.JSVersion, 256)
		return out, nil
	}
	return out, silent
}
