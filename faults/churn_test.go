package faults

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// TestAThousandSessions makes and ends sessions one after the other and wants
// the daemon to hold no more at the end than it did when it was warm.
func TestAThousandSessions(t *testing.T) {
	rounds, warm := 25, 10
	if full {
		rounds, warm = 1000, 200
	}
	var skipped row
	needs(t, container, &skipped)
	w := newWorld(t, container)
	w.start()
	w.probed()
	var before figures
	began := time.Now()
	for n := range rounds {
		if n == warm {
			before = w.figures()
		}
		s := w.create(tiny(0))
		if _, err := w.api.DeleteSession(t.Context(), s.ID, true); err != nil {
			t.Fatalf("ending session %d: %v", n, err)
		}
	}
	took := time.Since(began)
	w.http.CloseIdleConnections()
	after := w.figures()
	fmt.Printf("churn: %d sessions made and ended in %s; after %d of them and at the end: memory %.1f and %.1f MB, descriptors %.0f and %.0f, goroutines %.0f and %.0f\n",
		rounds, took.Round(time.Second), warm, before.memory/1e6, after.memory/1e6, before.files, after.files, before.goroutines, after.goroutines)
	// Ended sessions stay in the store, and the kernel of SQLite's cache is bounded:
	// what grows with each session would show as megabytes.
	if after.memory > before.memory*1.2+8e6 {
		t.Errorf("memory grew from %.1f to %.1f MB", before.memory/1e6, after.memory/1e6)
	}
	if after.files > before.files+8 {
		t.Errorf("descriptors grew from %.0f to %.0f", before.files, after.files)
	}
	if after.goroutines > before.goroutines+10 {
		t.Errorf("goroutines grew from %.0f to %.0f", before.goroutines, after.goroutines)
	}
	if err := w.audit(); err != nil {
		t.Error(err)
	}
	w.stop()
	if left := w.left(); len(left) > 0 {
		t.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
}

// figures are what a daemon holds.
type figures struct{ memory, files, goroutines float64 }

// figures reads them from /metrics, when what the last session began has ended.
func (w *world) figures() (f figures) {
	w.t.Helper()
	time.Sleep(time.Second) // connections and timers of the last call
	text, err := w.api.Metrics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		name, value, _ := strings.Cut(sc.Text(), " ")
		to := map[string]*float64{"process_resident_memory_bytes": &f.memory, "process_open_fds": &f.files, "go_goroutines": &f.goroutines}[name]
		if to != nil {
			*to, _ = strconv.ParseFloat(value, 64)
		}
	}
	if f.memory == 0 || f.files == 0 || f.goroutines == 0 {
		w.t.Fatalf("/metrics lacks one of them: %+v", f)
	}
	return f
}

// TestAPowerCutWhileTheDatabaseIsWritten copies the database's files in the
// midst of writes, while the daemon stands still, and tears the last write of
// every second copy. Each copy must open, be whole, and be a database that a
// daemon starts on.
func TestAPowerCutWhileTheDatabaseIsWritten(t *testing.T) {
	copies := 5
	if full {
		copies = 50
	}
	var skipped row
	needs(t, container, &skipped)
	w := newWorld(t, container)
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	s := w.create(tiny(0))
	for range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				note := map[string]string{"n": strconv.Itoa(n), "filler": strings.Repeat("x", rand.IntN(1000))}
				_, _ = w.api.UpdateSession(ctx, s.ID, client.UpdateSession{Metadata: &note})
			}
		})
	}
	var last string
	for n := range copies {
		last = filepath.Join(w.dir, fmt.Sprintf("cut%d", n))
		if err := os.Mkdir(last, 0o700); err != nil {
			t.Fatal(err)
		}
		w.cutPower(last, n%2 == 1)
		db := openDatabase(w, filepath.Join(last, "vitrine.db"))
		var word string
		var sessions int
		err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&word)
		if err != nil || word != "ok" {
			t.Errorf("copy %d: %q, %v", n, word, err)
		}
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sessions").Scan(&sessions); err != nil || sessions != 1 {
			t.Errorf("copy %d has %d sessions, %v", n, sessions, err)
		}
		_ = db.Close()
	}
	cancel()
	writers.Wait()
	// The host comes back with the last copy: its session is still there to this
	// daemon, whose boot is the same.
	w.kill()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(w.data(), "vitrine.db"+suffix))
		if err := os.Rename(filepath.Join(last, "vitrine.db"+suffix), filepath.Join(w.data(), "vitrine.db"+suffix)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	w.start()
	if now, err := w.api.Session(t.Context(), s.ID); err != nil || now.State != vitrine.StateReady {
		t.Errorf("the session after the power cut: %+v, %v", now, err)
	}
	w.works(tiny(0))
	w.endAll()
	if err := w.audit(); err != nil {
		t.Error(err)
	}
}

// cutPower copies the database as it lies there at one moment. torn takes some
// of the log's last page away.
func (w *world) cutPower(to string, torn bool) {
	w.t.Helper()
	if err := w.daemon.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = w.daemon.cmd.Process.Signal(syscall.SIGCONT) }()
	within(w.t, time.Second, "the daemon stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.daemon.cmd.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
	for _, name := range []string{"vitrine.db", "vitrine.db-wal"} {
		b, err := os.ReadFile(filepath.Join(w.data(), name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if torn && name == "vitrine.db-wal" && len(b) > 4096 {
			b = b[:len(b)-1-rand.IntN(4095)]
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestTheClockJumps moves the host's clock by an hour either way, as seen by the
// daemon: what is stored is moved the other way while no daemon runs, since the
// host's clock is not a test's to set. Sessions live on, those whose time is over
// end with that as the reason, and new ones start.
func TestTheClockJumps(t *testing.T) {
	var skipped row
	needs(t, container, &skipped)
	const half = int64(30 * 60)
	for _, c := range []struct {
		name  string
		shift time.Duration // of what is stored
		want  vitrine.State // of the session that may live for half an hour
	}{
		{"back by an hour", time.Hour, vitrine.StateReady},
		{"forward by an hour", -time.Hour, vitrine.StateEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, container)
			w.start()
			endless := w.create(tiny(0))
			in, limit := tiny(0), half
			in.TimeoutSeconds = &limit
			limited := w.create(in)
			machine := w.theMachine(endless.ID)
			pid := w.outermost(machine)
			w.stop()
			w.store(fmt.Sprintf("UPDATE sessions SET created_at = created_at + %[1]d, ready_at = ready_at + %[1]d, updated_at = updated_at + %[1]d", c.shift.Milliseconds()))
			w.start()
			within(t, 20*time.Second, "the session of half an hour is "+string(c.want), func() bool {
				s, err := w.api.Session(t.Context(), limited.ID)
				return err == nil && s.State == c.want && (c.want == vitrine.StateReady || s.EndedReason != nil && *s.EndedReason == vitrine.EndedExpired)
			})
			if w.outermost(machine) != pid {
				t.Error("the session without a limit lives in another process")
			}
			w.works(tiny(0))
			if s, err := w.api.Session(t.Context(), endless.ID); err != nil || s.State != vitrine.StateReady {
				t.Errorf("the session without a limit: %+v, %v", s, err)
			}
			w.endAll()
			if err := w.audit(); err != nil {
				t.Error(err)
			}
		})
	}
}
