package display

import (
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The times of streaming, measured on the prototype.
const (
	coalesce    = time.Millisecond       // between a first change and its capture: one paint is often two requests
	interval    = time.Second / 60       // between frames in motion
	slack       = 4 * time.Millisecond   // a frame may come early by this, so that 60 Hz painting with jitter keeps 60 fps
	keyInterval = 300 * time.Millisecond // between keyframes, however many ask
)

// refineAfter is when after motion each refinement is due.
var refineAfter = [...]time.Duration{60 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond}

// A stream may be this much ahead of its bit rate before frames are held back:
// fewer frames rather than worse ones, but never a queue in the network. What
// is owed is paid at payFactor times the bit rate, since a bandwidth estimate
// of a stream that seldom uses its share is on the low side.
const (
	creditTime = 400 * time.Millisecond
	payFactor  = 1.5
)

// kind is why a frame is sent.
type kind int

const (
	kindKey kind = iota
	kindMotion
	kindRefine
	kindBeat
)

// pace decides when a stream's next frame is due, and why. It reads no clock.
type pace struct {
	slot  time.Time // before this, nothing but keyframes
	sent  time.Time // the last frame
	moved time.Time // the last frame of motion
	step  int       // refinements since then; len(refineAfter) when all are done
	key   time.Time // the last keyframe
	owed  float64   // bits ahead of the bit rate, at sent
}

// due tells what comes next and when. changed is when the screen first changed
// since the stream's last frame, zero when it has not.
func (p *pace) due(changed time.Time, wantKey bool) (kind, time.Time) {
	if wantKey {
		return kindKey, p.key.Add(keyInterval)
	}
	if !changed.IsZero() {
		return kindMotion, latest(changed.Add(coalesce), p.slot)
	}
	if p.step < len(refineAfter) {
		return kindRefine, latest(p.moved.Add(refineAfter[p.step]), p.slot)
	}
	return kindBeat, p.sent.Add(agentproto.HeartbeatInterval)
}

// refineOverdue says that a refinement was due, but that changes came first.
func (p *pace) refineOverdue(now time.Time) bool {
	return p.step < len(refineAfter) && !now.Before(p.moved.Add(refineAfter[p.step]))
}

// took notes a frame of n bytes sent at now. A small change is sharp at once
// and leaves a refinement that is under way as it is.
func (p *pace) took(k kind, small bool, now time.Time, n, bitrate int) {
	opening := p.sent.IsZero()
	if !opening {
		p.owed = max(0, p.owed-now.Sub(p.sent).Seconds()*float64(bitrate)*payFactor)
	}
	p.owed += float64(n * 8)
	p.sent = now
	switch k {
	case kindKey:
		// The keyframe that a stream opens with comes before its first viewer is
		// connected, who asks for one of its own: that one need not wait.
		if !opening {
			p.key = now
		}
		p.moved, p.step = now, 0
	case kindMotion:
		if !small {
			p.moved, p.step = now, 0
		}
	case kindRefine:
		p.step++
	}
	p.slot = latest(p.slot.Add(interval), now.Add(interval-slack))
	if limit := now.Add(interval + slack); p.slot.After(limit) {
		p.slot = limit
	}
	if over := p.owed - creditTime.Seconds()*float64(bitrate); over > 0 {
		wait := time.Duration(over / (float64(bitrate) * payFactor) * float64(time.Second))
		p.slot = latest(p.slot, now.Add(min(wait, time.Second)))
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
