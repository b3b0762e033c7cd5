package bwe

import (
	"math"
	"time"
)

// The controller's constants. Those of loss and growth are draft-ietf-rmcat-
// gcc-02, sections 5.5 and 6; the queue's are ours: half of what a person feels
// in typing (100 ms), and the time of two feedbacks to tell it from jitter.
const (
	queueHigh     = 40 * time.Millisecond  // packets wait: go down
	queueLow      = 20 * time.Millisecond  // they do not: may go up
	overuseFor    = 100 * time.Millisecond // how long they must wait
	overusePkts   = 10                     // and how many
	decreaseHold  = 300 * time.Millisecond // let the queue drain before the next
	decreaseTo    = 0.85                   // of the rate delivered
	decreaseMost  = 0.5                    // of the estimate, at once
	lossHigh      = 0.10
	lossLow       = 0.02
	lossPackets   = 20 // judge loss over at least so many
	growth        = 1.08
	startupGrowth = 1.5 // a second, until the first decrease
	loadedUp      = 0.5 // share of the estimate that must be in use to go up
	loadedLoss    = 0.25
	baseSpan      = 30 * time.Second // a route may change: the base delay is of the last 30 to 60 s
)

type controller struct {
	min, max float64
	estimate float64

	sent      rateWindow // on our clock
	delivered rateWindow // on the viewer's
	base      minWindow
	queue     time.Duration

	overSince   time.Duration
	overPackets int
	lost, total int
	loss        float64
	holdUntil   time.Duration
	lastUp      time.Duration
	decreased   bool
}

func newController(initial, least, most int) *controller {
	return &controller{
		min: float64(least), max: float64(most), estimate: float64(initial),
		sent:      newRateWindow(time.Second, 10),
		delivered: newRateWindow(500*time.Millisecond, 10),
		base:      minWindow{span: baseSpan},
		overSince: -1,
	}
}

func (c *controller) onFeedback(now time.Duration, acks []ack) {
	owd, latest, received := time.Duration(math.MaxInt64), time.Duration(0), 0
	for _, a := range acks {
		c.total++
		if a.lost {
			c.lost++
			continue
		}
		received++
		c.delivered.add(a.arrival, a.size)
		latest = max(latest, a.arrival)
		owd = min(owd, a.arrival-a.sent)
	}
	if c.total >= lossPackets {
		c.loss = float64(c.lost) / float64(c.total)
		c.lost, c.total = 0, 0
		c.onLoss(now)
	}
	if received == 0 {
		return
	}
	c.base.add(now, owd)
	c.queue = owd - c.base.min()
	c.onQueue(now, received, c.delivered.rate(latest))
}

func (c *controller) onLoss(now time.Duration) {
	if c.loss <= lossHigh || now < c.holdUntil || c.sent.rate(now) < loadedLoss*c.estimate {
		return
	}
	c.decrease(now, c.estimate*(1-0.5*c.loss))
}

func (c *controller) onQueue(now time.Duration, received int, delivered float64) {
	if c.queue > queueHigh {
		if c.overSince < 0 {
			c.overSince = now
		}
		c.overPackets += received
		if now-c.overSince >= overuseFor && c.overPackets >= overusePkts && now >= c.holdUntil {
			c.decrease(now, decreaseTo*delivered)
		}
		return
	}
	c.overSince, c.overPackets = -1, 0
	dt := min(now-c.lastUp, time.Second)
	c.lastUp = now
	if c.queue > queueLow || c.loss > lossLow || now < c.holdUntil || c.sent.rate(now) < loadedUp*c.estimate {
		return
	}
	rate := growth
	if !c.decreased {
		rate = startupGrowth
	}
	up := c.estimate * math.Pow(rate, dt.Seconds())
	c.set(max(c.estimate, min(up, 2*delivered)))
}

func (c *controller) decrease(now time.Duration, to float64) {
	c.set(min(c.estimate, max(to, decreaseMost*c.estimate)))
	c.holdUntil, c.lastUp = now+decreaseHold, now
	c.decreased = true
}

func (c *controller) set(v float64) { c.estimate = min(max(v, c.min), c.max) }
