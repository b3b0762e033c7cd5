package httpapi_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// began waits until the server drains.
func (r *rig) began() {
	r.t.Helper()
	eventually(r.t, "the drain begins", func() bool {
		return r.call("GET", "/health", "").StatusCode == http.StatusServiceUnavailable
	})
}

// begin makes a call whose answer comes later.
func (r *rig) begin(method, path, body, key string) <-chan *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	done := make(chan *http.Response, 1)
	go func() {
		resp, err := r.http.Do(req)
		if err != nil {
			r.t.Errorf("%s %s: %v", method, path, err)
			resp = &http.Response{Body: http.NoBody}
		}
		done <- resp
	}()
	return done
}

// waiting starts a create that waits until its session is ready, and gives the
// session's id once it is there.
func (r *rig) waiting() (id string, answer <-chan *http.Response) {
	r.t.Helper()
	done := r.begin("POST", "/v1/sessions?wait=true", `{"kind":"desktop"}`, aliceKey)
	eventually(r.t, "the session is made", func() bool {
		list, _, _ := r.List(r.t.Context(), vitrine.SessionFilter{Limit: 10})
		if len(list) == 1 {
			id = list[0].ID
		}
		return id != ""
	})
	return id, done
}

// TestADaemonThatStopsSendsCallersAway: what would begin is refused with the
// time to come back, what is under way is answered, streams end with a reason.
func TestADaemonThatStopsSendsCallersAway(t *testing.T) {
	r := newRig(t)
	stream := r.events("/v1/events", bearer(aliceKey)...)
	id, answer := r.waiting()
	stream.next() // session.created
	drained := make(chan struct{})
	go func() { defer close(drained); r.server.Drain(context.Background()) }()
	r.began()

	if got := stream.next(); !strings.HasPrefix(got, ": closed: shutting_down: ") {
		t.Errorf("the event stream's last words are %q", got)
	}
	if got := stream.next(); got != "" {
		t.Errorf("the event stream goes on with %q", got)
	}
	for _, c := range [][2]string{{"POST", "/v1/sessions"}, {"GET", "/v1/events"}} {
		body := ""
		if c[0] == "POST" {
			body = `{"kind":"desktop"}`
		}
		resp := r.call(c[0], c[1], body, bearer(aliceKey)...)
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		if e := errorOf(t, resp); resp.StatusCode != 503 || e.Code != "shutting_down" || !e.Retryable || after < 1 || after > 10 {
			t.Errorf("%s %s while the daemon stops: %s, %+v, Retry-After %d", c[0], c[1], resp.Status, e, after)
		}
	}
	if resp := r.call("GET", "/v1/sessions/"+id, "", bearer(aliceKey)...); resp.StatusCode != 200 {
		t.Errorf("a session cannot be looked at while the daemon stops: %s", resp.Status)
	}
	select {
	case <-drained:
		t.Fatal("the drain did not wait for the call under way")
	default:
	}
	r.move(id, vitrine.StateReady, nil)
	if resp := <-answer; resp.StatusCode != http.StatusCreated {
		t.Errorf("the call under way was answered with %s", resp.Status)
	}
	<-drained
	resp := r.call("GET", "/metrics", "")
	if m := text(t, resp); !strings.Contains(m, "vitrine_draining 1\n") || !strings.Contains(m, `vitrine_creates_refused_total{reason="shutting_down"} 1`) {
		t.Errorf("the metrics do not tell of the drain")
	}
}

// TestADaemonDoesNotWaitForSlowMachines: who waits for a machine that takes
// longer than the drain is answered with the session as it is; it goes on.
func TestADaemonDoesNotWaitForSlowMachines(t *testing.T) {
	r := newRig(t)
	id, answer := r.waiting()
	other := r.ready("bob").ID
	r.stuck = true
	deleted := r.begin("DELETE", "/v1/sessions/"+other+"?wait=true", "", bobKey)
	eventually(t, "the delete is under way", func() bool {
		return strings.Contains(text(t, r.call("GET", "/metrics", "")), "vitrine_http_calls_under_way 3\n")
	})

	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan struct{})
	go func() { defer close(drained); r.server.Drain(ctx) }()
	r.began()
	cancel()
	resp := <-answer
	var one api.Session
	if decodeInto(t, resp, &one); resp.StatusCode != http.StatusAccepted || one.ID != id || one.State != vitrine.StatePending {
		t.Errorf("a create that waits: %s, %+v", resp.Status, one)
	}
	resp = <-deleted
	if e := errorOf(t, resp); resp.StatusCode != 503 || e.Code != "shutting_down" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a delete that waits: %s, %+v", resp.Status, e)
	}
	select {
	case <-drained:
	case <-time.After(5 * time.Second):
		t.Fatal("the drain does not end")
	}
}

// TestNobodyIsThereToWaitFor: a drain of an idle daemon is over at once, and a
// second one too.
func TestNobodyIsThereToWaitFor(t *testing.T) {
	r := newRig(t)
	r.server.Drain(t.Context())
	r.server.Drain(t.Context())
	r.began()
}
