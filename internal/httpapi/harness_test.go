package httpapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// contract holds replies against openapi.yaml; made once, for it takes a while.
var contract = sync.OnceValues(func() (*v3.Document, validator.Validator) {
	doc, err := libopenapi.NewDocument(api.Spec)
	if err != nil {
		panic(err)
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		panic(err)
	}
	return &model.Model, validator.NewValidatorFromV3Model(&model.Model, config.WithFormatAssertions(), config.WithoutSecurityValidation())
})

// Secrets of the test world.
const (
	adminKey = "vtr_admin-admin-admin-admin-admin-admin-adm"
	aliceKey = "vtr_alice-alice-alice-alice-alice-alice-ali"
	bobKey   = "vtr_bobby-bobby-bobby-bobby-bobby-bobby-bob"
)

// rig is a daemon's HTTP face on a port of loopback, with a fake world behind.
type rig struct {
	*world
	t      *testing.T
	server *httpapi.Server
	url    string
	log    *lockedBuffer
	http   *http.Client // holds every reply against the contract
}

func newRig(t *testing.T, change ...func(*httpapi.Config)) *rig {
	t.Helper()
	w, log := newWorld(), &lockedBuffer{}
	for user, secret := range map[string]string{"root": adminKey, "alice": aliceKey, "bob": bobKey} {
		role := vitrine.RoleUser
		if user == "root" {
			role = vitrine.RoleAdmin
		}
		k := vitrine.APIKey{ID: vitrine.NewID(vitrine.PrefixKey, w.now), Hash: sha256.Sum256([]byte(secret)), Role: role, UserID: user, Name: user, CreatedAt: w.now}
		w.keys[k.ID] = k
	}
	cfg := httpapi.Config{Sessions: w, Streams: w, Events: w, Auth: w, SSHKeys: w, Bundles: w, SSH: vitrine.SSHEndpoint{Port: 4022, HostKey: testSSHKey}, Images: fakeImages{w}, Version: "1.2.3", Commit: "abc", Now: w.clock,
		Keeper: &fakeKeeper{}, Doctor: fakeDoctor,
		Ping: func(context.Context) error { return nil }, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&cfg)
	}
	s, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = s.HTTPServer()
	ts.Start()
	r := &rig{world: w, t: t, server: s, url: ts.URL, log: log}
	r.http = &http.Client{Transport: &contractTransport{t: t}}
	t.Cleanup(func() { s.Close(); ts.Close() })
	return r
}

func (r *rig) client(key string) *client.Client {
	r.t.Helper()
	c, err := client.New(r.url, key, client.WithHTTPClient(r.http))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// ready makes a ready desktop of a user.
func (r *rig) ready(user string) vitrine.Session {
	r.t.Helper()
	s, _, err := r.Create(r.t.Context(), vitrine.NewSession{Kind: vitrine.KindDesktop, UserID: user, Metadata: map[string]string{"label": "secret-label"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.move(s.ID, vitrine.StateStarting, nil)
	r.move(s.ID, vitrine.StateReady, nil)
	s, _ = r.Get(r.t.Context(), s.ID)
	return s
}

// call makes a raw request; header pairs follow the body.
func (r *rig) call(method, path, body string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func bearer(key string) []string { return []string{"Authorization", "Bearer " + key} }

// errorOf reads an error body.
func errorOf(t *testing.T, resp *http.Response) api.ErrorDetail {
	t.Helper()
	var e api.Error
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatalf("the reply %s is not an error body: %v", resp.Status, err)
	}
	return e.Error
}

// contractTransport holds every reply against openapi.yaml.
type contractTransport struct {
	t    *testing.T
	mu   sync.Mutex
	seen map[string]bool // "METHOD pattern" with a success
}

func (c *contractTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
		if err == nil {
			c.note(req)
		}
		return resp, err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		c.note(req)
		return resp, nil
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if known(req) {
		resp.Body = io.NopCloser(bytes.NewReader(b))
		_, v := contract()
		if ok, faults := v.ValidateHttpResponse(req, resp); !ok {
			for _, f := range faults {
				c.t.Errorf("%s %s → %s is not as the contract says: %s %s\n%s", req.Method, req.URL.Path, resp.Status, f.Message, f.Reason, clipped(b))
				for _, s := range f.SchemaValidationErrors {
					c.t.Errorf("  at %s: %s", s.FieldPath, s.Reason)
				}
			}
		}
		if resp.StatusCode < 300 {
			c.note(req)
		}
	}
	if resp.StatusCode >= 400 && req.URL.Path != "/health" { // which shows its checks
		var e api.Error
		if json.Unmarshal(b, &e) != nil || e.Error.Code == "" || e.Error.Message == "" || e.Error.Remedy == "" || e.Error.RequestID != resp.Header.Get("X-Request-Id") {
			c.t.Errorf("%s %s → %s has no whole error body: %s", req.Method, req.URL.Path, resp.Status, clipped(b))
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp, nil
}

func (c *contractTransport) note(req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[operation(req)] = true
}

// operation finds the contract's pattern for a request; "" for none.
func operation(req *http.Request) string {
	doc, _ := contract()
	parts := strings.Split(strings.TrimSuffix(req.URL.Path, "/"), "/")
	for pattern, item := range doc.Paths.PathItems.FromOldest() {
		if _, ok := item.GetOperations().Get(strings.ToLower(req.Method)); !ok {
			continue
		}
		want := strings.Split(pattern, "/")
		same := len(want) == len(parts)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == parts[i] || (strings.HasPrefix(want[i], "{") && parts[i] != "redeem")
		}
		if same {
			return req.Method + " " + pattern
		}
	}
	return ""
}

func known(req *http.Request) bool { return operation(req) != "" }

func clipped(b []byte) string { return string(b[:min(len(b), 600)]) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(fmt.Errorf("unexpected: %w", err))
		}
		return v
	}
}
