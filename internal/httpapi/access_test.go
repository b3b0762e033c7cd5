package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// dial opens a socket with headers and reads its greeting.
func (m *matrixRig) dial(socket string, header []string) *websocket.Conn {
	m.t.Helper()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		o.HTTPHeader.Set(header[i], header[i+1])
	}
	conn, _, err := websocket.Dial(m.t.Context(), "ws"+strings.TrimPrefix(m.url, "http")+"/v1/sessions/"+m.session.ID+"/"+socket, o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.CloseNow() })
	if _, _, err := conn.Read(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	return conn
}

func TestATicketWorksOnce(t *testing.T) {
	m := newMatrixRig(t)
	ctx, alice, nobody := t.Context(), m.client(aliceKey), m.client("")
	make := func(scope vitrine.Scope) api.Ticket {
		return must[api.Ticket](t)(alice.CreateTicket(ctx, m.session.ID, client.CreateTicket{Scope: scope}))
	}
	tk := make(vitrine.ScopeControl)
	must[api.RedeemedTicket](t)(nobody.RedeemTicket(ctx, tk.Ticket))
	if _, err := nobody.RedeemTicket(ctx, tk.Ticket); code(err) != "invalid_ticket" {
		t.Errorf("the second time: %v", err)
	}
	tk = make(vitrine.ScopeVNC)
	if !strings.HasPrefix(tk.URL, "ws://") || !strings.Contains(tk.URL, "/vnc?ticket=") {
		t.Errorf("a vnc ticket's url is %s", tk.URL)
	}
	m.dial("vnc?ticket="+tk.Ticket, nil)
	if _, resp, err := websocket.Dial(ctx, tk.URL, nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the second time: %v", err)
	}
	tk = make(vitrine.ScopeControl)
	m.advance(6 * time.Minute)
	if _, err := nobody.RedeemTicket(ctx, tk.Ticket); code(err) != "invalid_ticket" {
		t.Errorf("too late: %v", err)
	}
	for _, v := range m.seen {
		if v.UserID != "alice" || v.TicketID == "" {
			t.Errorf("the streams saw %+v", v)
		}
	}
	if strings.Contains(m.log.String(), "vtk_") {
		t.Errorf("the log holds a ticket:\n%s", m.log)
	}
	m.call("DELETE", "/v1/sessions/"+m.session.ID+"/tickets/"+tk.ID, "", bearer(aliceKey)...)
	if len(m.closed) != 1 || m.closed[0] != tk.ID {
		t.Errorf("the streams were told %v", m.closed)
	}
	other := m.ready("alice")
	if resp := m.call("DELETE", "/v1/sessions/"+other.ID+"/tickets/"+tk.ID, "", bearer(aliceKey)...); resp.StatusCode != http.StatusNotFound {
		t.Errorf("revoking it on another session: %s", resp.Status)
	}
}

func TestScopesReachTheStreams(t *testing.T) {
	for who, want := range map[string]vitrine.Scope{"owner": vitrine.ScopeControl, "control": vitrine.ScopeControl, "view": vitrine.ScopeView, "vnc": vitrine.ScopeControl} {
		m := newMatrixRig(t)
		m.dial("vnc?viewer=vwr_00000000000000000000000000", m.credential(who))
		if m.seen[0].Scope != want {
			t.Errorf("%s came as %s", who, m.seen[0].Scope)
		}
		eventually(t, "an open socket counts as use", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.touched[m.session.ID] > 0
		})
	}
}

