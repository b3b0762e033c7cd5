package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// TestBadInput: each mistake gets one clear error that names what is wrong and
// says what would be right.
func TestBadInput(t *testing.T) {
	r := newRig(t)
	s := r.ready("alice")
	starting := must[vitrine.Session](t)(first(r.Create(t.Context(), vitrine.NewSession{Kind: vitrine.KindDesktop, UserID: "alice"})))
	sessions, here := "/v1/sessions", "/v1/sessions/"+s.ID
	long := strings.Repeat("x", 70_000)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, says               string
		header                   []string
	}{
		{"I mistyped a field", "POST", sessions, `{"kind":"desktop","memory":1}`, 400, "unknown_field", `"memory"`, nil},
		{"I mistyped a field inside another", "POST", sessions, `{"kind":"desktop","viewport":{"width":800,"heigth":600}}`, 400, "unknown_field", `"viewport.heigth"`, nil},
		{"I wrote a field in capitals", "POST", sessions, `{"Kind":"desktop"}`, 400, "unknown_field", `"Kind"`, nil},
		{"I sent a field of a later version", "POST", sessions, `{"kind":"desktop","proxy":{"server":"http://x"}}`, 400, "unknown_field", `"proxy"`, nil},
		{"I gave a field twice", "POST", sessions, `{"kind":"desktop","kind":"terminal"}`, 400, "repeated_field", `"kind"`, nil},
		{"I sent a number as a string", "POST", sessions, `{"kind":"desktop","memory_mb":"2048"}`, 400, "wrong_type", `"memory_mb" must be a whole number, not a string`, nil},
		{"I sent half a CPU", "POST", sessions, `{"kind":"desktop","vcpu":0.5}`, 400, "wrong_type", `"vcpu" must be a whole number, not 0.5`, nil},
		{"I sent a number no machine holds", "POST", sessions, `{"kind":"desktop","memory_mb":99999999999999999999}`, 400, "wrong_type", `"memory_mb"`, nil},
		{"my labels hold a number", "POST", sessions, `{"kind":"desktop","metadata":{"n":1}}`, 400, "wrong_type", `"metadata.n" must be a string`, nil},
		{"I sent a list", "POST", sessions, `[]`, 400, "wrong_type", "an object", nil},
		{"I forgot a brace", "POST", sessions, `{"kind":"desktop"`, 400, "invalid_json", "middle", nil},
		{"I sent two objects", "POST", sessions, `{"kind":"desktop"}{}`, 400, "invalid_json", "byte 18", nil},
		{"I sent nothing", "POST", sessions, ` `, 400, "empty_body", "empty", nil},
		{"I sent a form", "POST", sessions, `kind=desktop`, 415, "unsupported_content_type", "application/x-www-form-urlencoded", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"I sent a book", "POST", sessions, `{"kind":"` + long + `"}`, 413, "body_too_large", "65536", nil},
		{"I forgot the kind", "POST", sessions, `{}`, 422, "invalid_field", "kind is missing", nil},
		{"I asked for another kind", "POST", sessions, `{"kind":"vm"}`, 422, "invalid_field", `kind is "vm"`, nil},
		{"I asked for a stamp-sized screen", "POST", sessions, `{"kind":"desktop","viewport":{"width":10,"height":10}}`, 422, "invalid_field", "viewport is 10x10", nil},
		{"I asked for a wall-sized screen", "POST", sessions, `{"kind":"desktop","viewport":{"width":99999,"height":600}}`, 422, "invalid_field", "viewport is 99999x600", nil},
		{"I asked for no memory", "POST", sessions, `{"kind":"desktop","memory_mb":0}`, 422, "invalid_field", "memory_mb is 0", nil},
		{"I asked for a thousand CPUs", "POST", sessions, `{"kind":"desktop","vcpu":1000}`, 422, "invalid_field", "vcpu is 1000", nil},
		{"I want to wait for room all day", "POST", sessions, `{"kind":"desktop","queue_seconds":86400}`, 422, "invalid_field", "queue_seconds is 86400", nil},
		{"I want to wait for room no time", "POST", sessions, `{"kind":"desktop","queue_seconds":0}`, 422, "invalid_field", "queue_seconds is 0", nil},
		{"I asked for a negative time", "POST", sessions, `{"kind":"desktop","timeout_seconds":-1}`, 422, "invalid_field", "timeout_seconds is -1", nil},
		{"I asked for an isolation that is none", "POST", sessions, `{"kind":"desktop","min_isolation":"strong"}`, 422, "invalid_field", `min_isolation is "strong"`, nil},
		{"I tried to look at the host's files", "POST", sessions, `{"kind":"desktop","start_url":"file:///etc/passwd"}`, 422, "invalid_field", "start_url", nil},
		{"I tried to run a script", "POST", sessions, `{"kind":"desktop","start_url":"javascript:alert(1)"}`, 422, "invalid_field", "start_url", nil},
		{"I gave a bare host", "POST", sessions, `{"kind":"desktop","start_url":"example.com"}`, 422, "invalid_field", "start_url", nil},
		{"I gave a URL without a host", "POST", sessions, `{"kind":"desktop","start_url":"http://"}`, 422, "invalid_field", "start_url", nil},
		{"I gave a terminal a page", "POST", sessions, `{"kind":"terminal","start_url":"https://example.com/"}`, 422, "invalid_field", "has no browser", nil},
		{"I made up a short id", "POST", sessions, `{"kind":"desktop","id":"ses_1"}`, 422, "invalid_field", "id is not", nil},
		{"I named a runtime with a path", "POST", sessions, `{"kind":"desktop","runtime":"../x"}`, 422, "invalid_field", "runtime", nil},
		{"I named an image with spaces", "POST", sessions, `{"kind":"desktop","image":"a b"}`, 422, "invalid_field", "image", nil},
		{"I made a session for somebody else", "POST", sessions, `{"kind":"desktop","user_id":"bob"}`, 403, "not_your_user", "alice may not", nil},
		{"my user has a slash", "POST", sessions, `{"kind":"desktop","user_id":"a/b"}`, 422, "invalid_field", "user_id", nil},
		{"my label's name is empty", "POST", sessions, `{"kind":"desktop","metadata":{"":"x"}}`, 422, "invalid_field", "metadata", nil},
		{"my idempotency key is binary", "POST", sessions, `{"kind":"desktop"}`, 400, "invalid_idempotency_key", "Idempotency-Key", []string{"Idempotency-Key", "ü"}},
		{"I mistyped wait", "POST", sessions + "?wiat=true", `{"kind":"desktop"}`, 400, "unknown_parameter", `"wiat"`, nil},
		{"I said wait=yes", "POST", sessions + "?wait=yes", `{"kind":"desktop"}`, 400, "invalid_parameter", `"yes"`, nil},
		{"I asked for a million sessions", "GET", sessions + "?limit=1000000", "", 400, "invalid_parameter", `"1000000"`, nil},
		{"I gave limit twice", "GET", sessions + "?limit=1&limit=2", "", 400, "repeated_parameter", `"limit"`, nil},
		{"I asked for a state that is none", "GET", sessions + "?state=running", "", 422, "invalid_field", `"running"`, nil},
		{"I made a cursor up", "GET", sessions + "?cursor=5", "", 422, "invalid_field", "cursor", nil},
		{"I listed somebody else's", "GET", sessions + "?user_id=bob", "", 403, "not_your_user", "bob", nil},
		{"the session is not there", "GET", "/v1/sessions/ses_00000000000000000000000000", "", 404, "not_found", "ses_0", nil},
		{"the id is not an id", "GET", "/v1/sessions/..%2f..%2fetc", "", 404, "not_found", "etc", nil},
		{"my patch is empty", "PATCH", here, `{}`, 422, "nothing_to_change", "nothing", nil},
		{"my patch changes the kind", "PATCH", here, `{"kind":"terminal"}`, 400, "unknown_field", `"kind"`, nil},
		{"I forgot the command", "POST", here + "/exec", `{"command":[]}`, 422, "invalid_field", "command is empty", nil},
		{"my command is one string", "POST", here + "/exec", `{"command":"ls -l"}`, 400, "wrong_type", `"command" must be a list, not a string`, nil},
		{"one argument is a number", "POST", here + "/exec", `{"command":["sleep",1]}`, 400, "wrong_type", `"command[1]" must be a string`, nil},
		{"my command holds a zero byte", "POST", here + "/exec", `{"command":["a\u0000b"]}`, 422, "invalid_field", "zero byte", nil},
		{"my directory is relative", "POST", here + "/exec", `{"command":["ls"],"cwd":"tmp"}`, 422, "invalid_field", "cwd", nil},
		{"I want to be somebody else in there", "POST", here + "/exec", `{"command":["ls"],"user":"www-data"}`, 422, "invalid_field", `"www-data"`, nil},
		{"my command takes a day", "POST", here + "/exec", `{"command":["ls"],"timeout_seconds":86400}`, 422, "invalid_field", "86400", nil},
		{"I want a picture before it is ready", "GET", "/v1/sessions/" + starting.ID + "/screenshot", "", 409, "not_ready", "is pending", nil},
		{"I want an answer before it is ready", "GET", "/api/webrtc/session/" + starting.ID + "/answer", "", 409, "not_ready", "is pending", nil},
		{"I opened a socket in the address bar", "GET", here + "/signal", "", 400, "not_a_websocket", "WebSocket", nil},
		{"I want a ticket for everything", "POST", here + "/tickets", `{"scope":"all"}`, 422, "invalid_field", `"all"`, nil},
		{"I want a ticket for ever", "POST", here + "/tickets", `{"scope":"view","ttl_seconds":99999999}`, 422, "invalid_field", "ttl_seconds", nil},
		{"the ticket was never made", "POST", "/v1/tickets/redeem", `{"ticket":"vtk_no"}`, 401, "invalid_ticket", "not known", nil},
		{"the login link was never made", "POST", "/v1/login", `{"token":"vtl_no"}`, 401, "invalid_login_link", "not known", nil},
		{"my offer is an answer", "POST", "/api/webrtc/session/" + s.ID + "/offer", `{"type":"answer","sdp":"v=0"}`, 422, "invalid_field", "type", nil},
		{"my offer is prose", "POST", "/api/webrtc/session/" + s.ID + "/offer", `{"type":"offer","sdp":"hello"}`, 422, "invalid_field", "sdp", nil},
		{"my player sends JSON", "POST", here + "/whep", `{}`, 415, "unsupported_content_type", "application/json", nil},
		{"the playback is over", "DELETE", here + "/whep/none", "", 404, "not_found", "none", nil},
		{"I resume from a word", "GET", "/v1/events", "", 400, "invalid_event_id", `"yesterday"`, []string{"Last-Event-ID", "yesterday"}},
		{"I tail half a line", "GET", here + "/console?tail=0.5", "", 400, "invalid_parameter", "tail", nil},
		{"there is no such path", "GET", "/v1/session", "", 404, "no_such_route", "/v1/session", nil},
		{"I PUT where one may POST", "PUT", sessions, `{}`, 405, "method_not_allowed", "PUT", nil},
		{"my key has a typing mistake", "GET", sessions, "", 401, "invalid_key", "not known", []string{"Authorization", "Bearer vtr_x"}},
		{"I have no key", "GET", sessions, "", 401, "no_credential", "needs", []string{"Authorization", "Basic dTpw"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := append(bearer(aliceKey), c.header...)
			resp := r.call(c.method, c.path, c.body, header...)
			if resp.StatusCode != c.status {
				t.Fatalf("%s, want %d: %+v", resp.Status, c.status, errorOf(t, resp))
			}
			if e := errorOf(t, resp); e.Code != c.code || !strings.Contains(e.Message, c.says) {
				t.Errorf("%s: %s (%s), want %s and %q", e.Code, e.Message, e.Remedy, c.code, c.says)
			}
			if c.status == http.StatusMethodNotAllowed && resp.Header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow: %q", resp.Header.Get("Allow"))
			}
		})
	}
}

