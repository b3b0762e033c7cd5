package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/store"
)

func session(at time.Time) vitrine.CreateSession {
	return vitrine.CreateSession{Session: vitrine.Session{
		ID: vitrine.NewID(vitrine.PrefixSession, at), MachineID: vitrine.NewID(vitrine.PrefixMachine, at), CreatedAt: at,
		Kind: vitrine.KindDesktop, UserID: "ada", MemoryMB: 1, State: vitrine.StatePending, Desired: vitrine.DesiredRunning,
	}}
}

// code gives the code that a person would be told.
func code(err error) string {
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Remedy == "" || e.Message == "" {
		return fmt.Sprintf("no clear error: %v", err)
	}
	return e.Code
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	write := func(data string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name, path, want string
		prepare          func(t *testing.T, path string)
	}{
		{"the data directory is not there", "none/vitrine.db", "database_unreadable", nil},
		{"the database is a directory", "vitrine.db", "database_unreadable", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"the file is something else", "vitrine.db", "database_corrupt", write(strings.Repeat("dear diary\n", 1000))},
		{"the file was overwritten in the middle", "vitrine.db", "database_corrupt", func(t *testing.T, path string) {
			s, err := store.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				if _, _, err := s.CreateSession(t.Context(), session(time.UnixMilli(int64(i)))); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			for page := int64(1); page < 60; page++ {
				if _, err := f.WriteAt([]byte(strings.Repeat("garbage", 100)), page*4096); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"the database is of a newer Vitrine", "vitrine.db", "database_newer", func(t *testing.T, path string) {
			s, err := store.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			alter(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.path)
			if c.prepare != nil {
				c.prepare(t, path)
			}
			s, err := store.Open(t.Context(), path)
			if err == nil {
				_ = s.Close()
				t.Fatal("it opened")
			}
			if got := code(err); got != c.want {
				t.Errorf("code %s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func alter(t *testing.T, path, q string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(q); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherProcessHoldsTheLock(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for SQLite's busy timeout, 5 s")
	}
	path := filepath.Join(t.TempDir(), "vitrine.db")
	open(t, path)
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := store.Open(t.Context(), path); code(err) != "database_locked" {
		t.Errorf("error %v, want database_locked", err)
	}
}

func TestDatabaseURLIsWrong(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                           "invalid_database_url",
		"mysql://ada:hunter2@h/db":   "invalid_database_url",
		"postgres://ada:hunter2@h:x": "invalid_database_url",
		"postgres://ada:hunter2@/db?host=/nonexistent&connect_timeout=2": "database_unreachable",
	} {
		_, err := store.Open(t.Context(), dsn)
		if got := code(err); got != want {
			t.Errorf("%q: code %s, want %s", dsn, got, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the password: %v", dsn, err)
		}
	}
}

func TestOddPathIsOneFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20é")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "v&x=1.db")
	open(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 && !exists(path+"-wal") {
		t.Fatalf("the database is not where it was told to be: %v", err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s, want 0600", info.Mode())
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// A copy of the directory at one moment, in the midst of a transaction, is what
// a power cut leaves: it opens, is sound, and holds all that was committed.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "vitrine.db"))
	for i := range 60 {
		one, _, err := s.CreateSession(t.Context(), session(time.UnixMilli(int64(i))))
		if err != nil {
			t.Fatal(err)
		}
		if i%20 != 19 {
			continue
		}
		copied := filepath.Join(t.TempDir(), "vitrine.db")
		_, err = s.UpdateSession(t.Context(), one.ID, one.CreatedAt, func(x *vitrine.Session) error {
			x.State = vitrine.StateStarting
			// Nobody else can write or checkpoint now, so the copy is of one moment.
			copyFile(t, filepath.Join(dir, "vitrine.db"), copied)
			copyFile(t, filepath.Join(dir, "vitrine.db-wal"), copied+"-wal")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := open(t, copied).Unsettled(t.Context())
		if err != nil || len(list) != i+1 || list[i].State != vitrine.StatePending {
			t.Errorf("after the power cut: %d sessions, %v; want %d, the last pending", len(list), err, i+1)
		}
	}
}

// A process that is killed while it writes: whatever it had been told was done
// is there when the next one opens the file.
func TestKilledWhileWriting(t *testing.T) {
	if path := os.Getenv("STORE_TEST_WRITE"); path != "" {
		writeUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "vitrine.db")
	for round := range 4 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
		child.Env = append(os.Environ(), "STORE_TEST_WRITE="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var told []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if told = append(told, lines.Text()); len(told) == 10+round*7 {
				_ = child.Process.Kill()
			}
		}
		_ = child.Wait()
		s := open(t, path)
		for _, id := range told {
			if one, err := s.Session(t.Context(), id); err != nil || !one.Released {
				t.Errorf("round %d: %s was done before the kill: %v, released %v", round, id, err, one.Released)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func writeUntilKilled(t *testing.T, path string) {
	s := open(t, path)
	for i := 0; ; i++ {
		one, _, err := s.CreateSession(t.Context(), session(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.UpdateSession(t.Context(), one.ID, one.CreatedAt, func(x *vitrine.Session) error {
			x.State, x.Released = vitrine.StateFailed, true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		fmt.Println(one.ID)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// Lists must not wait for a writer: the read pool sees the last commit.
func TestListWhileATransactionIsOpen(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "vitrine.db"))
	one, _, err := s.CreateSession(t.Context(), session(time.UnixMilli(1)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateSession(t.Context(), one.ID, time.UnixMilli(2), func(x *vitrine.Session) error {
		x.State = vitrine.StateStarting
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		list, _, err := s.Sessions(ctx, vitrine.SessionFilter{})
		if err != nil || len(list) != 1 || list[0].State != vitrine.StatePending {
			t.Errorf("within a transaction: %v, %v", list, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
