package httpapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vitrine-dev/vitrine"
)

// metrics is what /metrics shows. Calls are counted as they happen; everything
// else is read when somebody asks: live sessions, room and runtimes from the
// service, media from the streams, starts and ends from the event log since the
// last time (history).
//
// Every label takes its values from a list in the code (states, runtimes, codes,
// phases, routes, codecs), so no caller can make the number of series grow.
type metrics struct {
	cfg     Config
	handler http.Handler
	history *history

	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	sessions *prometheus.GaugeVec
	attached prometheus.Gauge
	viewers  *prometheus.GaugeVec
	sockets  *prometheus.GaugeVec
	usable   *prometheus.GaugeVec
	room     *prometheus.GaugeVec
	reserved *prometheus.GaugeVec

	mu      sync.Mutex
	runs    map[string]bool // the runtimes that were seen
	service vitrine.ServiceFigures
	streams vitrine.StreamFigures
}

func newMetrics(cfg Config, d *drain) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		cfg: cfg, runs: map[string]bool{}, history: newHistory(cfg),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_http_request_seconds",
			Help:    "Time of calls by route and status; streams are not counted, nor calls that wait for a session (?wait=true).",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"method", "route", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_creates_refused_total",
			Help: "Sessions that were asked for and not begun, by reason: a failure's code (memory_below_minimum, host_no_capacity, …), else the kind of error."}, []string{"reason"}),
		sessions: gauge("vitrine_sessions", "Sessions that are not over, by state and runtime.", "state", "runtime"),
		attached: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vitrine_viewers_attached", Help: "Viewers attached now to sessions that are not over."}),
		viewers:  gauge("vitrine_viewers", "Viewers attached now, by the path they are on.", "path"),
		sockets:  gauge("vitrine_sockets", "WebSockets open now, by kind.", "kind"),
		usable:   gauge("vitrine_runtime_usable", "1 when the runtime's probe ran a machine on this host, else 0.", "runtime"),
		room:     gauge("vitrine_capacity", "What the host lends to sessions: memory_bytes, vcpu, sessions.", "resource"),
		reserved: gauge("vitrine_reserved", "What live sessions hold of vitrine_capacity.", "resource"),
	}
	reg := cfg.Registry
	reg.MustRegister(m.requests, m.refused, m.sessions, m.attached, m.viewers, m.sockets, m.usable, m.room, m.reserved,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_build_info", Help: "1; the labels say what runs.",
			ConstLabels: prometheus.Labels{"version": cfg.Version, "commit": cfg.Commit}}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_http_calls_under_way", Help: "Calls being answered now; streams are not counted."},
			func() float64 { return float64(d.underWay()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_draining", Help: "1 while the daemon shuts down."},
			func() float64 { return truth(d.is()) }))
	m.history.register(reg)
	m.registerFigures(reg)
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true})
	return m
}

// registerFigures shows what the service and the streams count of themselves.
func (m *metrics) registerFigures(reg prometheus.Registerer) {
	service := func(name, help string, value func(f *vitrine.ServiceFigures) float64) {
		f := func() float64 { m.mu.Lock(); defer m.mu.Unlock(); return value(&m.service) }
		if name[len(name)-6:] == "_total" {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
			return
		}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	service("vitrine_sweeps_total", "Looks for what belongs to no session, that worked.", func(f *vitrine.ServiceFigures) float64 { return float64(f.Sweeps) })
	service("vitrine_sweeps_failed_total", "Looks for what belongs to no session, that did not work.", func(f *vitrine.ServiceFigures) float64 { return float64(f.SweepsFailed) })
	service("vitrine_sweep_last_success_timestamp_seconds", "When the last sweep worked; 0: none yet.", func(f *vitrine.ServiceFigures) float64 {
		if f.LastSweep.IsZero() {
			return 0
		}
		return float64(f.LastSweep.UnixMilli()) / 1000
	})
	service("vitrine_step_retries_total", "Steps of sessions that did not work and were tried again.", func(f *vitrine.ServiceFigures) float64 { return float64(f.Retries) })
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_turn_relays", Help: "TURN allocations open now."},
		func() float64 { m.mu.Lock(); defer m.mu.Unlock(); return float64(m.streams.Relays) }))
	reg.MustRegister(videoCollector{m})
}

func (m *metrics) observe(rt *route, status int, took time.Duration) {
	m.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(status)).Observe(took.Seconds())
}