func first[T any](v T, _ bool, err error) (T, error) { return v, err }

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 3, ""}, {"\n", 3, "\n"}, {"a", 1, "a"}, {"a\nb", 1, "b"}, {"a\nb\n", 1, "b\n"}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\n\n", 1, "\n"}, {"a\nb\n", 9, "a\nb\n"},
	} {
		if got := string(httpapi.LastLines([]byte(c.in), c.n)); got != c.want {
			t.Errorf("last %d of %q: %q, want %q", c.n, c.in, got, c.want)
		}
	}
}

// FuzzDecode: whatever bytes a caller sends, the reader gives a value that the
// checks take or an error with a class of the caller's, a code, and a remedy.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"kind":"desktop"}`, `{"kind":"desktop","viewport":{"width":1e3,"height":null}}`, `{"metadata":{"a":"b"},"kind":7}`,
		`{"kind":"desktop","kind":"x"}`, `[[[[[[`, `{"a/b~c":1}`, "{\"kind\":\"\xff\"}", `{"start_url":"http://[::1","kind":"desktop"}`, `{"vcpu":-9223372036854775809}`,
		`{"kind":"desktop","timeout_seconds":9223372036854775807}`, `null`, `"x"`, `{"kind":"desktop"} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in api.CreateSession
		err := httpapi.DecodeBytes(b, &in)
		if err == nil {
			var n vitrine.NewSession
			n, err = httpapi.NewSession(in, vitrine.Principal{UserID: "alice", Role: vitrine.RoleUser})
			if err == nil && (n.Kind == "" || n.UserID != "alice" || n.Timeout < 0 || n.Timeout > vitrine.MaxTimeout || len(n.StartURL) > vitrine.MaxStartURL) {
				t.Fatalf("let through: %+v", n)
			}
		}
		var e *vitrine.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%v is no error for a caller", err)
		}
		if e != nil && (e.Code == "" || e.Remedy == "" || len(e.Message) > 1000 ||
			(e.Class != vitrine.ClassMalformed && e.Class != vitrine.ClassInvalid && e.Class != vitrine.ClassForbidden)) {
			t.Fatalf("an error that does not help: %+v", e)
		}
	})
}
