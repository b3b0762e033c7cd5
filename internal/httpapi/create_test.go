package httpapi_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pb33f/libopenapi/datamodel/high/base"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// TestWaitingForAStart: wait=true answers when the session is ready, and with
// the failure, its status and the session's id when it is not.
func TestWaitingForAStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     vitrine.State
		fail   vitrine.FailureCode
		status int
	}{
		{"ready", vitrine.StateReady, "", 201},
		{"out of memory", vitrine.StateFailed, vitrine.FailGuestOOM, 502},
		{"too slow", vitrine.StateFailed, vitrine.FailStartTimeout, 504},
		{"network broken", vitrine.StateFailed, vitrine.FailHostNetworkFailed, 503},
		{"ended meanwhile", vitrine.StateEnded, "", 409},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			go func() {
				id := ""
				for id == "" {
					list, _, _ := r.List(t.Context(), vitrine.SessionFilter{Limit: 1})
					if len(list) > 0 {
						id = list[0].ID
					}
					time.Sleep(time.Millisecond)
				}
				r.move(id, c.to, func(s *vitrine.Session) {
					if c.fail != "" {
						s.Failure, s.EndedReason = vitrine.NewFailure(c.fail, []string{"line"}, "it broke"), vitrine.EndedFailedToStart
					}
				})
			}()
			s, err := r.client(aliceKey).CreateSession(t.Context(), client.CreateSession{Kind: vitrine.KindDesktop}, client.CreateOptions{Wait: true})
			var e *client.Error
			switch {
			case c.status == 201:
				if err != nil || s.State != vitrine.StateReady {
					t.Error(s, err)
				}
			case !errors.As(err, &e) || e.Status != c.status || !vitrine.ValidID(vitrine.PrefixSession, e.SessionID):
				t.Errorf("%+v", err)
			case c.fail != "" && (e.Failure == nil || e.Code != string(c.fail) || e.Failure.Evidence[0] != "line" || e.Remedy == ""):
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestAWaitThatIsTooLongLeavesTheStartGoingOn(t *testing.T) {
	r := newRig(t)
	r.server.SetWaitMax(time.Millisecond)
	s, err := r.client(aliceKey).CreateSession(t.Context(), client.CreateSession{Kind: vitrine.KindDesktop}, client.CreateOptions{Wait: true})
	if err != nil || s.State != vitrine.StatePending {
		t.Error(s, err)
	}
}

func TestTheSameRequestTwiceIsOneSession(t *testing.T) {
	r := newRig(t)
	key := append(bearer(aliceKey), "Idempotency-Key", "k1")
	one := r.call("POST", "/v1/sessions", `{"kind":"desktop","metadata":{"a":"1","b":"2"}}`, key...)
	two := r.call("POST", "/v1/sessions", `{ "metadata": {"b":"2", "a":"1"}, "kind": "desktop" }`, key...)
	if one.Header.Get("Location") != two.Header.Get("Location") || two.Header.Get("Idempotent-Replayed") != "true" || one.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%v\n%v", one.Header, two.Header)
	}
	if resp := r.call("POST", "/v1/sessions", `{"kind":"terminal"}`, key...); resp.StatusCode != 409 || errorOf(t, resp).Code != "idempotency_key_reused" {
		t.Errorf("the key of another request: %s", resp.Status)
	}
}

func TestNoRoom(t *testing.T) {
	r := newRig(t)
	e := vitrine.Errorf(vitrine.ClassNoCapacity, "host_no_capacity", "2 of 2 sessions are held").WithRemedy("end one")
	e.Retryable = true
	r.createAs = e
	resp := r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !errorOf(t, resp).Retryable {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	_, err := r.client(aliceKey).CreateSession(t.Context(), client.CreateSession{Kind: vitrine.KindDesktop}, client.CreateOptions{})
	if vitrine.ClassOf(err) != vitrine.ClassNoCapacity {
		t.Errorf("the client gives %v", err)
	}
	r.createAs = errors.New("disk /var/secret is gone")
	resp = r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...)
	if e := errorOf(t, resp); resp.StatusCode != 500 || e.Message != "something went wrong inside the daemon" {
		t.Errorf("%s %+v", resp.Status, e)
	}
	r.createAs = vitrine.NewFailure(vitrine.FailMemoryBelowMinimum, nil, "256 MiB asked for, 512 needed")
	if resp = r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...); resp.StatusCode != 422 {
		t.Errorf("memory below the image's need: %s", resp.Status)
	}
}

// TestTheContractsListsAreTheDomains: names that stand in both.
func TestTheContractsListsAreTheDomains(t *testing.T) {
	doc, _ := contract()
	schema := func(name string) *base.Schema {
		p, ok := doc.Components.Schemas.Get(name)
		if !ok {
			t.Fatalf("no schema %s", name)
		}
		return p.Schema()
	}
	var codes, phases []string
	for _, f := range vitrine.FailureCatalogue {
		codes = append(codes, string(f.Code))
	}
	for _, p := range vitrine.Phases {
		phases = append(phases, string(p))
	}
	for name, want := range map[string][]string{
		"FailureCode": codes, "PhaseName": phases,
		"SessionState": {"pending", "starting", "ready", "stopping", "ended", "failed"},
		"Isolation":    {"none", "container", "gvisor", "emulated-vm", "microvm"},
		"EndedReason":  {"stopped_by_user", "expired", "idle", "failed_to_start", "guest_oom", "machine_exited", "browser_crashed", "node_lost", "quota"},
	} {
		var got []string
		for _, n := range schema(name).Enum {
			got = append(got, n.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is\n%v in openapi.yaml and\n%v in the domain", name, got, want)
		}
	}
	v := schema("Viewport").Properties
	w, _ := v.Get("width")
	h, _ := v.Get("height")
	if *w.Schema().Minimum != vitrine.MinViewportWidth || *w.Schema().Maximum != vitrine.MaxViewportWidth ||
		*h.Schema().Minimum != vitrine.MinViewportHeight || *h.Schema().Maximum != vitrine.MaxViewportHeight {
		t.Error("the viewport's bounds differ")
	}
}

func TestASetupThatCannotBe(t *testing.T) {
	w := newWorld()
	good := httpapi.Config{Sessions: w, Streams: w, Events: w, Auth: w, Images: fakeImages{w}}
	for _, u := range []string{"desk.example.com", "ftp://x", "https://x/path", "https://user@x", "https://"} {
		c := good
		c.PublicURL = u
		if _, err := httpapi.New(c); err == nil {
			t.Errorf("the public URL %s is taken", u)
		}
	}
	good.Auth = nil
	if _, err := httpapi.New(good); err == nil {
		t.Error("no auth store is taken")
	}
}
