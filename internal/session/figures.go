package session

import (
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine"
)

var _ vitrine.ServiceCounter = (*Service)(nil)

// work counts what the service does, for /metrics.
type work struct {
	sweeps, sweepsFailed, retries atomic.Uint64
	lastSweep                     atomic.Int64 // Unix nanoseconds; 0: none yet
}

// swept counts one sweep.
func (w *work) swept(err error, now time.Time) {
	if err != nil {
		w.sweepsFailed.Add(1)
		return
	}
	w.sweeps.Add(1)
	w.lastSweep.Store(now.UnixNano())
}

// ServiceFigures implements vitrine.ServiceCounter.
func (s *Service) ServiceFigures() vitrine.ServiceFigures {
	w := &s.rec.work
	f := vitrine.ServiceFigures{Sweeps: w.sweeps.Load(), SweepsFailed: w.sweepsFailed.Load(), Retries: w.retries.Load()}
	if at := w.lastSweep.Load(); at != 0 {
		f.LastSweep = time.Unix(0, at)
	}
	return f
}
