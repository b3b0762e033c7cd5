package httpapi

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// pagePolicy is the content security policy of the page: its own scripts only;
// styles inline because noVNC and React set them; pictures from blobs and data
// (cursors); WebSockets by name because Safari before 15.4 does not count them
// under 'self'.
const pagePolicy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'"

// replyPolicy is for everything else: replies are data, never pages.
const replyPolicy = "default-src 'none'; frame-ancestors 'none'"

type requestKey struct{}

// requestState is what the middleware and the handlers of one request share.
type requestState struct {
	id     string
	route  *route
	caller string
	waited bool // for a session: how long that took says nothing of the API
}

func stateOf(ctx context.Context) *requestState {
	st, _ := ctx.Value(requestKey{}).(*requestState)
	if st == nil {
		st = &requestState{}
	}
	return st
}

func requestID(ctx context.Context) string { return stateOf(ctx).id }

// serve wraps the routes: request id, headers, log, metrics, panics.
func (s *Server) serve(rw http.ResponseWriter, r *http.Request) {
	start := s.now()
	st := &requestState{id: vitrine.NewID(vitrine.PrefixRequest, start)}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, st))
	w := &response{ResponseWriter: rw}

	h := w.Header()
	h.Set("X-Request-Id", st.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Content-Security-Policy", replyPolicy)
	h.Set("Cache-Control", "no-store")

	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.log.Error("panic", "request", st.id, "method", r.Method, "path", clip(r.URL.Path, 256), "panic", p, "stack", string(debug.Stack()))
			if w.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			s.fail(w, r, vitrine.Errorf(vitrine.ClassInternal, "internal", "something went wrong inside the daemon").
				WithRemedy("look for the request id in the daemon's log"))
		}
		s.record(r, st, w, s.now().Sub(start))
	}()
	s.mux.ServeHTTP(w, r)
}

// record logs and counts a request. Queries are never logged: they may hold a
// ticket.
func (s *Server) record(r *http.Request, st *requestState, w *response, took time.Duration) {
	status := w.status
	if status == 0 {
		status = 499 // the caller left before an answer; nginx's number for it
	}
	level := slog.LevelDebug
	if st.route != nil {
		if st.route.kind == plain && !st.waited {
			s.metrics.observe(st.route, status, took)
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			level = slog.LevelInfo
		}
	}
	s.log.Log(r.Context(), level, "request", "request", st.id, "method", clip(r.Method, 20), "path", clip(r.URL.Path, 256),
		"status", status, "bytes", w.bytes, "took", took.Round(time.Microsecond), "caller", st.caller)
}

// response remembers what was answered. It gives the connection away to those
// who upgrade it.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 || w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Hijack gives the connection to a WebSocket.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Flush sends what was written.
func (w *response) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
