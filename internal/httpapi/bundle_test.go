package httpapi_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

func (r *rig) failed(released bool) vitrine.Session {
	r.t.Helper()
	s := r.ready("alice")
	r.move(s.ID, vitrine.StateFailed, func(s *vitrine.Session) {
		s.Failure, s.Released = vitrine.NewFailure(vitrine.FailGuestOOM, []string{"killed"}, "the machine has 256 MiB"), released
	})
	s, _ = r.Get(r.t.Context(), s.ID)
	return s
}

func TestABundleIsFetched(t *testing.T) {
	r := newRig(t)
	s := r.failed(true)
	alice := r.client(aliceKey)
	if got := must[api.Session](t)(alice.Session(t.Context(), s.ID)); got.Bundle != nil {
		t.Errorf("before there is one: %+v", got.Bundle)
	}
	r.keep(s.ID, "the bundle's bytes")
	got := must[api.Session](t)(alice.Session(t.Context(), s.ID))
	if got.Bundle == nil || got.Bundle.SizeBytes != 18 || !got.Bundle.CreatedAt.Equal(r.clock()) {
		t.Errorf("the session says %+v", got.Bundle)
	}
	f, size, err := alice.Bundle(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "the bundle's bytes" || size != 18 {
		t.Errorf("%q of %d bytes, %v", b, size, err)
	}
	resp := r.call("GET", "/v1/sessions/"+s.ID+"/bundle", "", bearer(aliceKey)...)
	if resp.Header.Get("Content-Disposition") != `attachment; filename="vitrine-`+s.ID+`.tar.gz"` || resp.Header.Get("Content-Type") != "application/gzip" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestThereIsNoBundle(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*httpapi.Config)
		make   func(*rig) vitrine.Session
		status int
		code   string
	}{
		{"the session has not failed", nil, func(r *rig) vitrine.Session { return r.ready("alice") }, http.StatusNotFound, "no_bundle"},
		{"it has expired", nil, func(r *rig) vitrine.Session { return r.failed(true) }, http.StatusNotFound, "no_bundle"},
		{"it is being made", nil, func(r *rig) vitrine.Session { return r.failed(false) }, http.StatusConflict, "bundle_not_ready"},
		{"none are kept", func(c *httpapi.Config) { c.Bundles = nil }, func(r *rig) vitrine.Session { return r.failed(true) }, http.StatusNotFound, "no_bundle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*httpapi.Config) {}
			}
			r := newRig(t, change)
			resp := r.call("GET", "/v1/sessions/"+c.make(r).ID+"/bundle", "", bearer(aliceKey)...)
			e := errorOf(t, resp)
			if resp.StatusCode != c.status || e.Code != c.code || e.Remedy == "" {
				t.Errorf("%s: %+v", resp.Status, e)
			}
			if (resp.Header.Get("Retry-After") != "") != e.Retryable {
				t.Errorf("Retry-After %q, retryable %v", resp.Header.Get("Retry-After"), e.Retryable)
			}
		})
	}
}
