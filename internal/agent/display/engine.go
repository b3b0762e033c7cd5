package display

import (
	"fmt"
	"image"
	"log/slog"
	"sync"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/randr"
	"github.com/jezek/xgb/xproto"
)

// maxStreams bounds the video streams of one desktop. The node opens one for
// each codec in use; more would only be more encoders for the same pictures.
const maxStreams = 8

// engine owns the capture and drives the streams' encoders. run's goroutine
// does all the work; the others leave word under mu and wake it.
type engine struct {
	x    *xserver
	log  *slog.Logger
	wake chan struct{}
	stop chan struct{}

	mu      sync.Mutex
	joined  []*video    // since the last look
	dirty   []rectangle // since the last look, from X
	resized bool

	// run's own.
	screen  *screen
	streams map[*video]struct{}
	stale   *blocks   // of the screen, not fetched yet
	changed time.Time // when stale's first block was, zero when none
	nextTry time.Time // not before this, after the screen could not be opened

	onResize func(w, h int) // called from run with the new size
}

type rectangle = xproto.Rectangle

// maxDirty bounds the list of rectangles between two looks; past it, all of
// the screen counts as changed.
const maxDirty = 4096

func newEngine(x *xserver, log *slog.Logger, onResize func(w, h int)) (*engine, error) {
	e := &engine{
		x: x, log: log, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		streams: map[*video]struct{}{}, onResize: onResize,
	}
	err := randr.SelectInputChecked(x.conn, x.root, randr.NotifyMaskScreenChange).Check()
	if err != nil {
		return nil, fmt.Errorf("watch the screen's size: %w", err)
	}
	return e, nil
}

// poke makes run look.
func (e *engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// event takes an event of the engine's connection.
func (e *engine) event(ev xgb.Event) {
	e.mu.Lock()
	switch ev := ev.(type) {
	case damage.NotifyEvent:
		if len(e.dirty) < maxDirty {
			e.dirty = append(e.dirty, ev.Area)
		}
	case randr.ScreenChangeNotifyEvent:
		e.resized = true
	default:
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.poke()
}

// add gives the engine a stream; it leaves by its own end.
func (e *engine) add(v *video) {
	e.mu.Lock()
	e.joined = append(e.joined, v)
	e.mu.Unlock()
	e.poke()
}

// run works until close.
func (e *engine) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		e.look(now)
		next := e.work(now)
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), 0))
		}
		select {
		case <-e.wake:
		case <-timer.C:
		case <-e.stop:
			for v := range e.streams {
				v.end()
			}
			e.closeScreen()
			return
		}
	}
}

// look takes in what the other goroutines left.
func (e *engine) look(now time.Time) {
	e.mu.Lock()
	joined, dirty, resized := e.joined, e.dirty, e.resized
	e.joined, e.dirty, e.resized = nil, nil, false
	e.mu.Unlock()
	for _, v := range joined {
		if len(e.streams) >= maxStreams {
			e.log.Warn("too many video streams", "most", maxStreams)
			v.end()
			continue
		}
		e.streams[v] = struct{}{}
	}
	for v := range e.streams {
		if v.ended() {
			v.close(e.log)
			delete(e.streams, v)
		}
	}
	if resized {
		if w, h, err := e.x.size(); err == nil {
			e.onResize(w, h)
			if e.screen != nil && (e.screen.width != w&^1 || e.screen.height != h&^1) {
				e.closeScreen()
			}
		}
	}
	if e.screen == nil || len(dirty) == 0 {
		return
	}
	if len(dirty) >= maxDirty {
		e.stale.fill()
	}
	for _, r := range dirty {
		e.stale.mark(image.Rect(int(r.X), int(r.Y), int(r.X)+int(r.Width), int(r.Y)+int(r.Height)))
	}
	if e.changed.IsZero() && e.stale.count > 0 {
		e.changed = now
	}
}

// closeScreen gives the capture up: nobody watches, or the size changed.
func (e *engine) closeScreen() {
	if e.screen == nil {
		return
	}
	e.screen.close()
	e.screen, e.stale, e.changed = nil, nil, time.Time{}
}

// ensureScreen opens the capture and marks all of it as unknown.
func (e *engine) ensureScreen(now time.Time) bool {
	if e.screen != nil {
		return true
	}
	if now.Before(e.nextTry) {
		return false
	}
	s, err := openScreen(e.x)
	if err != nil {
		// Between two sizes this can fail once; the next change of size comes.
		e.log.Warn("the screen cannot be captured", "err", err)
		e.nextTry = now.Add(100 * time.Millisecond)
		return false
	}
	e.screen, e.stale = s, newBlocks(s.width, s.height)
	e.stale.fill()
	e.changed = now
	return true
}

// work sends what is due and returns when to look again, zero for never.
func (e *engine) work(now time.Time) time.Time {
	if len(e.streams) == 0 {
		e.closeScreen()
		return time.Time{}
	}
	if !e.ensureScreen(now) {
		return e.nextTry
	}
	var due []*video
	var next time.Time
	for v := range e.streams {
		if v.busy() {
			continue // its writer wakes us
		}
		_, at := v.due(e.screen, e.changed)
		if !at.After(now) {
			due = append(due, v)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(due) == 0 {
		return next
	}
	started := time.Now()
	if e.stale.count > 0 {
		if err := e.screen.grab(e.stale.rects(e.screen.bounds())); err != nil {
			e.log.Debug("grab", "err", err)
			e.closeScreen() // most likely the size has changed under us
			e.nextTry = now.Add(interval)
			return e.nextTry
		}
		for v := range e.streams {
			v.note(e.screen, e.stale, e.changed)
		}
		e.stale.clear()
		e.changed = time.Time{}
	}
	took := time.Since(started)
	pts := time.Duration(monotonic())
	if len(due) == 1 {
		due[0].encode(e.screen, now, pts, took, e.log)
		return now
	}
	var all sync.WaitGroup
	for _, v := range due { // they only read the picture
		all.Go(func() { v.encode(e.screen, now, pts, took, e.log) })
	}
	all.Wait()
	return now
}
