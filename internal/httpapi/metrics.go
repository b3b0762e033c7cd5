package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vitrine-dev/vitrine"
)

// metrics is what /metrics shows. Calls are counted as they happen; everything
// about sessions is read when somebody asks: the live ones from the service, the
// starts from the event log since the last time.
type metrics struct {
	cfg     Config
	handler http.Handler

	requests *prometheus.HistogramVec
	starts   *prometheus.CounterVec
	took     *prometheus.HistogramVec
	sessions *prometheus.GaugeVec
	viewers  *prometheus.GaugeVec
	attached prometheus.Gauge

	mu    sync.Mutex
	after int64 // the newest event counted
}

// startBuckets are seconds, around the starts that runtimes.md measured: 1.0
// (container) and 4.1 (gVisor), and up to the deadlines.
var startBuckets = []float64{.25, .5, .75, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 120}

func newMetrics(cfg Config) *metrics {
	m := &metrics{
		cfg: cfg,
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_http_request_seconds",
			Help:    "Time of calls by route and status; streams are not counted.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"method", "route", "status"}),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_session_starts_total",
			Help: "Starts that ended, by runtime and outcome (ready, or the failure's code), since the daemon began."}, []string{"runtime", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_session_start_seconds",
			Help: "Time from the making of a session to ready, by runtime.", Buckets: startBuckets}, []string{"runtime"}),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vitrine_sessions",
			Help: "Sessions that are not over, by state."}, []string{"state"}),
		viewers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vitrine_viewers",
			Help: "Viewers attached now, by the path they are on."}, []string{"path"}),
		attached: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vitrine_viewers_attached", Help: "Viewers attached now to ready sessions."}),
	}
	reg := cfg.Registry
	reg.MustRegister(m.requests, m.starts, m.took, m.sessions, m.viewers, m.attached,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_build_info", Help: "1; the label says the version.",
			ConstLabels: prometheus.Labels{"version": cfg.Version, "commit": cfg.Commit}}, func() float64 { return 1 }))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true})
	return m
}

func (m *metrics) observe(rt *route, status int, took time.Duration) {
	m.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(status)).Observe(took.Seconds())
}

func getMetrics(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if err := s.metrics.refresh(r.Context()); err != nil {
		return err
	}
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}

var liveStates = []vitrine.State{vitrine.StatePending, vitrine.StateStarting, vitrine.StateReady, vitrine.StateStopping}

func (m *metrics) refresh(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.countStarts(ctx); err != nil {
		return err
	}
	attached := 0
	for _, state := range liveStates {
		n := 0
		for f := (vitrine.SessionFilter{State: state, Limit: 500}); ; {
			list, next, err := m.cfg.Sessions.List(ctx, f)
			if err != nil {
				return err
			}
			n += len(list)
			for _, one := range list {
				attached += m.cfg.Streams.Viewers(one.ID)
			}
			if f.Cursor = next; next == "" {
				break
			}
		}
		m.sessions.WithLabelValues(string(state)).Set(float64(n))
	}
	m.attached.Set(float64(attached))
	if counter, ok := m.cfg.Streams.(vitrine.PathCounter); ok {
		m.viewers.Reset()
		for path, n := range counter.ViewersByPath() {
			m.viewers.WithLabelValues(path).Set(float64(n))
		}
	}
	return nil
}

// begin makes the counting of starts begin now.
func (m *metrics) begin(ctx context.Context) error {
	last, err := m.cfg.Events.LastEventID(ctx)
	m.after = last
	return err
}

// countStarts reads the event log from where it stopped the last time.
func (m *metrics) countStarts(ctx context.Context) error {
	for {
		const batch = 500
		events, err := m.cfg.Events.Events(ctx, m.after, "", "", batch)
		if err != nil {
			return err
		}
		for _, e := range events {
			m.after = e.ID
			var one vitrine.Session
			if e.Type != vitrine.EventSessionState || json.Unmarshal(e.Data, &one) != nil {
				continue
			}
			switch {
			case one.State == vitrine.StateReady && !one.ReadyAt.IsZero():
				m.starts.WithLabelValues(one.Runtime, "ready").Inc()
				m.took.WithLabelValues(one.Runtime).Observe(one.ReadyAt.Sub(one.CreatedAt).Seconds())
			case one.State == vitrine.StateFailed && one.ReadyAt.IsZero() && one.Failure != nil:
				m.starts.WithLabelValues(one.Runtime, string(one.Failure.Code)).Inc()
			}
		}
		if len(events) < batch {
			return nil
		}
	}
}
