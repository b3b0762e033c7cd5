package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// ensureKeys makes the admin's key at the first start and follows
// VITRINE_ADMIN_KEY.
func (a *app) ensureKeys(ctx context.Context) (err error) {
	a.adminKey, err = httpapi.EnsureAdminKey(ctx, a.store, a.set.AdminKey, time.Now())
	return err
}

// localAuth is the key store with one more key: that of the local socket, which
// is made anew by each process and never stored.
type localAuth struct {
	vitrine.AuthStore
	secret string
	key    vitrine.APIKey
}

func newLocalAuth(store vitrine.AuthStore) localAuth {
	secret, now := "vtr_"+rand.Text(), time.Now()
	return localAuth{store, secret, vitrine.APIKey{
		ID: vitrine.NewID(vitrine.PrefixKey, now), Hash: sha256.Sum256([]byte(secret)), Role: vitrine.RoleAdmin,
		UserID: httpapi.AdminUser, Name: "local socket", CreatedAt: now,
	}}
}

func (l localAuth) KeyByHash(ctx context.Context, hash [32]byte) (vitrine.APIKey, error) {
	if hash == l.key.Hash {
		return l.key, nil
	}
	return l.AuthStore.KeyByHash(ctx, hash)
}

// newLoginLink makes a link that opens the dashboard once.
func (a *app) newLoginLink(ctx context.Context) (string, error) {
	link, _, err := httpapi.LoginLink(ctx, a.store, a.url(), httpapi.AdminUser, vitrine.RoleAdmin, time.Now())
	return link, err
}

// localServer serves the local socket: whoever may open it is root on the host
// (mode 0600), and so is admin (docs/adr/0005). Links in replies name the
// address that browsers use.
func (a *app) localServer() *http.Server {
	s := a.api.HTTPServer()
	_, host, _ := strings.Cut(a.url(), "://")
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+a.auth.secret)
		r.Host = host
		next.ServeHTTP(w, r)
	})
	return s
}
