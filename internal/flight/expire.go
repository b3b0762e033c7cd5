package flight

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Expire implements vitrine.FlightRecorder.
func (r *Recorder) Expire(ctx context.Context, before time.Time, known func(ctx context.Context, sessionID string) bool) {
	r.mu.Lock()
	all := maps.Clone(r.index)
	r.mu.Unlock()
	removed := 0
	for id, b := range all {
		if ctx.Err() != nil {
			return
		}
		if (b.CreatedAt.Before(before) || !known(ctx, id)) && r.remove(id) {
			removed++
		}
	}
	if removed > 0 {
		r.cfg.Log.Info("old bundles removed", "count", removed)
	}
}

// makeRoom removes the oldest until there is room for one of n bytes.
func (r *Recorder) makeRoom(n int64) {
	r.mu.Lock()
	all := maps.Clone(r.index)
	r.mu.Unlock()
	total := n
	for _, b := range all {
		total += b.SizeBytes
	}
	oldest := slices.SortedFunc(maps.Keys(all), func(x, y string) int { return compareAge(all, x, y) })
	for _, id := range oldest {
		if total <= r.cfg.MaxTotal {
			return
		}
		if r.remove(id) {
			total -= all[id].SizeBytes
		}
	}
}

func compareAge(all map[string]vitrine.Bundle, x, y string) int {
	return all[x].CreatedAt.Compare(all[y].CreatedAt)
}

// remove removes one. Whoever reads it reads on: the file goes with its last
// reader.
func (r *Recorder) remove(id string) bool {
	if err := os.Remove(r.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Log.Warn("a bundle could not be removed", "session", id, "error", err)
		return false
	}
	r.forget(id)
	return true
}
