package vitrine

import (
	"context"
	"time"
)

// SSHKey is a public key that lets its user in by SSH, to the sessions that are
// theirs; with RoleAdmin to all.
type SSHKey struct {
	ID          string // ssh_…
	UserID      string
	Role        Role
	Name        string
	PublicKey   string // one line of an authorized_keys file, without options and comment
	Fingerprint string // "SHA256:…", as ssh-keygen -l prints it
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
}

// PrefixSSHKey begins the id of an SSH key.
const PrefixSSHKey = "ssh"

// Valid says whether the key still lets in.
func (k SSHKey) Valid(now time.Time) bool { return k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt) }

// SSHKeyStore keeps SSH keys. A public key is no secret, so two users may have
// named the same one: each gets in to what is theirs, and neither can keep the
// other from it.
type SSHKeyStore interface {
	// PutSSHKey keeps a new key and forgets those that ran out before its
	// CreatedAt. ClassConflict "ssh_key_exists" when this user has it already.
	PutSSHKey(ctx context.Context, k SSHKey) error
	// SSHKeys lists keys, oldest first; of one user when userID is not empty.
	SSHKeys(ctx context.Context, userID string) ([]SSHKey, error)
	// SSHKeysByFingerprint gives every record of a key, also those that ran out.
	SSHKeysByFingerprint(ctx context.Context, fingerprint string) ([]SSHKey, error)
	// DeleteSSHKey removes one: ClassNotFound when there is none.
	DeleteSSHKey(ctx context.Context, id string) error
}

// SSHEndpoint is where the daemon answers SSH. Port 0: it does not.
type SSHEndpoint struct {
	Host    string // "" when it listens on every address
	Port    int
	HostKey string // one line of an authorized_keys file
}
