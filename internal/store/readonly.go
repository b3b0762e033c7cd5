package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/vitrine-dev/vitrine"
)

// OpenReadOnly opens a database to look at, whether or not a daemon works over
// it: it makes no file, migrates nothing, and every write fails. A SQLite file
// that is not there is ClassNotFound.
func OpenReadOnly(ctx context.Context, dsn string) (*Store, error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	if isURL && (scheme == "postgres" || scheme == "postgresql") {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, vitrine.Errorf(vitrine.ClassInvalid, "invalid_database_url", "VITRINE_DATABASE_URL cannot be read").WithCause(err)
		}
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
		db := stdlib.OpenDB(*cfg)
		db.SetMaxOpenConns(2)
		return looked(ctx, &Store{w: db, r: db, dialect: postgresDialect(), close: []func() error{db.Close}})
	}
	abs, err := filepath.Abs(dsn)
	if err != nil {
		return nil, fmt.Errorf("finding the database file: %w", err)
	}
	if _, err := os.Stat(abs); os.IsNotExist(err) {
		return nil, vitrine.Errorf(vitrine.ClassNotFound, "database_missing", "there is no database at %s", abs).
			WithRemedy("set VITRINE_DATA_DIR or VITRINE_DATABASE_URL to that of the daemon in question")
	}
	query := fmt.Sprintf("mode=ro&_pragma=busy_timeout(%d)&_pragma=query_only(1)", busyTimeout)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, OmitHost: true, RawQuery: query}).String())
	if err != nil {
		return nil, unreadable(err)
	}
	db.SetMaxOpenConns(2)
	return looked(ctx, &Store{w: db, r: db, dialect: sqliteDialect(), close: []func() error{db.Close}})
}

// looked proves that our tables are there.
func looked(ctx context.Context, s *Store) (*Store, error) {
	if err := s.Ping(ctx); err != nil {
		_ = s.Close()
		return nil, sqliteOpenError(err)
	}
	return s, nil
}
