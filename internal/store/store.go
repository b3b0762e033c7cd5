// Package store keeps what Vitrine must not forget: sessions with their leases,
// boot ledgers, saved consoles, the event log, keys, tickets and logins.
//
// There is one SQL text and two dialects: a SQLite file (the default, in the
// data directory) and PostgreSQL by DSN. Both are held to one contract by
// storetest. The rules of the house: times are Unix milliseconds, JSON is text,
// every change of a session and the event that tells of it are one transaction,
// and the domain's transition table is enforced here, so that nothing goes
// round it. SQLite has one writer connection, whose transactions begin
// immediately (a read that becomes a write cannot then fail half-way), beside a
// pool of readers that never wait for it (WAL). PostgreSQL locks rows with FOR
// UPDATE and repeats a transaction that lost a serialisation or a deadlock.
//
// One daemon uses a database at a time. On PostgreSQL other processes may read
// and stream: NOTIFY wakes them.
//
// The package imports the domain, the two drivers and goose, and touches the
// database and nothing else. It must not know runtimes, networks or HTTP, and
// decides nothing but whether a change is allowed.
package store

import (
	"context"
	"database/sql"
	"strings"
	"sync"

	"github.com/vitrine-dev/vitrine"
)

// Store is the vitrine.Store on a SQL database. Every method may be called from
// any goroutine.
type Store struct {
	w, r    *sql.DB // on PostgreSQL both are the same pool
	dialect dialect
	wake    wake
	close   []func() error
	once    sync.Once
}

var _ vitrine.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date. dsn is
// "postgres://…" (or "postgresql://…") or the path of a SQLite file, which is
// made (mode 0600) when it is not there; its directory must be. A database that
// cannot be used gives one *vitrine.Error that says why and what to do, with
// code database_unreadable, database_locked, database_corrupt, database_newer
// or database_unreachable.
func Open(ctx context.Context, dsn string) (vitrine.Store, error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(ctx, dsn)
	case isURL:
		// The DSN itself may hold a password: only its scheme is told.
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "invalid_database_url",
			"VITRINE_DATABASE_URL begins with %q, which is no database Vitrine knows", scheme+"://").
			WithRemedy("use postgres://USER:PASSWORD@HOST/DATABASE, or the path of a SQLite file")
	case dsn == "":
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "invalid_database_url", "VITRINE_DATABASE_URL is empty").
			WithRemedy("use postgres://USER:PASSWORD@HOST/DATABASE, or the path of a SQLite file")
	}
	return openSQLite(ctx, dsn)
}

// Ping says whether the database answers and holds our tables.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	err := s.r.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT id FROM sessions LIMIT 1) AS one`).Scan(&n)
	return s.told("asking the database for a sign of life", err)
}

// Close closes every connection; calls that still run end with an error.
func (s *Store) Close() error {
	var first error
	s.once.Do(func() {
		for _, f := range s.close {
			if err := f(); err != nil && first == nil {
				first = err
			}
		}
	})
	return first
}

// wake is a broadcast: whoever waits on the channel is woken by the next fire.
type wake struct {
	mu sync.Mutex
	ch chan struct{}
}

func (w *wake) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

func (w *wake) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
}
