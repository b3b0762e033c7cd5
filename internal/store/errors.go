package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
	case errors.Is(err, sql.ErrConnDone):
		err = vitrine.Errorf(vitrine.ClassUnavailable, "database_closed", "the database is closed").WithCause(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
