package bwe

import "time"

// rateWindow sums bytes over the last buckets*width of time.
type rateWindow struct {
	width   time.Duration
	buckets []bucket
}

type bucket struct {
	index int64
	bytes int
}

func newRateWindow(span time.Duration, n int) rateWindow {
	return rateWindow{width: span / time.Duration(n), buckets: make([]bucket, n)}
}

func (w *rateWindow) add(at time.Duration, bytes int) {
	i := int64(at / w.width)
	b := &w.buckets[mod(i, len(w.buckets))]
	switch {
	case b.index == i:
		b.bytes += bytes
	case b.index < i || i < b.index-int64(len(w.buckets)):
		*b = bucket{index: i, bytes: bytes} // newer, or the clock started anew
	}
}

// rate is bits per second over the window that ends at the given time.
func (w *rateWindow) rate(at time.Duration) float64 {
	last := int64(at / w.width)
	first := last - int64(len(w.buckets)) + 1
	sum := 0
	for _, b := range w.buckets {
		if b.index >= first && b.index <= last {
			sum += b.bytes
		}
	}
	return float64(sum) * 8 / (time.Duration(len(w.buckets)) * w.width).Seconds()
}

func mod(i int64, n int) int {
	m := int(i % int64(n))
	if m < 0 {
		m += n
	}
	return m
}

// minWindow is the least value of the last one to two spans.
type minWindow struct {
	span      time.Duration
	start     time.Duration
	cur, prev time.Duration
	set       bool
	havePrev  bool
}

func (w *minWindow) add(at, v time.Duration) {
	if !w.set {
		w.set, w.start, w.cur = true, at, v
		return
	}
	if at-w.start >= w.span {
		w.prev, w.havePrev = w.cur, true
		w.start, w.cur = at, v
	}
	w.cur = min(w.cur, v)
}

func (w *minWindow) min() time.Duration {
	if w.havePrev {
		return min(w.cur, w.prev)
	}
	return w.cur
}
