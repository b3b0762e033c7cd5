package stream

import (
	"sync"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// The kinds of sockets.
const (
	kindSignal = "signal"
	kindVNC    = "vnc"
	kindCDP    = "cdp"
)

// live is one open socket.
type live struct {
	kind   string
	viewer vitrine.Viewer
	shut   func(code websocket.StatusCode, why string) // must not block
}

// registry is every open socket: so that a ticket or a session can be closed.
type registry struct {
	mu   sync.Mutex
	open map[*live]struct{}
	wg   sync.WaitGroup
}

func (r *registry) add(l *live) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[*live]struct{}{}
	}
	r.open[l] = struct{}{}
	r.wg.Add(1)
	return func() {
		r.mu.Lock()
		delete(r.open, l)
		r.mu.Unlock()
		r.wg.Done()
	}
}

func (r *registry) shut(which func(*live) bool, code websocket.StatusCode, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.open {
		if which(l) {
			l.shut(code, why)
		}
	}
}

func (r *registry) count() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := map[string]int{kindSignal: 0, kindVNC: 0, kindCDP: 0}
	for l := range r.open {
		n[l.kind]++
	}
	return n
}

func (r *registry) wait() { r.wg.Wait() }
