package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vitrine-dev/vitrine"
)

// What cannot be found by a secret's hash is told without the hash.
func unknown(what string) error {
	return vitrine.Errorf(vitrine.ClassNotFound, "not_found", "there is no such %s", what)
}

// PutKey keeps a key; one of the same id is replaced.
func (s *Store) PutKey(ctx context.Context, k vitrine.APIKey) error {
	return s.write(ctx, "keeping key "+k.ID, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO api_keys (id, hash, role, user_id, name, created_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, role = excluded.role, user_id = excluded.user_id, name = excluded.name`,
			k.ID, k.Hash[:], string(k.Role), k.UserID, plain(k.Name), toMS(k.CreatedAt))
		return err
	})
}

const keyColumns = `id, hash, role, user_id, name, created_at`

func scanKey(row scanner) (vitrine.APIKey, error) {
	var k vitrine.APIKey
	var hash []byte
	var at int64
	err := row.Scan(&k.ID, &hash, &k.Role, &k.UserID, &k.Name, &at)
	copy(k.Hash[:], hash)
	k.CreatedAt = fromMS(at)
	return k, err
}

// KeyByHash finds a key: ClassNotFound otherwise.
func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (vitrine.APIKey, error) {
	k, err := scanKey(s.queryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = ?`, hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return vitrine.APIKey{}, unknown("key")
	}
	return k, s.told("finding a key", err)
}

// Keys lists all keys, oldest first.
func (s *Store) Keys(ctx context.Context) ([]vitrine.APIKey, error) {
	rows, err := s.query(ctx, `SELECT `+keyColumns+` FROM api_keys ORDER BY created_at, id`)
	if err != nil {
		return nil, s.told("listing keys", err)
	}
	defer func() { _ = rows.Close() }()
	var list []vitrine.APIKey
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, s.told("listing keys", err)
		}
		list = append(list, k)
	}
	return list, s.told("listing keys", rows.Err())
}

// DeleteKey removes a key: ClassNotFound when there is none.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.write(ctx, "removing key "+id, func(t *tx) error {
		return gone(vitrine.NotFound("key", id))(t.exec(ctx, `DELETE FROM api_keys WHERE id = ?`, id))
	})
}

// gone turns "no row was touched" into an error.
func gone(none error) func(sql.Result, error) error {
	return func(res sql.Result, err error) error {
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return none
	}
}

// PutLogin keeps a login or a one-time link.
func (s *Store) PutLogin(ctx context.Context, l vitrine.Login) error {
	return s.write(ctx, "keeping a login", func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO logins (hash, link, user_id, role, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET link = excluded.link, user_id = excluded.user_id, role = excluded.role, expires_at = excluded.expires_at`,
			l.Hash[:], toInt(l.Link), l.UserID, string(l.Role), toMS(l.CreatedAt), toMS(l.ExpiresAt))
		return err
	})
}

const loginColumns = `hash, link, user_id, role, created_at, expires_at`

func (s *Store) scanLogin(row scanner) (vitrine.Login, error) {
	var l vitrine.Login
	var hash []byte
	var link, created, expires int64
	err := row.Scan(&hash, &link, &l.UserID, &l.Role, &created, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return vitrine.Login{}, unknown("login")
	}
	copy(l.Hash[:], hash)
	l.Link, l.CreatedAt, l.ExpiresAt = link != 0, fromMS(created), fromMS(expires)
	return l, s.told("finding a login", err)
}

// LoginByHash finds a login, also one that ran out: ClassNotFound otherwise.
func (s *Store) LoginByHash(ctx context.Context, hash [32]byte) (vitrine.Login, error) {
	return s.scanLogin(s.queryRow(ctx, `SELECT `+loginColumns+` FROM logins WHERE hash = ?`, hash[:]))
}

// TakeLogin finds and removes in one statement, so that of two who come with
// the same link one gets ClassNotFound.
func (s *Store) TakeLogin(ctx context.Context, hash [32]byte) (l vitrine.Login, err error) {
	err = s.write(ctx, "taking a login", func(t *tx) (err error) {
		l, err = s.scanLogin(t.queryRow(ctx, `DELETE FROM logins WHERE hash = ? RETURNING `+loginColumns, hash[:]))
		return err
	})
	return l, err
}

// DeleteLogin removes a login; removing one that is gone is no error.
func (s *Store) DeleteLogin(ctx context.Context, hash [32]byte) error {
	return s.write(ctx, "removing a login", func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM logins WHERE hash = ?`, hash[:])
		return err
	})
}
