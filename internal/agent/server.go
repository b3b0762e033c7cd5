package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of the server. Streams of many viewers and CDP clients are few dozens.
const (
	maxConns     = 256
	maxHeader    = 16 << 10
	headerTime   = 10 * time.Second
	replyTime    = 30 * time.Second
	maxReadTime  = 30 * time.Second
	shutdownTime = time.Second
)

// server answers the node.
type server struct {
	cfg    agentproto.Config
	place  place
	log    *slog.Logger
	secret atomic.Pointer[[sha256.Size]byte] // its digest; a restored machine gets another
	execs  chan struct{}
	pipes  chan struct{}
	self   string // our own program, which the user may run
	began  time.Time
	desk   *desktop // nil in a terminal machine
	ctx    context.Context
	end    context.CancelFunc // ends ctx, and the machine with it
}

func newServer(ctx context.Context, end context.CancelFunc, cfg agentproto.Config, p place, desk *desktop, began time.Time, log *slog.Logger) *server {
	s := &server{
		cfg: cfg, place: p, log: log, desk: desk, began: began, ctx: ctx, end: end,
		execs: make(chan struct{}, maxExecs),
		pipes: make(chan struct{}, maxPipes),
		self:  "/proc/self/exe",
	}
	secret := sha256.Sum256([]byte(cfg.Secret))
	s.secret.Store(&secret)
	return s
}

// serve answers on all of the listeners, which it closes, until ctx is done.
func (s *server) serve(listeners ...net.Listener) error {
	hs := &http.Server{
		Handler:           s.guard(s.routes()),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       headerTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, allowed(c))
		},
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(s.ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), shutdownTime)
		defer cancel()
		if hs.Shutdown(ctx) != nil {
			_ = hs.Close()
		}
	})
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- hs.Serve(l) }()
	}
	for range listeners {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			stop()
			_ = hs.Close()
			return fmt.Errorf("serve the node: %w", err)
		}
	}
	<-stopped // replies under way still go out
	return nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+agentproto.PathHealth, s.health)
	mux.HandleFunc("POST "+agentproto.PathExec, s.exec)
	mux.HandleFunc("GET "+agentproto.PathScreenshot, s.needDesktop(s.screenshot))
	mux.HandleFunc("POST "+agentproto.PathResize, s.needDesktop(s.resize))
	mux.HandleFunc("GET "+agentproto.PathVideo, s.needDesktop(s.media))
	mux.HandleFunc("GET "+agentproto.PathControl, s.needDesktop(s.media))
	mux.HandleFunc("GET "+agentproto.PathVNC, s.needDesktop(s.vnc))
	mux.HandleFunc("GET "+agentproto.PathCDP, s.needDesktop(s.cdp))
	mux.HandleFunc("GET "+agentproto.PathShell, s.limitPipes(s.shell))
	mux.HandleFunc("GET "+agentproto.PathSFTP, s.limitPipes(s.sftp))
	mux.HandleFunc("GET "+agentproto.PathTCP, s.limitPipes(s.tcp))
	mux.HandleFunc("POST "+agentproto.PathShutdown, s.shutdown)
	mux.HandleFunc("POST "+agentproto.PathResumed, s.resumed)
	return mux
}

type peerKey struct{}

// guard lets only the node in, and bounds how long a request may take to come
// and a reply to go; streams lift the bounds when they take the connection.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(agentproto.HeaderProtocol, agentproto.Version)
		if ok, _ := r.Context().Value(peerKey{}).(bool); !ok {
			reply(w, http.StatusForbidden, agentproto.Error{Message: "this peer may not speak to the agent"})
			return
		}
		if !s.authorized(r) {
			reply(w, http.StatusUnauthorized, agentproto.Error{Message: "the machine's secret is missing or wrong"})
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(maxReadTime))
		next.ServeHTTP(w, r)
	})
}

// authorized compares digests, so that neither length nor content shows in time.
func (s *server) authorized(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	digest := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(digest[:], s.secret.Load()[:]) == 1 && ok
}

func (s *server) exec(w http.ResponseWriter, r *http.Request) {
	var req agentproto.ExecRequest
	if !readJSON(w, r, &req) {
		return
	}
	if err := checkExec(req); err != nil {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: err.Error()})
		return
	}
	select {
	case s.execs <- struct{}{}:
		defer func() { <-s.execs }()
	default:
		reply(w, http.StatusTooManyRequests, agentproto.Error{Message: fmt.Sprintf("%d commands run already", maxExecs)})
		return
	}
	// The connection is read in the background from here on, so that a node
	// that hangs up ends the command; its deadline must not.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	reply(w, http.StatusOK, runExec(ctx, s.place, s.userEnv(), req))
}

// shutdown ends the machine in order, for a node that can send its first process
// no signal.
func (s *server) shutdown(w http.ResponseWriter, _ *http.Request) {
	s.log.Info("the node asks the machine to end")
	reply(w, http.StatusAccepted, struct{}{})
	s.end()
}

// userEnv is the environment of commands of the user.
func (s *server) userEnv() []string {
	if s.desk != nil {
		return s.desk.env()
	}
	return s.place.userEnv()
}

// readJSON reads a bounded body into v, or answers why not.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, agentproto.MaxJSON))
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	reply(w, status, agentproto.Error{Message: "the body cannot be read: " + err.Error()})
	return false
}

// reply answers with a JSON body.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"the reply cannot be written"}`)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(replyTime))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
