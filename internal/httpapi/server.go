package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// Config is what a Server is made of. Sessions, Streams, Events, Auth and Images
// must be set; the rest has defaults.
type Config struct {
	Sessions vitrine.Sessions
	Streams  vitrine.Streams
	Events   vitrine.EventStore
	Auth     vitrine.AuthStore
	Images   vitrine.ImageStore

	// Bundles finds what was kept of sessions that failed; nil when nothing is.
	Bundles vitrine.FlightBundles

	// SSHKeys keeps the keys that let in by SSH; nil when there is no SSH. SSH
	// says where it is answered.
	SSHKeys vitrine.SSHKeyStore
	SSH     vitrine.SSHEndpoint

	// Web serves the page for every path that is not the API's. It may replace
	// the Content-Security-Policy header, as development servers must.
	Web http.Handler
	// PublicURL is where callers reach the daemon, e.g. "https://desk.example.com".
	// Empty: links name the host of the request they answer.
	PublicURL string
	// Version and Commit say what runs.
	Version, Commit string
	// Keeper finds and removes what belongs to no live session; Doctor checks the
	// host. nil: their routes answer that there is none.
	Keeper vitrine.Keeper
	Doctor func(ctx context.Context) []vitrine.Finding

	// Ping says whether the database answers.
	Ping func(context.Context) error
	// Checks are further things /health asks; each is given two seconds.
	Checks []Check

	// RateLimit is how many calls one caller may make in RateWindow, streams and
	// events not counted; 0 means 1000 in 60 s, negative no limit.
	RateLimit  int
	RateWindow time.Duration
	// LoginLimit is how many logins one address may try in a minute; 0 means 10,
	// negative no limit.
	LoginLimit int
	// TrustedProxies are the addresses whose X-Forwarded-For and -Proto count.
	TrustedProxies []netip.Prefix

	// Registry takes the metrics; nil makes one.
	Registry *prometheus.Registry
	Log      *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Check is one thing the daemon needs. Run gives an error in words for a person;
// /health shows it to anyone, so it must name no secret.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Server is the API as an http.Handler.
type Server struct {
	cfg       Config
	log       *slog.Logger
	now       func() time.Time
	public    *url.URL // nil when not configured
	version   api.Version
	mux       *http.ServeMux
	calls     *limiter
	logins    *limiter
	live      *liveSet
	drain     *drain
	metrics   *metrics
	keepalive time.Duration
	waitMax   time.Duration
}

// The times of the API.
const (
	keepaliveEvery = 15 * time.Second // api.md; under the 60 s after which proxies cut an idle connection
	waitAtMost     = 10 * time.Minute // wait=true; longer than any start's deadlines together
	bodyTime       = 30 * time.Second // for a caller to send a body
	writeTime      = 15 * time.Second // for a caller of an event stream to take one write
)

// New makes the API's handler.
func New(cfg Config) (*Server, error) {
	if cfg.Sessions == nil || cfg.Streams == nil || cfg.Events == nil || cfg.Auth == nil || cfg.Images == nil {
		return nil, errors.New("httpapi: Sessions, Streams, Events, Auth and Images must be set")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RateLimit == 0 {
		cfg.RateLimit = 1000
	}
	if cfg.RateWindow <= 0 {
		cfg.RateWindow = time.Minute
	}
	if cfg.LoginLimit == 0 {
		cfg.LoginLimit = 10
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, now: cfg.Now, mux: http.NewServeMux(),
		version:   api.Version{Version: cfg.Version, Commit: cfg.Commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH},
		calls:     newLimiter(cfg.RateLimit, cfg.RateWindow, cfg.Now, "calls", "the limit is RATE_LIMIT_MAX_REQUESTS per RATE_LIMIT_WINDOW_MS"),
		logins:    newLimiter(cfg.LoginLimit, time.Minute, cfg.Now, "logins from one address", "`vitrine login-link` on the host makes a fresh link"),
		live:      newLiveSet(),
		drain:     newDrain(),
		keepalive: keepaliveEvery,
		waitMax:   waitAtMost,
	}
	if cfg.PublicURL != "" {
		u, err := url.Parse(strings.TrimSuffix(cfg.PublicURL, "/"))
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return nil, errors.New("httpapi: the public URL must be http:// or https://, a host, and nothing more")
		}
		s.public = u
	}
	s.metrics = newMetrics(cfg, s.drain)
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	if err := s.metrics.history.begin(ctx); err != nil {
		return nil, fmt.Errorf("httpapi: reading the newest event: %w", err)
	}
	s.routes()
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r) }

// HTTPServer gives an http.Server over the API with the bounds it counts on.
// Its Shutdown ends event streams and sockets, which would otherwise hold it up.
func (s *Server) HTTPServer() *http.Server {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	srv.RegisterOnShutdown(s.Close)
	return srv
}

// Close ends every event stream and socket; calls under way go on. New streams
// are refused from then on.
func (s *Server) Close() { s.live.closeAll() }
