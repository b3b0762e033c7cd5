package image

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vitrine-dev/vitrine"
)

const (
	watchEvery = time.Second
	// A build that says nothing for fullSilence while less than fullMiB are
	// free has run into the end of the disk: apt takes its partial files away
	// when it fails, so a little is free again by then.
	fullMiB     = 64
	fullSilence = 20 * time.Second
	// silenceLimit is how long mmdebstrap may say nothing at all. apt gives up
	// on a mirror after two minutes a try; unpacking the largest package takes
	// one on a slow disk.
	silenceLimit = 15 * time.Minute
)

// watchdog ends a build that will not end by itself: apt-get has been seen to
// wait for its own helper for ever once the disk was full.
type watchdog struct {
	recipe Recipe
	dir    string
	heard  atomic.Int64 // Unix nanoseconds of the last line
}

// watch gives a context that ends, with the reason as its cause, when ctx does
// or the build is stuck. The caller calls stop.
func (w *watchdog) watch(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w.hear()
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			silent := time.Since(time.Unix(0, w.heard.Load()))
			if silent > fullSilence {
				if free, err := freeMiB(w.dir); err == nil && free < fullMiB {
					cancel(diskFull(w.dir, w.recipe.Name, int64(w.recipe.BuildSpaceMB)))
				}
			}
			if silent > silenceLimit {
				cancel(vitrine.Errorf(vitrine.ClassTimeout, "image_build_stalled", "the build of image %s has said nothing for %s", w.recipe.Name, silenceLimit).
					WithRemedy("check that `apt-get update` works on this host, then build again"))
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// hear notes a sign of life.
func (w *watchdog) hear() { w.heard.Store(time.Now().UnixNano()) }