func TestCookiesAreForThisBrowserAndThisSite(t *testing.T) {
	for _, c := range []struct {
		public, host string
		secure       bool
	}{{"", "", false}, {"https://desk.example.com", "desk.example.com", true}, {"https://desk.example.com", "127.0.0.1:4000", false}} {
		r := newRig(t, func(cfg *httpapi.Config) { cfg.PublicURL = c.public })
		s := r.ready("alice")
		tk := must[api.Ticket](t)(r.client(aliceKey).CreateTicket(t.Context(), s.ID, client.CreateTicket{Scope: vitrine.ScopeView}))
		if c.public != "" && !strings.HasPrefix(tk.URL, c.public+"/view/"+s.ID+"#ticket=") {
			t.Errorf("the link is %s", tk.URL)
		}
		header := []string{}
		if c.host != "" {
			header = []string{"Host", c.host}
		}
		resp := r.call("POST", "/v1/tickets/redeem", `{"ticket":"`+tk.Ticket+`"}`, header...)
		if len(resp.Cookies()) != 4 {
			t.Fatalf("%d cookies", len(resp.Cookies()))
		}
		for _, k := range resp.Cookies() {
			if !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Secure != c.secure || k.Path == "/" || k.Path == "" {
				t.Errorf("%+v: cookie %s", c, k)
			}
		}
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) { c.PublicURL = "https://desk.example.com" })
	m := &matrixRig{rig: r, session: r.ready("alice")}
	cookie := r.login("alice", vitrine.RoleUser)
	ws := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	host := strings.TrimPrefix(r.url, "http://")
	for _, c := range []struct {
		name   string
		header []string
		post   int
		socket int
	}{
		{"a program", nil, 202, 101},
		{"its own page", []string{"Origin", "http://" + host, "Sec-Fetch-Site", "same-origin"}, 202, 101},
		{"its own page behind a proxy", []string{"Origin", "https://desk.example.com", "Sec-Fetch-Site", "same-origin"}, 202, 101},
		{"a foreign page", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, 403},
		{"another port of this host", []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, 403, 403},
		{"the public name without https", []string{"Origin", "http://desk.example.com"}, 403, 403},
		{"a sandboxed frame", []string{"Origin", "null"}, 403, 403},
		{"a foreign page that hides itself", []string{"Sec-Fetch-Site", "cross-site"}, 403, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			header := slices.Concat(c.header, cookie)
			if resp := r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, header...); resp.StatusCode != c.post {
				t.Errorf("POST: %s, want %d", resp.Status, c.post)
			}
			if resp := r.call("GET", "/v1/sessions/"+m.session.ID+"/signal", "", append(header, ws...)...); resp.StatusCode != c.socket {
				t.Errorf("socket: %s, want %d", resp.Status, c.socket)
			}
			if resp := r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, append(bearer(aliceKey), c.header...)...); resp.StatusCode != 202 {
				t.Errorf("with a key: %s", resp.Status)
			}
		})
	}
}

func TestLoginLinkWorksOnceAndNotForEver(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) { c.LoginLimit = 5 })
	link, _, err := httpapi.LoginLink(t.Context(), r.world, r.url, "admin", vitrine.RoleAdmin, r.clock())
	if err != nil || !strings.HasPrefix(link, r.url+"/login#vtl_") {
		t.Fatal(link, err)
	}
	body := `{"token":"` + link[strings.Index(link, "#")+1:] + `"}`
	if resp := r.call("GET", "/v1/me", "", "Cookie", "vitrine_login="+link[strings.Index(link, "#")+1:]); resp.StatusCode != 401 {
		t.Errorf("the link's token as a cookie: %s", resp.Status)
	}
	if resp := r.call("POST", "/v1/login", body); resp.StatusCode != 200 {
		t.Errorf("the first time: %s", resp.Status)
	}
	if resp := r.call("POST", "/v1/login", body); resp.StatusCode != 401 {
		t.Errorf("the second time: %s", resp.Status)
	}
	link, _, _ = httpapi.LoginLink(t.Context(), r.world, r.url, "admin", vitrine.RoleAdmin, r.clock())
	r.advance(16 * time.Minute)
	if resp := r.call("POST", "/v1/login", `{"token":"`+link[strings.Index(link, "#")+1:]+`"}`); resp.StatusCode != 401 {
		t.Errorf("too late: %s", resp.Status)
	}
	for i := range 6 { // of five a minute, the late one was the first
		resp := r.call("POST", "/v1/login", `{"token":"guess"}`)
		if (i < 4) != (resp.StatusCode == 401) || (i >= 4) != (resp.StatusCode == 429) {
			t.Errorf("guess %d: %s", i, resp.Status)
		}
	}
}

func TestTooManyCalls(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) { c.RateLimit, c.RateWindow = 3, 30*time.Second })
	for range 3 {
		if resp := r.call("GET", "/v1/me", "", bearer(aliceKey)...); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	resp := r.call("GET", "/v1/me", "", bearer(aliceKey)...)
	if e := errorOf(t, resp); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "10" || !e.Retryable {
		t.Errorf("%s, Retry-After %s, %+v", resp.Status, resp.Header.Get("Retry-After"), e)
	}
	if resp := r.call("GET", "/v1/me", "", bearer(bobKey)...); resp.StatusCode != 200 {
		t.Errorf("bob pays for alice: %s", resp.Status)
	}
	for range 5 {
		r.events("/v1/events", bearer(aliceKey)...)
	}
	r.advance(10 * time.Second)
	if resp := r.call("GET", "/v1/me", "", bearer(aliceKey)...); resp.StatusCode != 200 {
		t.Errorf("after the wait: %s", resp.Status)
	}
	for i := range 4 {
		if resp := r.call("GET", "/v1/me", "", bearer("vtr_guess")...); (resp.StatusCode == 429) != (i == 3) {
			t.Errorf("guess %d of a key: %s", i, resp.Status)
		}
	}
}

