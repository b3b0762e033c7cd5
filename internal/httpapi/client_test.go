package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

// TestEveryOperationThroughTheClient makes every call of the contract through
// the Go client and holds each reply against openapi.yaml. An operation that is
// added to the contract and not called here fails it.
func TestEveryOperationThroughTheClient(t *testing.T) {
	r := newRig(t)
	ctx, c := t.Context(), r.client(aliceKey)
	zero := int64(0)

	pending := must[api.Session](t)(c.CreateSession(ctx, client.CreateSession{Kind: vitrine.KindDesktop, StartURL: "https://example.com/",
		Viewport: &vitrine.Viewport{Width: 800, Height: 600}, Metadata: map[string]string{"a": "b"}}, client.CreateOptions{}))
	if pending.State != vitrine.StatePending || pending.UserID != "alice" || pending.Metadata["a"] != "b" || pending.ReadyAt != nil {
		t.Fatalf("created %+v", pending)
	}
	id := pending.ID
	r.phase(id, vitrine.Phase{Name: vitrine.PhaseAdmission, StartedAt: r.clock(), Duration: 1500 * time.Microsecond, Outcome: vitrine.OutcomeOK, Detail: "gvisor"})
	r.move(id, vitrine.StateStarting, nil)
	r.move(id, vitrine.StateReady, nil)

	one := must[api.Session](t)(c.Session(ctx, id))
	if one.State != vitrine.StateReady || *one.Address != "192.168.100.2" || *one.CDPURL != r.url+"/v1/sessions/"+id+"/cdp" || one.LiveViewURL != r.url+"/view/"+id {
		t.Errorf("session %+v", one)
	}
	list := must[api.SessionList](t)(c.ListSessions(ctx, client.ListOptions{State: vitrine.StateReady, Limit: 10}))
	if len(list.Sessions) != 1 || list.NextCursor != nil {
		t.Errorf("list %+v", list)
	}
	hour := int64(3600)
	one = must[api.Session](t)(c.UpdateSession(ctx, id, client.UpdateSession{TimeoutSeconds: &hour}))
	if one.ExpiresAt == nil || !one.ExpiresAt.Equal(one.CreatedAt.Add(time.Hour)) {
		t.Errorf("expires %v", one.ExpiresAt)
	}
	boot := must[api.Boot](t)(c.Boot(ctx, id))
	if len(boot.Phases) != 1 || boot.Phases[0].DurationMS != 1.5 || boot.TotalMS != 1.5 {
		t.Errorf("boot %+v", boot)
	}
	if got := must[string](t)(c.Console(ctx, id, 2)); got != "two\nthree\n" {
		t.Errorf("console %q", got)
	}
	r.agent.res = vitrine.ExecResult{ExitCode: 3, Stdout: []byte("hi\xff"), StderrTruncated: true, Duration: time.Second}
	res := must[api.ExecResult](t)(c.Exec(ctx, id, client.Exec{Command: []string{"id"}, User: "root", Stdin: "x"}))
	if res.ExitCode != 3 || res.Stdout != "hi\uFFFD" || !res.StderrTruncated || res.DurationMS != 1000 || r.agent.execs[0].Timeout != time.Minute {
		t.Errorf("exec %+v, asked %+v", res, r.agent.execs)
	}
	if png := must[[]byte](t)(c.Screenshot(ctx, id)); !bytes.HasPrefix(png, []byte("\x89PNG")) {
		t.Errorf("screenshot %q", png)
	}

	for e, err := range c.Events(ctx, client.EventOptions{SessionID: id, After: &zero}) {
		if err != nil || e.ID != 1 || e.Session == nil || e.Session.ID != id || e.Type != vitrine.EventSessionCreated {
			t.Fatalf("first event %+v, %v", e, err)
		}
		break
	}
	for e, err := range c.Events(ctx, client.EventOptions{After: &zero}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Phase != nil {
			if e.Phase.Name != vitrine.PhaseAdmission {
				t.Errorf("phase %+v", e.Phase)
			}
			break
		}
	}

	ticket := must[api.Ticket](t)(c.CreateTicket(ctx, id, client.CreateTicket{Scope: vitrine.ScopeView}))
	if want := r.url + "/view/" + id + "#ticket=" + ticket.Ticket; ticket.URL != want {
		t.Errorf("the ticket's url is %s, want %s", ticket.URL, want)
	}
	redeemed := must[api.RedeemedTicket](t)(r.client("").RedeemTicket(ctx, ticket.Ticket))
	if redeemed.SessionID != id || redeemed.Scope != vitrine.ScopeView {
		t.Errorf("redeemed %+v", redeemed)
	}
	if err := c.RevokeTicket(ctx, id, ticket.ID); err != nil {
		t.Error(err)
	}

	for _, socket := range []string{"signal", "vnc", "cdp"} {
		conn, err := c.Dial(ctx, id, socket, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, m, err := conn.Read(ctx); err != nil || string(m) != socket+" control" {
			t.Errorf("%s says %q, %v", socket, m, err)
		}
		_ = conn.CloseNow()
	}
	v := must[api.CDPVersion](t)(c.CDPVersion(ctx, id))
	if v.Browser != "Chrome/140.0" || !strings.HasPrefix(v.WebSocketDebuggerURL, "ws"+strings.TrimPrefix(r.url, "http")+"/v1/sessions/"+id+"/cdp?ticket=vtk_") {
		t.Errorf("cdp %+v", v)
	}
	if resp := r.call("GET", "/v1/sessions/"+id+"/cdp/json/version/", "", bearer(aliceKey)...); resp.StatusCode != http.StatusOK {
		t.Errorf("the version as Playwright asks for it, with a slash: %s", resp.Status)
	}
	debugger, _ := url.Parse(v.WebSocketDebuggerURL)
	conn, err := r.client("").Dial(ctx, id, "cdp", debugger.Query())
	if err != nil {
		t.Fatal("the debugger's address does not let in: ", err)
	}
	_ = conn.CloseNow()

	if s := must[[]vitrine.ICEServer](t)(c.ICEServers(ctx)); len(s) != 2 || s[1].Username != "u:alice" {
		t.Errorf("ice servers %+v", s)
	}
	if _, err := c.Answer(ctx, id); code(err) != "no_offer" {
		t.Errorf("an answer before an offer: %v", err)
	}
	must[string](t)(c.Offer(ctx, id, fakeSDP))
	must[string](t)(c.Answer(ctx, id))
	mid, fragment := "0", "abcd"
	if err := c.AddCandidate(ctx, id, vitrine.ICECandidate{Candidate: "candidate:1", SDPMid: &mid}); err != nil {
		t.Error(err)
	}
	body, _ := json.Marshal(api.ICECandidate{UsernameFragment: &fragment})
	if resp := r.call("POST", "/api/webrtc/session/"+id+"/candidates", string(body), bearer(aliceKey)...); resp.StatusCode != http.StatusNoContent {
		t.Errorf("a candidate as browsers write it: %s", resp.Status)
	}
	must[[]vitrine.ICECandidate](t)(c.Candidates(ctx, id))
	location, answer, err := c.WHEP(ctx, id, fakeSDP)
	if err != nil || location != "/v1/sessions/"+id+"/whep/res1" || answer != fakeSDP {
		t.Errorf("whep %q %q %v", location, answer, err)
	}
	if err := c.PatchWHEP(ctx, location, "a=candidate:1"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteWHEP(ctx, location); err != nil {
		t.Error(err)
	}

	a := r.client(adminKey)
	link := must[api.LoginLink](t)(a.CreateLoginLink(ctx, api.CreateLoginLink{}))
	jar, _ := cookiejar.New(nil)
	browser, _ := client.New(r.url, "", client.WithHTTPClient(&http.Client{Transport: r.http.Transport, Jar: jar}))
	_, token, _ := strings.Cut(link.URL, "/login#")
	if me := must[api.Me](t)(browser.Login(ctx, token)); me.UserID != "root" || me.Role != vitrine.RoleAdmin {
		t.Errorf("logged in as %+v", me)
	}
	if me := must[api.Me](t)(browser.Me(ctx)); me.UserID != "root" {
		t.Errorf("the cookie is %+v", me)
	}
	if err := browser.Logout(ctx); err != nil {
		t.Error(err)
	}
	if _, err := browser.Me(ctx); vitrine.ClassOf(err) != vitrine.ClassUnauthorized {
		t.Errorf("after logging out: %v", err)
	}

	key := must[api.NewKey](t)(a.CreateKey(ctx, api.CreateKey{Name: "ci", UserID: "carol"}))
	if me := must[api.Me](t)(r.client(key.Secret).Me(ctx)); me.UserID != "carol" || me.Role != vitrine.RoleUser {
		t.Errorf("the new key is %+v", me)
	}
	if keys := must[[]api.Key](t)(a.Keys(ctx)); len(keys) != 4 {
		t.Errorf("%d keys", len(keys))
	}
	if err := a.DeleteKey(ctx, key.ID); err != nil {
		t.Error(err)
	}
	if _, err := r.client(key.Secret).Me(ctx); code(err) != "invalid_key" {
		t.Errorf("a deleted key: %v", err)
	}

	sshKey := must[api.SSHKey](t)(c.AddSSHKey(ctx, api.AddSSHKey{Name: "laptop", PublicKey: testSSHKey}))
	if l := must[api.SSHKeyList](t)(c.SSHKeys(ctx)); len(l.Keys) != 1 || l.Keys[0].ID != sshKey.ID {
		t.Errorf("SSH keys %+v", l)
	}
	if err := c.RemoveSSHKey(ctx, sshKey.ID); err != nil {
		t.Error(err)
	}

	if images := must[[]api.Image](t)(c.Images(ctx)); len(images) != 1 || images[0].Packages != 1 || images[0].MinMemoryMB != 512 {
		t.Errorf("images %+v", images)
	}
	if st := must[api.Status](t)(c.Status(ctx)); *st.Runtime != "gvisor" || len(st.Runtimes) != 2 || st.Runtimes[0].Probe.TookMS != 180 {
		t.Errorf("status %+v", st)
	}
	if h := must[api.Health](t)(r.client("").Health(ctx)); h.Status != api.HealthOK || len(h.Checks) != 2 {
		t.Errorf("health %+v", h)
	}
	must[api.Version](t)(r.client("").Version(ctx))
	if found := must[api.Collection](t)(a.Audit(ctx)); len(found.Leftovers) != 2 {
		t.Errorf("audit %+v", found)
	}
	if done := must[api.Collection](t)(a.Collect(ctx, api.Collect{})); done.Removed != 1 {
		t.Errorf("gc %+v", done)
	}
	if d := must[api.Doctor](t)(a.Doctor(ctx)); d.Verdict != vitrine.VerdictWarn {
		t.Errorf("doctor %+v", d)
	}
	if m := must[string](t)(a.Metrics(ctx)); !strings.Contains(m, `vitrine_session_starts_total{outcome="ready",runtime="gvisor"} 1`) ||
		!strings.Contains(m, `vitrine_sessions{runtime="gvisor",state="ready"} 1`) || !strings.Contains(m, `vitrine_viewers{path="udp"} 1`) {
		t.Errorf("metrics:\n%s", m)
	}
	gone := must[api.Session](t)(c.DeleteSession(ctx, id, true))
	if gone.State != vitrine.StateEnded || !gone.Released || *gone.EndedReason != vitrine.EndedByUser {
		t.Errorf("deleted %+v", gone)
	}
	must[api.Session](t)(c.DeleteSession(ctx, id, false))

	broken := r.failed(true)
	r.keep(broken.ID, "a bundle")
	if f, _, err := c.Bundle(ctx, broken.ID); err != nil {
		t.Error(err)
	} else {
		_ = f.Close()
	}

	seen := r.http.Transport.(*contractTransport).seen
	for op := range spec(t) {
		if !seen[op] {
			t.Errorf("%s was not called with success", op)
		}
	}
}

func code(err error) string {
	var e *vitrine.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestAllSessionsGoesThroughThePages(t *testing.T) {
	r := newRig(t)
	for range 5 {
		r.advance(time.Millisecond)
		r.ready("alice")
	}
	n, last := 0, "~"
	for s, err := range r.client(aliceKey).AllSessions(t.Context(), client.ListOptions{Limit: 2}) {
		if err != nil || s.ID >= last {
			t.Fatal(s.ID, last, err)
		}
		n, last = n+1, s.ID
	}
	if n != 5 {
		t.Errorf("%d sessions", n)
	}
}