// created counts a create that was refused. What becomes of a session that was
// begun, while its caller waits, is the history's business.
func (m *metrics) created(err error) {
	var begun *sessionError
	if err == nil || errors.As(err, &begun) || errors.Is(err, context.Canceled) {
		return
	}
	e := toError(err)
	reason := string(e.Class)
	if _, named := vitrine.FailureInfoOf(vitrine.FailureCode(e.Code)); named || e.Code == codeDraining {
		reason = e.Code
	}
	m.refused.WithLabelValues(reason).Inc()
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
	if err := m.history.read(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readStatus(m.cfg.Sessions.Status(ctx))
	if err := m.countSessions(ctx); err != nil {
		return err
	}
	if counter, ok := m.cfg.Streams.(vitrine.StreamCounter); ok {
		m.streams = counter.StreamFigures()
		show(m.viewers, m.streams.ViewersByPath)
		show(m.sockets, m.streams.Sockets)
	}
	if counter, ok := m.cfg.Sessions.(vitrine.ServiceCounter); ok {
		m.service = counter.ServiceFigures()
	}
	return nil
}

// show replaces a gauge's values.
func show(g *prometheus.GaugeVec, values map[string]int) {
	g.Reset()
	for label, n := range values {
		g.WithLabelValues(label).Set(float64(n))
	}
}

func (m *metrics) readStatus(st vitrine.ServiceStatus) {
	for _, rt := range st.Runtimes {
		m.runs[rt.Name] = true
		if rt.Probe.Reason != vitrine.ProbePending { // one that is not known yet is neither
			m.usable.WithLabelValues(rt.Name).Set(truth(rt.Probe.OK))
		}
	}
	for g, c := range map[*prometheus.GaugeVec]vitrine.Capacity{m.room: st.Capacity, m.reserved: st.Reserved} {
		g.WithLabelValues("memory_bytes").Set(float64(c.MemoryMB) * (1 << 20))
		g.WithLabelValues("vcpu").Set(float64(c.VCPU))
		g.WithLabelValues("sessions").Set(float64(c.Sessions))
	}
}

// countSessions counts the live ones. A state that no session is in shows 0, so
// that a graph falls rather than ends.
func (m *metrics) countSessions(ctx context.Context) error {
	attached := 0
	count := map[vitrine.State]map[string]int{}
	for _, state := range liveStates {
		count[state] = map[string]int{}
		for f := (vitrine.SessionFilter{State: state, Limit: 500}); ; {
			list, next, err := m.cfg.Sessions.List(ctx, f)
			if err != nil {
				return err
			}
			for _, one := range list {
				m.runs[one.Runtime] = true
				count[state][one.Runtime]++
				attached += m.cfg.Streams.Viewers(one.ID)
			}
			if f.Cursor = next; next == "" {
				break
			}
		}
	}
	for state, byRuntime := range count {
		for _, runtime := range slices.Sorted(maps.Keys(m.runs)) {
			m.sessions.WithLabelValues(string(state), runtime).Set(float64(byRuntime[runtime]))
		}
	}
	m.attached.Set(float64(attached))
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// videoCollector shows the streams' counters, by codec.
type videoCollector struct{ m *metrics }

var (
	videoFrames    = videoDesc("frames_total", "Frames encoded.")
	videoBytes     = videoDesc("bytes_total", "Bytes of encoded frames; each is sent to every viewer.")
	videoDropped   = videoDesc("frames_dropped_total", "Frames not given to a viewer that lagged, counted per viewer.")
	videoKeyframes = videoDesc("keyframes_asked_total", "Keyframes asked of encoders.")
	videoOpened    = videoDesc("encoders_opened_total", "Encoders opened; many per viewer mean that streams break.")
	videoViewers   = videoDesc("viewers", "Viewers that are sent video now.")
)

func videoDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("vitrine_video_"+name, help, []string{"codec"}, nil)
}

// Describe implements prometheus.Collector.
func (c videoCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{videoFrames, videoBytes, videoDropped, videoKeyframes, videoOpened, videoViewers} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c videoCollector) Collect(to chan<- prometheus.Metric) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for codec, v := range c.m.streams.Video {
		for d, n := range map[*prometheus.Desc]uint64{
			videoFrames: v.Frames, videoBytes: v.Bytes, videoDropped: v.Dropped, videoKeyframes: v.Keyframes, videoOpened: v.Opened,
		} {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), string(codec))
		}
		to <- prometheus.MustNewConstMetric(videoViewers, prometheus.GaugeValue, float64(v.Viewers), string(codec))
	}
}
