package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/vitrine-dev/vitrine"
)

// Keys of our advisory locks ("vt" and a number): any process on the same
// database must use the same.
const (
	lockAdmission = 0x7674_0001
	lockEvents    = 0x7674_0002
)

// channel is the NOTIFY channel of new events.
const channel = "vitrine_events"

// conns bounds the connections to PostgreSQL; its own default is 100 for all.
const conns = 16

func postgresDialect() dialect {
	return dialect{
		name:       "postgres",
		goose:      goose.DialectPostgres,
		numbered:   true,
		forUpdate:  " FOR UPDATE",
		admission:  fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, lockAdmission),
		beforeLog:  fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d), pg_notify('%s', '')`, lockEvents, channel),
		repeatable: func(err error) bool { c := postgresCode(err); return c == "40001" || c == "40P01" },
		diskFull:   func(err error) bool { return postgresCode(err) == "53100" },
		locked:     func(err error) bool { return postgresCode(err) == "55P03" },
	}
}

func openPostgres(ctx context.Context, dsn string) (*Store, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx takes the password out of this error before it gives it.
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "invalid_database_url", "VITRINE_DATABASE_URL cannot be read").
			WithRemedy("use postgres://USER:PASSWORD@HOST/DATABASE; write special characters of the password as %%XX").WithCause(err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	s := &Store{w: db, r: db, dialect: postgresDialect(), close: []func() error{db.Close}}
	if err := db.PingContext(ctx); err != nil {
		_ = s.Close()
		return nil, vitrine.Errorf(vitrine.ClassUnavailable, "database_unreachable",
			"PostgreSQL does not let us in or does not answer").
			WithRemedy("check that it runs and that the host, user, password and database in VITRINE_DATABASE_URL are right; try them with psql").
			WithCause(err)
	}
	if err := s.dialect.migrate(ctx, db); err != nil {
		_ = s.Close()
		var ours *vitrine.Error
		if errors.As(err, &ours) {
			return nil, err
		}
		return nil, vitrine.Errorf(vitrine.ClassUnavailable, "database_unreadable",
			"the tables could not be made or read in PostgreSQL").
			WithRemedy("give the user of VITRINE_DATABASE_URL a database of its own (CREATE DATABASE vitrine OWNER …)").WithCause(err)
	}
	listening, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.listen(listening, cfg)
	}()
	s.close = []func() error{func() error { stop(); <-done; return nil }, db.Close}
	return s, nil
}

// listen wakes our streamers when any process has written events. Between two
// connections something may have been missed, so each new one wakes too.
func (s *Store) listen(ctx context.Context, cfg *pgx.ConnConfig) {
	for ctx.Err() == nil {
		if conn, err := pgx.ConnectConfig(ctx, cfg.Copy()); err == nil {
			_, err = conn.Exec(ctx, `LISTEN `+channel)
			for err == nil {
				s.wake.fire()
				_, err = conn.WaitForNotification(ctx)
			}
			bye, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = conn.Close(bye)
			cancel()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// postgresCode gives the SQLSTATE (PostgreSQL manual, appendix A), "" for
// another kind of error.
func postgresCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
