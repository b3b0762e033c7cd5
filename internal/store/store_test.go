package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/store"
	"github.com/vitrine-dev/vitrine/internal/store/storetest"
)

func open(t *testing.T, dsn string) vitrine.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatalf("ping: %v", err)
	}
	return s
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) vitrine.Store {
		return open(t, filepath.Join(t.TempDir(), "vitrine.db"))
	})
}

func TestPostgres(t *testing.T) {
	cluster := storetest.Postgres(t)
	storetest.Run(t, func(t *testing.T) vitrine.Store { return open(t, cluster.DSN(t)) })
}

// Two processes on one PostgreSQL: what one writes wakes the streams of the other.
func TestPostgresWakesOtherProcesses(t *testing.T) {
	dsn := storetest.Postgres(t).DSN(t)
	writer, reader := open(t, dsn), open(t, dsn)
	wake := reader.Changed()
	if _, _, err := writer.CreateSession(t.Context(), session(time.UnixMilli(1))); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-wake: // also the listener's own start
		case <-time.After(10 * time.Second):
			t.Fatal("the other process was not woken within 10 s")
		}
		wake = reader.Changed()
		if n, err := reader.LastEventID(t.Context()); err != nil || n > 0 {
			return
		}
	}
}
