package httpapi

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vitrine-dev/vitrine"
)

// limiter counts calls by caller: a bucket that holds max and fills in window.
type limiter struct {
	max    int
	window time.Duration
	what   string // is counted, in words: "calls"
	remedy string // beside waiting
	now    func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

type bucket struct {
	*rate.Limiter
	seen time.Time
}

// maxBuckets bounds the memory that callers from many addresses can take, some
// ten megabytes; past it they share one bucket.
const maxBuckets = 50_000

func newLimiter(max int, window time.Duration, now func() time.Time, what, remedy string) *limiter {
	return &limiter{max: max, window: window, what: what, remedy: remedy, now: now, buckets: map[string]*bucket{}}
}

// take counts one call, or says when the next may come.
func (l *limiter) take(caller string) error {
	if l.max < 0 {
		return nil
	}
	now := l.now()
	b := l.bucket(caller, now)
	res := b.ReserveN(now, 1)
	wait := res.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	res.CancelAt(now)
	e := vitrine.Errorf(vitrine.ClassRateLimited, "rate_limited", "more than %d %s in %s", l.max, l.what, l.window).
		WithRemedy("wait as long as Retry-After says; %s", l.remedy)
	e.RetryAfter = wait
	return e
}

func (l *limiter) bucket(caller string, now time.Time) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > l.window || len(l.buckets) >= maxBuckets && now.Sub(l.swept) > time.Second {
		l.swept = now
		for k, b := range l.buckets {
			if now.Sub(b.seen) > l.window { // full again: the same as a new one
				delete(l.buckets, k)
			}
		}
	}
	b, ok := l.buckets[caller]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			caller = ""
		}
		if b, ok = l.buckets[caller]; !ok {
			b = &bucket{Limiter: rate.NewLimiter(rate.Limit(float64(l.max)/l.window.Seconds()), l.max)}
			l.buckets[caller] = b
		}
	}
	b.seen = now
	return b
}

// callerOf names who is counted: the credential, or the address of one without.
func (s *Server) callerOf(r *http.Request, ids []identity) string {
	if len(ids) > 0 {
		return ids[0].caller
	}
	return addrCaller(s.clientAddr(r))
}

// addrCaller counts an IPv6 caller by its /64: one host has all of it.
func addrCaller(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return "addr:" + p.String()
		}
	}
	return "addr:" + a.String()
}
