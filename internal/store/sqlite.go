package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/vitrine-dev/vitrine"
)

// busyTimeout is how long SQLite waits for another process that holds the write
// lock (a backup, a stray shell) before a call fails, in milliseconds.
const busyTimeout = 5000

// readers is the size of the read pool: lists and streams read at once without
// waiting for the writer, and a connection costs about 2 MiB of page cache.
const readers = 4

func sqliteDialect() dialect {
	return dialect{
		name:  "sqlite",
		goose: goose.DialectSQLite3,
		// One writer and immediate transactions: nothing can be lost to another.
		repeatable: func(error) bool { return false },
		diskFull:   func(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_FULL },
		locked: func(err error) bool {
			return sqliteCode(err) == sqlite3.SQLITE_BUSY || sqliteCode(err) == sqlite3.SQLITE_LOCKED
		},
	}
}

func openSQLite(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the database file: %w", err)
	}
	// Made by us, for its mode: SQLite gives its side files the same one.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unreadable(err)
	}
	if err := f.Close(); err != nil {
		return nil, unreadable(err)
	}
	pragmas := fmt.Sprintf("_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)", busyTimeout)
	// synchronous(NORMAL) with WAL: a power cut may take the last transactions,
	// never the database; and the machines those told of are gone with the power.
	w, err := sql.Open("sqlite", sqliteURL(abs, "_txlock=immediate&"+pragmas+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=journal_size_limit(16777216)"))
	if err != nil {
		return nil, unreadable(err)
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	s := &Store{w: w, dialect: sqliteDialect(), close: []func() error{w.Close}}
	if err := s.prepareSQLite(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	r, err := sql.Open("sqlite", sqliteURL(abs, pragmas+"&_pragma=query_only(1)"))
	if err != nil {
		_ = s.Close()
		return nil, unreadable(err)
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	s.r = r
	// Readers first: the last connection to close, the writer, empties the WAL.
	s.close = []func() error{r.Close, w.Close}
	return s, nil
}

// prepareSQLite proves that the file is sound and can be written, and migrates.
func (s *Store) prepareSQLite(ctx context.Context) error {
	var sound string
	if err := s.w.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&sound); err != nil {
		return sqliteOpenError(err)
	}
	if sound != "ok" {
		return corrupt(errors.New(sound))
	}
	if err := s.dialect.migrate(ctx, s.w); err != nil {
		return sqliteOpenError(err)
	}
	// An up-to-date schema migrates without a write; this takes the lock and
	// touches a page.
	_, err := s.w.ExecContext(ctx, `BEGIN IMMEDIATE; DELETE FROM logins WHERE expires_at < 0; COMMIT`)
	return sqliteOpenError(err)
}

func sqliteURL(abs, query string) string {
	return (&url.URL{Scheme: "file", Path: abs, OmitHost: true, RawQuery: query}).String()
}

// sqliteCode gives the primary result code (sqlite.org/rescode.html), 0 for
// another kind of error.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// sqliteOpenError turns SQLite's code into what a person has to do.
func sqliteOpenError(err error) error {
	var ours *vitrine.Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	switch sqliteCode(err) {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return corrupt(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return locked(err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH:
		return unreadable(err)
	case sqlite3.SQLITE_FULL:
		return diskFull(err)
	}
	return fmt.Errorf("opening the database: %w", err)
}
