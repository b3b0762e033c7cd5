package httpapi

import (
	"crypto/rsa"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// Bounds of SSH keys.
const (
	maxSSHKey   = 16 << 10 // bytes; an RSA key of 16384 bits has 3 KiB
	maxSSHKeys  = 100      // of one user
	minRSABits  = 2048
	minSSHLife  = 10 // seconds
	maxSSHLife  = 365 * 86_400
	sshKeyKinds = "Ed25519, ECDSA, RSA from 2048 bits, or a security key of those"
)

func (s *Server) sshKeys() (vitrine.SSHKeyStore, error) {
	if s.cfg.SSHKeys == nil {
		return nil, vitrine.Errorf(vitrine.ClassUnavailable, "ssh_off", "this daemon keeps no SSH keys").
			WithRemedy("set VITRINE_SSH_PORT and start the daemon again")
	}
	return s.cfg.SSHKeys, nil
}

// mine narrows a list to what the caller may see.
func mine(c *call) string {
	if c.Role == vitrine.RoleAdmin {
		return ""
	}
	return c.UserID
}

func listSSHKeys(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	store, err := s.sshKeys()
	if err != nil {
		return err
	}
	keys, err := store.SSHKeys(r.Context(), mine(c))
	if err != nil {
		return err
	}
	out := api.SSHKeyList{Keys: make([]api.SSHKey, 0, len(keys)), Endpoint: api.SSHEndpoint(s.cfg.SSH)}
	for _, k := range keys {
		if k.Valid(s.now()) {
			out.Keys = append(out.Keys, fromSSHKey(k))
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

func addSSHKey(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	store, err := s.sshKeys()
	if err != nil {
		return err
	}
	var in api.AddSSHKey
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.Name == "" || len(in.Name) > maxKeyName {
		return invalid("name", "is missing or longer than %d bytes", maxKeyName).WithRemedy("say which key it is, such as laptop")
	}
	public, err := parsePublicKey(in.PublicKey)
	if err != nil {
		return err
	}
	userID, role := c.UserID, c.Role
	if in.UserID != "" && in.UserID != c.UserID {
		if c.Role != vitrine.RoleAdmin {
			return vitrine.Errorf(vitrine.ClassForbidden, "not_your_user", "user %s may not add keys for another user", c.UserID).
				WithRemedy("leave user_id out, or use an admin's key")
		}
		userID, role = in.UserID, vitrine.RoleUser
	}
	if err := checkUserAndRole(userID, role); err != nil {
		return err
	}
	now := s.now()
	k := vitrine.SSHKey{
		ID: vitrine.NewID(vitrine.PrefixSSHKey, now), UserID: userID, Role: role, Name: in.Name, CreatedAt: now,
		PublicKey: authorizedLine(public), Fingerprint: ssh.FingerprintSHA256(public),
	}
	if t := in.TTLSeconds; t != nil {
		if *t < minSSHLife || *t > maxSSHLife {
			return invalid("ttl_seconds", "is %d", *t).WithRemedy("%d to %d seconds, or leave it out", minSSHLife, maxSSHLife)
		}
		k.ExpiresAt = now.Add(time.Duration(*t) * time.Second)
	}
	have, err := store.SSHKeys(r.Context(), userID)
	if err != nil {
		return err
	}
	if len(have) >= maxSSHKeys {
		return vitrine.Errorf(vitrine.ClassConflict, "too_many_ssh_keys", "user %s has %d SSH keys, the most there may be", userID, len(have)).
			WithRemedy("remove one with DELETE /v1/ssh-keys/ID")
	}
	if err := store.PutSSHKey(r.Context(), k); err != nil {
		return err
	}
	reply(w, http.StatusCreated, fromSSHKey(k))
	return nil
}

// parsePublicKey reads one line of an authorized_keys file. Options in it would
// promise what nobody keeps, so they are refused.
func parsePublicKey(line string) (ssh.PublicKey, error) {
	line = strings.TrimSpace(line)
	bad := func(wrong string) error {
		return invalid("public_key", "%s", wrong).WithRemedy("send the one line of a file such as ~/.ssh/id_ed25519.pub (%s)", sshKeyKinds)
	}
	if line == "" || len(line) > maxSSHKey || strings.ContainsAny(line, "\r\n\x00") {
		return nil, bad("is missing, longer than 16 KiB or more than one line")
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return nil, bad("is a private key, which must not leave your computer")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, bad("is not a public key")
	}
	if len(options) > 0 {
		return nil, bad("begins with options, which are not supported")
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return key, nil
	case ssh.KeyAlgoRSA:
		if c, ok := key.(ssh.CryptoPublicKey); ok {
			if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() >= minRSABits {
				return key, nil
			}
		}
		return nil, bad("is an RSA key of less than 2048 bits")
	}
	return nil, bad("is of a kind that is not supported")
}

func authorizedLine(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

func removeSSHKey(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	store, err := s.sshKeys()
	if err != nil {
		return err
	}
	id := r.PathValue("ssh_key_id")
	keys, err := store.SSHKeys(r.Context(), mine(c))
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == id {
			if err := store.DeleteSSHKey(r.Context(), id); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return vitrine.NotFound("SSH key", clip(id, 64)).WithRemedy("list them with GET /v1/ssh-keys")
}

func fromSSHKey(k vitrine.SSHKey) api.SSHKey {
	out := api.SSHKey{ID: k.ID, Name: k.Name, Role: k.Role, UserID: k.UserID, PublicKey: k.PublicKey, Fingerprint: k.Fingerprint, CreatedAt: k.CreatedAt.UTC()}
	if !k.ExpiresAt.IsZero() {
		at := k.ExpiresAt.UTC()
		out.ExpiresAt = &at
	}
	return out
}
