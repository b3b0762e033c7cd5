package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Secrets are a prefix that says what they are, so that scanners for leaked
// credentials can know them, and 256 random bits. They are kept as SHA-256: with
// 256 random bits a slow hash would add nothing.
const (
	keyPrefix    = "vtr_"
	ticketPrefix = "vtk_"
	linkPrefix   = "vtl_" // of a one-time login link
	cookiePrefix = "vtc_" // of a login or viewer cookie
)

func newSecret(prefix string) (secret string, hash [32]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	secret = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, sha256.Sum256([]byte(secret))
}

func hashOf(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// Lifetimes of what lets people into the dashboard.
const (
	linkLife  = 15 * time.Minute
	loginLife = 30 * 24 * time.Hour
)

// configuredKey is the name of the key that the configuration gives.
const configuredKey = "VITRINE_ADMIN_KEY"

// AdminUser is the user of the first key and of login links made at start.
const AdminUser = "admin"

// minConfiguredKey is the least length of a key of the operator's own making.
// Keys are hashed fast, so a short one could be guessed from a stolen database.
const minConfiguredKey = 32

// EnsureAdminKey makes sure that somebody can get in. With configured set
// (VITRINE_ADMIN_KEY) that is the admin key, and one configured earlier is
// worth nothing any more. Without, and with no admin key in the store, it makes
// one and gives its secret, to be printed once; otherwise the secret is "".
func EnsureAdminKey(ctx context.Context, auth vitrine.AuthStore, configured string, now time.Time) (secret string, err error) {
	keys, err := auth.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the API keys: %w", err)
	}
	if configured != "" && len(configured) < minConfiguredKey {
		return "", fmt.Errorf("%s has %d characters; it must have at least %d (try: openssl rand -base64 33)", configuredKey, len(configured), minConfiguredKey)
	}
	hash, admins := hashOf(configured), 0
	for _, k := range keys {
		switch {
		case k.Name == configuredKey && configured != "" && k.Hash == hash:
			return "", nil
		case k.Name == configuredKey:
			if err := auth.DeleteKey(ctx, k.ID); err != nil {
				return "", fmt.Errorf("deleting the earlier %s: %w", configuredKey, err)
			}
		case k.Role == vitrine.RoleAdmin:
			admins++
		}
	}
	key := vitrine.APIKey{ID: vitrine.NewID(vitrine.PrefixKey, now), Role: vitrine.RoleAdmin, UserID: AdminUser, CreatedAt: now}
	switch {
	case configured != "":
		key.Name, key.Hash = configuredKey, hash
	case admins == 0:
		key.Name = "first admin key"
		secret, key.Hash = newSecret(keyPrefix)
	default:
		return "", nil
	}
	if err := auth.PutKey(ctx, key); err != nil {
		return "", fmt.Errorf("storing the admin key: %w", err)
	}
	return secret, nil
}

// LoginLink makes a one-time login link below base (the public URL). The token
// stands in the fragment, which browsers do not send to a server: the page posts
// it to /v1/login.
func LoginLink(ctx context.Context, auth vitrine.AuthStore, base, userID string, role vitrine.Role, now time.Time) (link string, expires time.Time, err error) {
	if base == "" {
		return "", time.Time{}, errors.New("no public URL for the login link")
	}
	token, hash := newSecret(linkPrefix)
	expires = now.Add(linkLife)
	err = auth.PutLogin(ctx, vitrine.Login{Hash: hash, Link: true, UserID: userID, Role: role, CreatedAt: now, ExpiresAt: expires})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("storing a login link: %w", err)
	}
	return base + "/login#" + url.PathEscape(token), expires, nil
}
