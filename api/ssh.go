package api

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// AddSSHKey is the body of POST /v1/ssh-keys.
type AddSSHKey struct {
	Name       string `json:"name"`
	PublicKey  string `json:"public_key"`
	UserID     string `json:"user_id,omitempty"`
	TTLSeconds *int64 `json:"ttl_seconds,omitempty"`
}

// SSHKey is a public key that lets in by SSH.
type SSHKey struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Role        vitrine.Role `json:"role"`
	UserID      string       `json:"user_id"`
	PublicKey   string       `json:"public_key"`
	Fingerprint string       `json:"fingerprint"`
	CreatedAt   time.Time    `json:"created_at"`
	ExpiresAt   *time.Time   `json:"expires_at"`
}

// SSHKeyList is the keys that the caller may see.
type SSHKeyList struct {
	Keys     []SSHKey    `json:"keys"`
	Endpoint SSHEndpoint `json:"endpoint"`
}

// SSHEndpoint is where the daemon answers SSH; Port is 0 when it does not.
type SSHEndpoint struct {
	Host    string `json:"host"`
	Port    int    `json:"port"`
	HostKey string `json:"host_key"`
}
