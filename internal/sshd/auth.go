package sshd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

// rootSuffix behind the session's id asks for the machine's root.
const rootSuffix = "+root"

// target takes a user name apart.
func target(name string) (sessionID, user string, ok bool) {
	id, root := strings.CutSuffix(name, rootSuffix)
	if root {
		user = "root"
	}
	return id, user, vitrine.ValidID(vitrine.PrefixSession, id)
}

// sshConfig is the configuration of one handshake; who comes in is noted in c.
func (c *conn) sshConfig(ctx context.Context) *ssh.ServerConfig {
	told := false
	cfg := &ssh.ServerConfig{
		MaxAuthTries:  maxTries,
		ServerVersion: "SSH-2.0-Vitrine",
		// Which keys may come in at all: asked before anything is proved, so it
		// tells nothing but that.
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			records, err := c.s.cfg.Keys.SSHKeysByFingerprint(ctx, ssh.FingerprintSHA256(key))
			if err != nil {
				return nil, fmt.Errorf("looking a key up: %w", err)
			}
			for _, k := range records {
				if k.Valid(c.s.now()) {
					return nil, nil
				}
			}
			err = errors.New("no such key")
			if !told { // once, however many keys an agent offers
				told = true
				return nil, say(err, "Vitrine does not know this key. Add it: vitrine ssh-key add ~/.ssh/id_ed25519.pub")
			}
			return nil, err
		},
		VerifiedPublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
			in, err := c.s.admit(ctx, meta.User(), ssh.FingerprintSHA256(key))
			c.entry = in
			return nil, err
		},
	}
	cfg.AddHostKey(c.s.cfg.HostKey)
	return cfg
}

// entry is what a caller was let in to, by which key and as whom.
type entry struct {
	session vitrine.Session
	key     vitrine.SSHKey
	user    string // "" or "root"
}

// admit lets the holder of a key into a session, or says why not.
func (s *Server) admit(ctx context.Context, name, fingerprint string) (entry, error) {
	id, user, ok := target(name)
	if !ok {
		return entry{}, say(errors.New("bad user name"), fmt.Sprintf("the user name is the id of a session (ses_…, with %s for its root), and %.64q is none. See: vitrine session list", rootSuffix, name))
	}
	none := say(errors.New("no such session"), "there is no session "+id+" for this key. See: vitrine session list")
	session, err := s.cfg.Sessions.Get(ctx, id)
	if err != nil && vitrine.ClassOf(err) == vitrine.ClassNotFound {
		return entry{}, none
	}
	if err != nil {
		return entry{}, fmt.Errorf("finding session %s: %w", id, err)
	}
	records, err := s.cfg.Keys.SSHKeysByFingerprint(ctx, fingerprint)
	if err != nil {
		return entry{}, fmt.Errorf("looking a key up: %w", err)
	}
	for _, k := range records {
		who := vitrine.Principal{UserID: k.UserID, Role: k.Role}
		if !k.Valid(s.now()) || !who.MayActOn(session.UserID) {
			continue
		}
		if session.State != vitrine.StateReady {
			return entry{}, say(errors.New("session not ready"), fmt.Sprintf("session %s is %s. See: vitrine session show %s", id, session.State, id))
		}
		return entry{session, k, user}, nil
	}
	return entry{}, none
}

// say makes a refusal whose reason the caller sees.
func say(err error, message string) error {
	return &ssh.BannerError{Err: err, Message: "vitrine: " + message + "\n"}
}
