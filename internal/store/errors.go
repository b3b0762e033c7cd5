package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vitrine-dev/vitrine"
)

func unreadable(err error) error {
	return vitrine.Errorf(vitrine.ClassUnavailable, "database_unreadable", "the database file cannot be opened, read or written").
		WithRemedy("look at owner and mode of the data directory and its files (VITRINE_DATA_DIR, VITRINE_DATABASE_URL) and at the disk's free space").
		WithCause(err)
}

func corrupt(err error) error {
	return vitrine.Errorf(vitrine.ClassUnavailable, "database_corrupt", "the database file is damaged, or is not a SQLite database").
		WithRemedy("keep a copy of it; then restore your last backup, or save what can be saved with `sqlite3 FILE .recover | sqlite3 NEW`, or move it away to start with an empty one").
		WithCause(err)
}

func locked(err error) error {
	return vitrine.Errorf(vitrine.ClassUnavailable, "database_locked", "another process has held the database's lock for %d s", busyTimeout/1000).
		WithRemedy("end the other vitrine, backup or sqlite3 shell that has the file open").WithCause(err)
}

func diskFull(err error) error {
	return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "the disk of the database is full").AsError().WithCause(err)
}

// unreachable is for a connection that was cut: PostgreSQL restarts, or the
// network is gone. The pool makes another at the next call.
func unreachable(err error) error {
	e := vitrine.Errorf(vitrine.ClassUnavailable, "database_unreachable", "the connection to the database was lost").
		WithRemedy("try again; if it stays, look whether PostgreSQL runs and takes connections (VITRINE_DATABASE_URL)").WithCause(err)
	e.Retryable, e.RetryAfter = true, time.Second
	return e
}

// lost says whether an error is one of the connection and not of the statement:
// SQLSTATE classes 08 (connection exception) and 57P (operator intervention).
func lost(err error) bool {
	var network *net.OpError
	var refused *pgconn.ConnectError
	code := postgresCode(err)
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) || errors.As(err, &refused) ||
		strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P")
}

// told wraps an error of the database with what was being done, and gives the
// ones a person can cure their own name.
func (s *Store) told(doing string, err error) error {
	var ours *vitrine.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case s.dialect.diskFull(err):
		err = diskFull(err)
	case s.dialect.locked(err):
		err = locked(err)
	case lost(err):
		err = unreachable(err)
	case errors.Is(err, sql.ErrConnDone):
		err = vitrine.Errorf(vitrine.ClassUnavailable, "database_closed", "the database is closed").WithCause(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
