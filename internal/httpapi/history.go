package httpapi

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-dev/vitrine"
)

// history counts what the event log tells, from where it stopped the last time:
// starts, their phases, failures and ends, since the daemon began.
type history struct {
	cfg Config

	starts   *prometheus.CounterVec
	took     *prometheus.HistogramVec
	phases   *prometheus.HistogramVec
	failures *prometheus.CounterVec
	ended    *prometheus.CounterVec

	mu       sync.Mutex
	after    int64             // the newest event counted
	runtimes map[string]string // of sessions that are not over: phases do not say theirs
	// queued has the sessions that waited for room and are not ready: when the
	// wait was over, zero while it is not.
	queued map[string]time.Time
}

// startBuckets are seconds, around the starts that runtimes.md measured: 1.0
// (container) and 4.1 (gVisor), and up to the deadlines.
var startBuckets = []float64{.25, .5, .75, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 120}

// phaseBuckets reach from a placement (microseconds) to the browser's deadline.
var phaseBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

func newHistory(cfg Config) *history {
	return &history{
		cfg: cfg, runtimes: map[string]string{}, queued: map[string]time.Time{},
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_session_starts_total",
			Help: "Starts that ended, by runtime and outcome (ready, or the failure's code), since the daemon began."}, []string{"runtime", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_session_start_seconds",
			Help: "Time from the making of a session, or from the end of its wait for room, to ready, by runtime.", Buckets: startBuckets}, []string{"runtime"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vitrine_boot_phase_seconds",
			Help: "Time of one phase of a start, by phase, runtime and outcome; image includes its verification.", Buckets: phaseBuckets},
			[]string{"phase", "runtime", "outcome"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_session_failures_total",
			Help: "Sessions that failed, while starting or later, by runtime and code."}, []string{"runtime", "code"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_sessions_ended_total",
			Help: "Sessions that are over, by runtime and reason."}, []string{"runtime", "reason"}),
	}
}

func (h *history) register(reg prometheus.Registerer) {
	reg.MustRegister(h.starts, h.took, h.phases, h.failures, h.ended)
}

// begin makes the counting begin now.
func (h *history) begin(ctx context.Context) error {
	last, err := h.cfg.Events.LastEventID(ctx)
	h.after = last
	return err
}

// read counts what is new in the event log.
func (h *history) read(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		const batch = 500
		events, err := h.cfg.Events.Events(ctx, h.after, "", "", batch)
		if err != nil {
			return err
		}
		for _, e := range events {
			h.after = e.ID
			h.count(ctx, e)
		}
		if len(events) < batch {
			return nil
		}
	}
}

func (h *history) count(ctx context.Context, e vitrine.Event) {
	if e.Type == vitrine.EventBootPhase {
		var p vitrine.Phase
		if json.Unmarshal(e.Data, &p) == nil && (p.Outcome == vitrine.OutcomeOK || p.Outcome == vitrine.OutcomeFailed) {
			h.phases.WithLabelValues(string(p.Name), h.runtimeOf(ctx, e.SessionID), string(p.Outcome)).Observe(p.Duration.Seconds())
		}
		return
	}
	var one vitrine.Session
	if json.Unmarshal(e.Data, &one) != nil {
		return
	}
	if !one.State.Over() {
		h.runtimes[one.ID] = one.Runtime
	} else {
		delete(h.runtimes, one.ID)
	}
	begun, waited := h.queued[one.ID]
	switch {
	case one.State.Over():
		delete(h.queued, one.ID)
	case one.Queue != nil:
		h.queued[one.ID] = time.Time{}
	case waited && begun.IsZero():
		begun = e.At
		h.queued[one.ID] = begun
	}
	if e.Type != vitrine.EventSessionState {
		return
	}
	switch one.State {
	case vitrine.StateReady:
		h.starts.WithLabelValues(one.Runtime, "ready").Inc()
		if !waited {
			begun = one.CreatedAt
		}
		delete(h.queued, one.ID)
		h.took.WithLabelValues(one.Runtime).Observe(one.ReadyAt.Sub(begun).Seconds())
	case vitrine.StateFailed:
		if one.Failure != nil {
			h.failures.WithLabelValues(one.Runtime, string(one.Failure.Code)).Inc()
			if one.ReadyAt.IsZero() {
				h.starts.WithLabelValues(one.Runtime, string(one.Failure.Code)).Inc()
			}
		}
		fallthrough
	case vitrine.StateEnded:
		h.ended.WithLabelValues(one.Runtime, string(one.EndedReason)).Inc()
	}
}

// runtimeOf finds a session's runtime; that of one from before the daemon's
// start is asked for.
func (h *history) runtimeOf(ctx context.Context, id string) string {
	if name, ok := h.runtimes[id]; ok {
		return name
	}
	one, err := h.cfg.Sessions.Get(ctx, id)
	if err != nil {
		return "unknown"
	}
	if !one.State.Over() {
		h.runtimes[id] = one.Runtime
	}
	return one.Runtime
}
