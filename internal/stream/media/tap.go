package media

// queueUnits is how many frames may wait for one viewer: 0.27 s at 60 fps, more
// than a busy host's scheduling costs, less than a person calls a freeze.
const queueUnits = 16

// Writer takes frames for one viewer. It may block; it is called from one
// goroutine.
type Writer interface {
	WriteUnit(*Unit) error
}

// Tap is one viewer of a source.
type Tap struct {
	source *Source
	queue  chan *Unit

	// Under source.mu.
	started bool
	hold    bool // nothing until a keyframe
	lagging bool // it lost frames; a keyframe is asked for when its queue is empty
	gone    bool
	limit   int
}

func newTap(s *Source, w Writer) *Tap {
	t := &Tap{source: s, queue: make(chan *Unit, queueUnits), hold: true}
	s.wg.Add(1)
	go t.write(w)
	return t
}

// Start lets frames through, from the next keyframe on, which it asks for.
func (t *Tap) Start() {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if t.started || t.gone {
		return
	}
	t.started, t.hold = true, true
	t.source.requestKey()
	t.source.retarget()
}

// RequestKeyframe passes on that the viewer cannot decode.
func (t *Tap) RequestKeyframe() {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if t.started && !t.gone {
		t.source.requestKey()
	}
}

// SetLimit says what this viewer's line takes, in bits per second.
func (t *Tap) SetLimit(bps int) {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	t.limit = bps
	t.source.retarget()
}

// Close detaches the viewer. A write in hand may still end after it.
func (t *Tap) Close() { t.source.detach(t) }

// shut ends the tap's goroutine; called with the lock held, or before anybody
// knows the tap.
func (t *Tap) shut() {
	if !t.gone {
		t.gone = true
		close(t.queue)
	}
}

// push queues a unit unless the viewer is held or has not kept up; it says
// false when the viewer loses a frame it was due. Called with the lock held.
func (t *Tap) push(u *Unit) bool {
	if !t.started || (t.hold && !u.Key) {
		return !t.lagging
	}
	select {
	case t.queue <- u:
		t.hold = false
		return true
	default:
		t.hold, t.lagging = true, true
		return false
	}
}

func (t *Tap) write(w Writer) {
	defer t.source.wg.Done()
	broken := false
	for u := range t.queue {
		if !broken && w.WriteUnit(u) != nil {
			broken = true // the viewer's connection says so itself; drain what comes
		}
		if len(t.queue) == 0 {
			t.caughtUp()
		}
	}
}

func (t *Tap) caughtUp() {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if t.lagging && !t.gone {
		t.lagging = false
		if t.hold {
			t.source.requestKey()
		}
	}
}
