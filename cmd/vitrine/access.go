package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

const (
	adminUser = "admin"
	// firstKey is the name of the key that the first start makes; configuredKey
	// of the one that VITRINE_ADMIN_KEY sets; localKeyName of the one behind the
	// local socket, which lives no longer than the process.
	firstKey      = "first admin key"
	configuredKey = "VITRINE_ADMIN_KEY"
	localKeyName  = "local socket"
	linkLifetime  = 15 * time.Minute
)

func newSecret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return prefix + hex.EncodeToString(b[:])
}

// ensureKeys makes the admin's key at the first start, follows
// VITRINE_ADMIN_KEY, and makes this process's own key for the local socket.
func (a *app) ensureKeys(ctx context.Context) error {
	keys, err := a.store.Keys(ctx)
	if err != nil {
		return err
	}
	admins := 0
	for _, k := range keys {
		switch {
		case k.Name == localKeyName, k.Name == configuredKey && k.Hash != hashSecret(a.set.AdminKey):
			if err := a.store.DeleteKey(ctx, k.ID); err != nil {
				return err
			}
		case k.Name == configuredKey:
			admins++
			a.set.AdminKey = "" // it is there
		case k.Role == vitrine.RoleAdmin:
			admins++
		}
	}
	put := func(name, secret string) error {
		now := time.Now()
		return a.store.PutKey(ctx, vitrine.APIKey{
			ID: vitrine.NewID(vitrine.PrefixKey, now), Hash: hashSecret(secret), Role: vitrine.RoleAdmin,
			UserID: adminUser, Name: name, CreatedAt: now,
		})
	}
	if a.set.AdminKey != "" {
		if err := put(configuredKey, a.set.AdminKey); err != nil {
			return err
		}
		a.set.AdminKey = ""
		admins++
	}
	if admins == 0 {
		a.adminKey = newSecret("vtr_")
		if err := put(firstKey, a.adminKey); err != nil {
			return err
		}
	}
	a.localKey = newSecret("vtr_")
	return put(localKeyName, a.localKey)
}

// newLoginLink makes a link that opens the dashboard once.
func (a *app) newLoginLink(ctx context.Context) (string, error) {
	token, now := newSecret(""), time.Now()
	err := a.store.PutLogin(ctx, vitrine.Login{
		Hash: hashSecret(token), Link: true, UserID: adminUser, Role: vitrine.RoleAdmin,
		CreatedAt: now, ExpiresAt: now.Add(linkLifetime),
	})
	return a.url() + "/login#" + token, err
}

// localServer serves the local socket: whoever may open it is root on the host
// (mode 0600), and so is admin (docs/adr/0005). Links in replies name the
// address that browsers use.
func (a *app) localServer() *http.Server {
	s := a.api.HTTPServer()
	_, host, _ := cutScheme(a.url())
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+a.localKey)
		r.Host = host
		next.ServeHTTP(w, r)
	})
	return s
}

func cutScheme(u string) (scheme, rest string, ok bool) { return strings.Cut(u, "://") }
