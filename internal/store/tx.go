package store

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

// tx is one transaction in our dialect. It notes whether an event was written,
// so that streamers are woken after the commit and not before.
type tx struct {
	*sql.Tx
	s      *Store
	logged bool
	lease  int64 // of the session that lend has lent to; 0: none
}

func (t *tx) exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return t.ExecContext(ctx, t.s.dialect.rebind(q), args...)
}

func (t *tx) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return t.QueryContext(ctx, t.s.dialect.rebind(q), args...)
}

func (t *tx) queryRow(ctx context.Context, q string, args ...any) *sql.Row {
	return t.QueryRowContext(ctx, t.s.dialect.rebind(q), args...)
}

func (s *Store) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return s.r.QueryContext(ctx, s.dialect.rebind(q), args...)
}

func (s *Store) queryRow(ctx context.Context, q string, args ...any) *sql.Row {
	return s.r.QueryRowContext(ctx, s.dialect.rebind(q), args...)
}

// attempts bounds how often a transaction is repeated that another one beat.
const attempts = 10

// write runs f in a transaction, again when the database says that it lost to
// another; so f must have no effect but through the transaction.
func (s *Store) write(ctx context.Context, doing string, f func(*tx) error) error {
	for n := 1; ; n++ {
		logged, err := s.writeOnce(ctx, f)
		if err == nil {
			if logged {
				s.wake.fire()
			}
			return nil
		}
		if n == attempts || !s.dialect.repeatable(err) {
			return s.told(doing, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rand.Int64N(int64(n)*int64(5*time.Millisecond)) + 1)):
		}
	}
}

func (s *Store) writeOnce(ctx context.Context, f func(*tx) error) (logged bool, err error) {
	sqltx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = sqltx.Rollback() }() // a no-op after Commit
	t := &tx{Tx: sqltx, s: s}
	if err := f(t); err != nil {
		return false, err
	}
	return t.logged, sqltx.Commit()
}
