package flight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of bundles on disk, in bytes.
const (
	MaxBundle = 4 << 20   // of each
	MaxTotal  = 256 << 20 // of all; the oldest go first
	// MinFree must be free after one was written: a full disk stops sessions, a
	// missing bundle stops nothing.
	MinFree = 64 << 20
)

// Config is what a Recorder is made of. Dir must be set.
type Config struct {
	Dir    string // its own; made with mode 0700
	Daemon Daemon
	// Secrets gives the known secrets that a session's machine or the daemon's
	// logs might quote.
	Secrets  func(s vitrine.Session) []string
	MaxTotal int64 // 0: MaxTotal
	MinFree  int64 // 0: MinFree; negative: none
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Recorder is the vitrine.FlightRecorder of one data directory.
type Recorder struct {
	cfg   Config
	turn  chan struct{} // one writes at a time: the others' CPU is for desktops
	mu    sync.Mutex
	index map[string]vitrine.Bundle // by session id
}

var _ vitrine.FlightRecorder = (*Recorder)(nil)

const (
	suffix  = ".tar.gz"
	partial = ".partial-" // begins the name of one that is being written
)

// New opens the directory: it finds what bundles there are, and removes what a
// crash has left of one.
func New(cfg Config) (*Recorder, error) {
	if cfg.MaxTotal == 0 {
		cfg.MaxTotal = MaxTotal
	}
	if cfg.MinFree == 0 {
		cfg.MinFree = MinFree
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Secrets == nil {
		cfg.Secrets = func(vitrine.Session) []string { return nil }
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the bundles: %w", err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("looking for bundles: %w", err)
	}
	r := &Recorder{cfg: cfg, turn: make(chan struct{}, 1), index: map[string]vitrine.Bundle{}}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) {
			os.Remove(filepath.Join(cfg.Dir, e.Name()))
			continue
		}
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if info, err := e.Info(); ok && err == nil && info.Mode().IsRegular() && vitrine.ValidID(vitrine.PrefixSession, id) {
			r.index[id] = vitrine.Bundle{SizeBytes: info.Size(), CreatedAt: info.ModTime()}
		}
	}
	return r, nil
}

func (r *Recorder) path(id string) string { return filepath.Join(r.cfg.Dir, id+suffix) }

// Bundle implements vitrine.FlightBundles.
func (r *Recorder) Bundle(id string) (vitrine.Bundle, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.index[id]
	return b, ok
}

// OpenBundle implements vitrine.FlightBundles. One that somebody removed is
// forgotten.
func (r *Recorder) OpenBundle(id string) (io.ReadSeekCloser, vitrine.Bundle, error) {
	b, ok := r.Bundle(id)
	none := vitrine.Errorf(vitrine.ClassNotFound, "no_bundle", "there is no bundle of session %s", id).
		WithRemedy("only sessions that failed have one, for as long as VITRINE_KEEP_ENDED_HOURS says; the console is at `vitrine session logs %s`", id)
	if !ok {
		return nil, b, none
	}
	f, err := os.Open(r.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		r.forget(id)
		return nil, b, none
	}
	if err != nil {
		return nil, b, fmt.Errorf("opening the bundle of %s: %w", id, err)
	}
	if info, err := f.Stat(); err == nil {
		b.SizeBytes = info.Size()
	}
	return f, b, nil
}

func (r *Recorder) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.index, id)
}

// Record implements vitrine.FlightRecorder.
func (r *Recorder) Record(ctx context.Context, rec vitrine.FlightRecord) error {
	id := rec.Session.ID
	if !vitrine.ValidID(vitrine.PrefixSession, id) {
		return fmt.Errorf("keeping a bundle: %.40q is not a session's id", id)
	}
	now := r.cfg.Now()
	host := lookAtHost("/proc", r.cfg.Dir, now) // before the wait: of the failure's moment
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return fmt.Errorf("keeping the bundle of %s: %w", id, ctx.Err())
	}
	if _, there := r.Bundle(id); there {
		return nil
	}
	b, err := r.make(rec, host, now)
	if err == nil {
		err = r.keep(id, b, now)
	}
	if err != nil {
		return fmt.Errorf("keeping the bundle of %s: %w", id, err)
	}
	r.cfg.Log.Info("kept a bundle of the failed session", "session", id, "machine", rec.Session.MachineID, "bytes", len(b), "took", r.cfg.Now().Sub(now))
	return nil
}

// make composes and packs, within MaxBundle: without the screenshot if need be.
func (r *Recorder) make(rec vitrine.FlightRecord, host hostFigures, now time.Time) ([]byte, error) {
	hide := redactor(r.cfg.Secrets(rec.Session))
	dir := "vitrine-" + rec.Session.ID
	b, err := pack(dir, compose(rec, host, r.cfg.Daemon, hide), now)
	if err == nil && len(b) > MaxBundle && rec.Screenshot != nil {
		rec.Missing = append(rec.Missing, fmt.Sprintf("screenshot: with it the bundle would have had %d bytes", len(b)))
		rec.Screenshot = nil
		b, err = pack(dir, compose(rec, host, r.cfg.Daemon, hide), now)
	}
	if err == nil && len(b) > MaxBundle {
		err = fmt.Errorf("it would have %d bytes", len(b))
	}
	return b, err
}

// keep makes room and writes the file, whole or not at all.
func (r *Recorder) keep(id string, b []byte, now time.Time) error {
	if disk, err := lookAtDisk(r.cfg.Dir); err == nil && r.cfg.MinFree > 0 && disk.FreeBytes < uint64(len(b))+uint64(r.cfg.MinFree) {
		return fmt.Errorf("the disk has %d MiB free, and %d must stay", disk.FreeBytes>>20, r.cfg.MinFree>>20)
	}
	r.makeRoom(int64(len(b)))
	f, err := os.CreateTemp(r.cfg.Dir, partial) // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync() // a power cut must not leave an empty one under a good name
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Chtimes(f.Name(), now, now)
	}
	if err == nil {
		err = os.Rename(f.Name(), r.path(id))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index[id] = vitrine.Bundle{SizeBytes: int64(len(b)), CreatedAt: now}
	return nil
}
