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

// localKeyName is the key behind the local socket, which lives no longer than
// the process.
const localKeyName = "local socket"

// ensureKeys makes the admin's key at the first start, follows
// VITRINE_ADMIN_KEY, and makes this process's own key for the local socket.
func (a *app) ensureKeys(ctx context.Context) error {
	keys, err := a.store.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Name == localKeyName {
			if err := a.store.DeleteKey(ctx, k.ID); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	if a.adminKey, err = httpapi.EnsureAdminKey(ctx, a.store, a.set.AdminKey, now); err != nil {
		return err
	}
	a.localKey = "vtr_" + rand.Text()
	return a.store.PutKey(ctx, vitrine.APIKey{
		ID: vitrine.NewID(vitrine.PrefixKey, now), Hash: sha256.Sum256([]byte(a.localKey)), Role: vitrine.RoleAdmin,
		UserID: httpapi.AdminUser, Name: localKeyName, CreatedAt: now,
	})
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
		r.Header.Set("Authorization", "Bearer "+a.localKey)
		r.Host = host
		next.ServeHTTP(w, r)
	})
	return s
}
