package flight

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func record(t *testing.T, r *Recorder) string {
	t.Helper()
	rec := failed(t)
	if err := r.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return rec.Session.ID
}

func there(r *Recorder, id string) bool {
	_, indexed := r.Bundle(id)
	f, _, err := r.OpenBundle(id)
	if err == nil {
		f.Close()
	}
	return indexed && err == nil
}

func listed(t *testing.T, r *Recorder) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestANewDaemonFindsTheBundlesAndNoHalfOnes(t *testing.T) {
	r := recorder(t)
	id := record(t, r)
	half := filepath.Join(r.cfg.Dir, partial+"123")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.cfg.Dir, "notes.tar.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := New(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !there(again, id) {
		t.Error("the bundle is not found")
	}
	if got := strings.Join(listed(t, again), " "); got != "notes.tar.gz "+id+suffix {
		t.Errorf("in the directory: %s", got)
	}
	before, _ := r.Bundle(id)
	after, _ := again.Bundle(id)
	if before.SizeBytes != after.SizeBytes || !before.CreatedAt.Truncate(time.Microsecond).Equal(after.CreatedAt.Truncate(time.Microsecond)) {
		t.Errorf("%+v became %+v", before, after)
	}
}

// The daemon that saw the failure knew most: what a later one knows does not
// take its place.
func TestTheFirstRecordStays(t *testing.T) {
	r, rec := recorder(t), failed(t)
	if err := r.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if err := r.Record(t.Context(), vitrine.FlightRecord{Session: rec.Session}); err != nil {
		t.Fatal(err)
	}
	if kept(t, r, rec.Session.ID)["console.log"] == nil {
		t.Error("the second record took the first's place")
	}
}

func TestTheOldestGoFirst(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	one := recorder(t)
	b, _ := one.Bundle(record(t, one))
	r := recorder(t, func(c *Config) {
		c.MaxTotal = 3*b.SizeBytes + b.SizeBytes/2
		c.Now = func() time.Time { now = now.Add(time.Minute); return now }
	})
	var ids []string
	for range 5 {
		ids = append(ids, record(t, r))
	}
	for i, id := range ids {
		if there(r, id) != (i >= 2) {
			t.Errorf("bundle %d of 5 is there: %v", i+1, there(r, id))
		}
	}
	if n := len(listed(t, r)); n != 3 {
		t.Errorf("%d files", n)
	}
}

func TestBundlesExpireAndGoWithTheirSessions(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	r := recorder(t, func(c *Config) { c.Now = func() time.Time { return now } })
	old := record(t, r)
	now = now.Add(time.Hour)
	orphan, young := record(t, r), record(t, r)
	r.Expire(t.Context(), now.Add(-time.Minute), func(_ context.Context, id string) bool { return id != orphan })
	if there(r, old) || there(r, orphan) || !there(r, young) {
		t.Errorf("old %v, of no session %v, young %v", there(r, old), there(r, orphan), there(r, young))
	}
}

func TestABundleThatSomebodyRemovedIsNotThere(t *testing.T) {
	r := recorder(t)
	id := record(t, r)
	os.Remove(r.path(id))
	if _, _, err := r.OpenBundle(id); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		t.Errorf("%v; want not found", err)
	}
	if _, ok := r.Bundle(id); ok {
		t.Error("it is still said to be there")
	}
}

func TestAnIDIsNotAPath(t *testing.T) {
	r, rec := recorder(t), failed(t)
	rec.Session.ID = "../../etc/passwd"
	if err := r.Record(t.Context(), rec); err == nil {
		t.Error("it was taken")
	}
	if _, _, err := r.OpenBundle("../../etc/passwd"); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		t.Errorf("%v; want not found", err)
	}
}

func TestManyFailAtOnce(t *testing.T) {
	r := recorder(t)
	var all sync.WaitGroup
	for range 20 {
		rec := failed(t)
		all.Go(func() {
			if err := r.Record(t.Context(), rec); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(listed(t, r)); n != 20 {
		t.Errorf("%d bundles of 20", n)
	}
}

// On a real file system that is full: an error, the bundles of before, and no
// half file.
func TestTheDiskIsFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small file system can only be mounted by root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("vitrine-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	r := recorder(t, func(c *Config) { c.Dir = filepath.Join(dir, "bundles") })
	first := record(t, r)
	rec := failed(t)
	rec.Screenshot = picture(t, 400, "") // 600 KiB
	if err := r.Record(t.Context(), rec); err == nil {
		t.Fatal("it was kept on a disk that cannot hold it")
	}
	if !there(r, first) || len(listed(t, r)) != 1 {
		t.Errorf("left: %v", listed(t, r))
	}
	// And long before it is full.
	r.cfg.MinFree = 128 << 10
	if err := r.Record(t.Context(), failed(t)); err != nil {
		t.Fatal(err)
	}
	r.cfg.MinFree = 1 << 20
	if err := r.Record(t.Context(), failed(t)); err == nil || !strings.Contains(err.Error(), "must stay") {
		t.Errorf("%v; want the watermark", err)
	}
}