// TestWhoIsCountedBehindAProxy: only a trusted proxy's word counts.
func TestWhoIsCountedBehindAProxy(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		r := newRig(t, func(c *httpapi.Config) {
			c.RateLimit = 1
			if trusted {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
		})
		r.call("GET", "/version", "", "X-Forwarded-For", "203.0.113.9, 198.51.100.1")
		again := r.call("GET", "/version", "", "X-Forwarded-For", "203.0.113.9, 198.51.100.2")
		if (again.StatusCode == 200) != trusted {
			t.Errorf("trusted %v: %s", trusted, again.Status)
		}
	}
}

func TestMetricsAreForTheHostItselfAndAdmins(t *testing.T) {
	r := newRig(t)
	host := strings.TrimPrefix(r.url, "http://")
	for _, c := range []struct {
		name   string
		header []string
		status int
	}{
		{"the host itself", nil, 200},
		{"by localhost", []string{"Host", "localhost" + host[strings.LastIndex(host, ":"):]}, 200},
		{"a page that rebound its name", []string{"Host", "evil.example"}, 401},
		{"through a proxy on the host", []string{"X-Forwarded-For", "192.0.2.1"}, 401},
		{"an admin through a proxy", append(bearer(adminKey), "X-Forwarded-For", "192.0.2.1"), 200},
	} {
		if resp := r.call("GET", "/metrics", "", c.header...); resp.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.name, resp.Status, c.status)
		}
	}
}

func TestTheFirstAdminKey(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	secret, err := httpapi.EnsureAdminKey(ctx, w, "", w.now)
	if err != nil || !strings.HasPrefix(secret, "vtr_") || len(secret) != 47 {
		t.Fatal(secret, err)
	}
	if again, err := httpapi.EnsureAdminKey(ctx, w, "", w.now); again != "" || err != nil || len(w.keys) != 1 {
		t.Errorf("the second start: %q, %v, %d keys", again, err, len(w.keys))
	}
	if _, err := httpapi.EnsureAdminKey(ctx, w, "hunter2", w.now); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a short configured key: %v", err)
	}
	for _, configured := range []string{strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("b", 40)} {
		if s, err := httpapi.EnsureAdminKey(ctx, w, configured, w.now); s != "" || err != nil || len(w.keys) != 2 {
			t.Errorf("configured: %q, %v, %d keys", s, err, len(w.keys))
		}
	}
	for _, k := range w.keys {
		if strings.Contains(string(k.Hash[:]), secret) {
			t.Error("the key itself is kept")
		}
	}
}

func TestHealthTellsWhatIsWrong(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) {
		c.Ping = func(context.Context) error { return errors.New("dial /secret/socket: refused") }
		c.Checks = []httpapi.Check{{Name: "disk", Run: func(context.Context) error { return errors.New("2 GiB free, 5 needed") }}}
	})
	r.status.Runtime = ""
	h := must[api.Health](t)(r.client("").Health(t.Context()))
	if h.Status != api.HealthDegraded || len(h.Checks) != 3 || h.Checks[0].OK || h.Checks[1].OK || h.Checks[2].Message != "2 GiB free, 5 needed" || strings.Contains(h.Checks[0].Message, "secret") {
		t.Errorf("%+v", h)
	}
	if resp := r.call("GET", "/health", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a database: %s", resp.Status)
	}
}

func TestThePageIsServedWithItsPolicy(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) {
		c.Web = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	})
	resp := r.call("GET", "/view/ses_x", "")
	if p := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != 200 || !strings.Contains(p, "connect-src 'self' ws: wss:") || !strings.Contains(p, "frame-ancestors 'none'") {
		t.Errorf("%s, %s", resp.Status, p)
	}
	if resp := r.call("GET", "/version", ""); !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a reply: %v", resp.Header)
	}
}

func TestAPanicIsOneFailedCall(t *testing.T) {
	w := newWorld()
	r := newRig(t, func(c *httpapi.Config) { c.Images = panickingImages{fakeImages{w}} })
	resp := r.call("GET", "/v1/images", "", bearer(aliceKey)...)
	if e := errorOf(t, resp); resp.StatusCode != 500 || e.Code != "internal" || !strings.Contains(r.log.String(), "lost a nut") || !strings.Contains(r.log.String(), e.RequestID) {
		t.Errorf("%s %+v\n%s", resp.Status, e, r.log)
	}
	rec := httptest.NewRecorder()
	r.server.ServeHTTP(rec, httptest.NewRequest("GET", "/version", nil))
	if rec.Code != 200 {
		t.Error("it does not go on")
	}
}

type panickingImages struct{ fakeImages }

func (panickingImages) List(context.Context) ([]vitrine.Image, error) { panic("lost a nut") }
