package httpapi

import (
	"context"
	"sync"

	"github.com/vitrine-dev/vitrine"
)

// liveSet knows every open stream and socket by its caller, so that deleting a
// key, revoking a ticket or logging out ends what came in by it.
type liveSet struct {
	mu     sync.Mutex
	closed bool
	open   map[string]map[*context.CancelCauseFunc]struct{}
}

// maxLive is how many streams and sockets one caller may hold open: a dashboard
// has two or three a tab, a program that serves viewers some hundreds.
const maxLive = 512

func newLiveSet() *liveSet {
	return &liveSet{open: map[string]map[*context.CancelCauseFunc]struct{}{}}
}

// join gives a context that ends when the caller is put out, with the reason as
// its cause; leave must be called at the end.
func (l *liveSet) join(ctx context.Context, caller string) (_ context.Context, leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, errDraining()
	}
	if len(l.open[caller]) >= maxLive {
		return nil, nil, vitrine.Errorf(vitrine.ClassRateLimited, "too_many_streams", "this caller has %d streams open", maxLive).
			WithRemedy("close some of them")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if l.open[caller] == nil {
		l.open[caller] = map[*context.CancelCauseFunc]struct{}{}
	}
	l.open[caller][&cancel] = struct{}{}
	return ctx, func() {
		cancel(nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open[caller], &cancel)
		if len(l.open[caller]) == 0 {
			delete(l.open, caller)
		}
	}, nil
}

// putOut ends every stream and socket of a caller.
func (l *liveSet) putOut(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for cancel := range l.open[caller] {
		(*cancel)(errPutOut)
	}
}

func (l *liveSet) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, set := range l.open {
		for cancel := range set {
			(*cancel)(errDraining())
		}
	}
}
