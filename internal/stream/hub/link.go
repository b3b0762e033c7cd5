package hub

import (
	"context"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
)

const (
	maxPending             = 256 // inputs waiting for a machine that does not read
	backoffMin, backoffMax = 100 * time.Millisecond, 2 * time.Second
)

// link is a room's control channel to the desktop: what waits to be sent, and
// the goroutine that keeps it open. Under room.mu.
type link struct {
	running bool
	cancel  context.CancelFunc
	up      bool
	stuck   bool
	pending []vitrine.Input
	wake    chan struct{}

	size      vitrine.Input // the last wish of a size
	sizeTimer *time.Timer
}

// push queues an input. A move takes the place of a move before it, so that a
// slow machine gets the newest only. When the queue is full the machine does
// not read: the channel is opened anew, and begins with a release.
func (l *link) push(in vitrine.Input) {
	if !l.up {
		return // keys typed at a desktop that is not there must not arrive later
	}
	if n := len(l.pending); n > 0 && in.Type == vitrine.InputPointer {
		if last := &l.pending[n-1]; last.Type == in.Type && last.Buttons == in.Buttons {
			*last = in
			return
		}
	}
	if len(l.pending) >= maxPending {
		l.pending, l.stuck = nil, true
	} else {
		l.pending = append(l.pending, in)
	}
	l.poke()
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// resize waits until the viewer's window has come to rest.
func (l *link) resize(r *Room, in vitrine.Input) {
	l.size = in
	if l.sizeTimer != nil {
		l.sizeTimer.Reset(resizeDebounce)
		return
	}
	l.sizeTimer = time.AfterFunc(resizeDebounce, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if want := (vitrine.Viewport{Width: l.size.Width, Height: l.size.Height}); want != r.desktop && l.size.Type != "" {
			r.touch()
			l.push(l.size)
		}
	})
}

func (l *link) stop() {
	if l.sizeTimer != nil {
		l.sizeTimer.Stop()
	}
	if l.cancel != nil {
		l.cancel()
	}
}

// startLocked keeps the control channel open while somebody looks.
func (r *Room) startLocked() {
	if r.idle != nil {
		r.idle.Stop()
		r.idle = nil
	}
	if r.link.running || r.closed {
		return
	}
	r.link.running = true
	var ctx context.Context
	ctx, r.link.cancel = context.WithCancel(r.ctx)
	r.hub.wg.Add(1)
	go r.runLink(ctx)
}

// stopIfIdle closes the control channel, and the room with the last member, a
// grace after nobody looks any more.
func (r *Room) stopIfIdle() {
	if r.closed || r.presentLocked() > 0 || r.idle != nil {
		return
	}
	r.idle = time.AfterFunc(r.hub.cfg.Grace, func() {
		r.mu.Lock()
		r.idle = nil
		if r.closed || r.presentLocked() > 0 {
			r.mu.Unlock()
			return
		}
		r.link.stop()
		empty := len(r.members) == 0
		r.mu.Unlock()
		if empty {
			r.close("nobody is left")
		}
	})
}

func (r *Room) runLink(ctx context.Context) {
	defer r.hub.wg.Done()
	pause := backoffMin
	for ctx.Err() == nil {
		opened, err := r.linkOnce(ctx)
		if ctx.Err() != nil {
			break
		}
		if opened {
			pause = backoffMin
		}
		r.hub.cfg.Log.Debug("control channel is not open", "session", r.id, "error", err)
		if r.observe(over(err)) {
			break
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		pause = min(2*pause, backoffMax)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link.running = false
	if !r.closed && r.presentLocked() > 0 { // somebody came while it was being stopped
		r.startLocked()
	}
}

// linkOnce opens the channel and serves it until it breaks.
func (r *Room) linkOnce(ctx context.Context) (opened bool, err error) {
	openCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	agent, err := r.hub.cfg.Agents.Agent(openCtx, r.id)
	if err != nil {
		return false, err
	}
	ctl, err := agent.OpenControl(openCtx)
	if err != nil {
		return false, err
	}
	r.observe(false)
	r.mu.Lock()
	r.link.up, r.link.stuck, r.link.pending = true, false, []vitrine.Input{{Type: vitrine.InputRelease}}
	r.link.poke()
	r.mu.Unlock()

	done := make(chan struct{})
	sent := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = ctl.Close() })
	go func() { defer close(sent); r.sendInputs(ctl, done) }()
	for {
		var e vitrine.DesktopEvent
		if e, err = ctl.Receive(); err != nil {
			break
		}
		r.onDesktop(e)
	}
	r.mu.Lock()
	r.link.up, r.link.pending = false, nil
	r.mu.Unlock()
	close(done)
	stop()
	_ = ctl.Close()
	<-sent
	return true, err
}

func (r *Room) sendInputs(ctl vitrine.Control, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-r.link.wake:
		}
		r.mu.Lock()
		batch, stuck := r.link.pending, r.link.stuck
		r.link.pending = nil
		r.mu.Unlock()
		if stuck {
			_ = ctl.Close() // Receive ends, and the channel is opened anew
			return
		}
		for _, in := range batch {
			if err := ctl.Send(in); err != nil {
				_ = ctl.Close()
				return
			}
		}
	}
}

// source gives the room's source of a codec, made at first use.
func (r *Room) source(codec vitrine.Codec) *media.Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sources[codec]
	if s == nil {
		s = media.NewSource(media.Config{
			Codec: codec, Grace: r.hub.cfg.Grace, Log: r.hub.cfg.Log.With("session", r.id),
			Open: func(ctx context.Context) (vitrine.Video, error) {
				agent, err := r.hub.cfg.Agents.Agent(ctx, r.id)
				if err != nil {
					return nil, err
				}
				return agent.OpenVideo(ctx, codec)
			},
			OnViewport: func(v vitrine.Viewport) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.resized(v)
			},
		})
		if r.closed {
			s.Close()
		}
		r.sources[codec] = s
	}
	return s
}
