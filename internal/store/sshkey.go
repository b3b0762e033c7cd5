package store

import (
	"context"

	"github.com/vitrine-dev/vitrine"
)

var _ vitrine.SSHKeyStore = (*Store)(nil)

// PutSSHKey keeps a new key: ClassConflict "ssh_key_exists" when the user has it
// already. Keys that ran out before its making go.
func (s *Store) PutSSHKey(ctx context.Context, k vitrine.SSHKey) error {
	return s.write(ctx, "keeping SSH key "+k.ID, func(t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM ssh_keys WHERE expires_at <> 0 AND expires_at <= ?`, toMS(k.CreatedAt)); err != nil {
			return err
		}
		res, err := t.exec(ctx, `INSERT INTO ssh_keys (id, user_id, role, name, public_key, fingerprint, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id, fingerprint) DO NOTHING`,
			k.ID, k.UserID, string(k.Role), plain(k.Name), k.PublicKey, k.Fingerprint, toMS(k.CreatedAt), toMS(k.ExpiresAt))
		return gone(vitrine.Errorf(vitrine.ClassConflict, "ssh_key_exists", "user %s has the key %s already", k.UserID, k.Fingerprint).
			WithRemedy("nothing is to be done; `vitrine ssh-key list` shows it"))(res, err)
	})
}

// SSHKeys lists keys, oldest first; of one user when userID is not empty.
func (s *Store) SSHKeys(ctx context.Context, userID string) ([]vitrine.SSHKey, error) {
	return s.sshKeys(ctx, `? = '' OR user_id = ?`, userID, userID)
}

// SSHKeysByFingerprint gives every record of a key, also those that ran out.
func (s *Store) SSHKeysByFingerprint(ctx context.Context, fingerprint string) ([]vitrine.SSHKey, error) {
	return s.sshKeys(ctx, `fingerprint = ?`, fingerprint)
}

func (s *Store) sshKeys(ctx context.Context, where string, args ...any) ([]vitrine.SSHKey, error) {
	rows, err := s.query(ctx, `SELECT id, user_id, role, name, public_key, fingerprint, created_at, expires_at
		FROM ssh_keys WHERE `+where+` ORDER BY created_at, id`, args...)
	if err != nil {
		return nil, s.told("listing SSH keys", err)
	}
	defer func() { _ = rows.Close() }()
	var list []vitrine.SSHKey
	for rows.Next() {
		var k vitrine.SSHKey
		var created, expires int64
		if err := rows.Scan(&k.ID, &k.UserID, &k.Role, &k.Name, &k.PublicKey, &k.Fingerprint, &created, &expires); err != nil {
			return nil, s.told("listing SSH keys", err)
		}
		k.CreatedAt, k.ExpiresAt = fromMS(created), fromMS(expires)
		list = append(list, k)
	}
	return list, s.told("listing SSH keys", rows.Err())
}

// DeleteSSHKey removes a key: ClassNotFound when there is none.
func (s *Store) DeleteSSHKey(ctx context.Context, id string) error {
	return s.write(ctx, "removing SSH key "+id, func(t *tx) error {
		return gone(vitrine.NotFound("SSH key", id).WithRemedy("list them with `vitrine ssh-key list`"))(
			t.exec(ctx, `DELETE FROM ssh_keys WHERE id = ?`, id))
	})
}
