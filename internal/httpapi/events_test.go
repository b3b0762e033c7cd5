package httpapi_test

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/schema_validation"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// sse reads one stream's lines.
type sse struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

func (r *rig) events(path string, header ...string) *sse {
	r.t.Helper()
	resp := r.call("GET", path, "", header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%s: %s", path, resp.Status)
	}
	s := &sse{t: r.t, resp: resp, lines: bufio.NewScanner(resp.Body)}
	if got := s.next(); !strings.HasPrefix(got, "retry: 1000\nid: ") {
		r.t.Fatalf("the stream begins with %q", got)
	}
	return s
}

// next gives one block; "" at the end of the stream.
func (s *sse) next() string {
	var block []string
	for s.lines.Scan() {
		if s.lines.Text() == "" {
			return strings.Join(block, "\n")
		}
		block = append(block, s.lines.Text())
	}
	return strings.Join(block, "\n")
}

func (s *sse) id() string {
	s.t.Helper()
	id, _, _ := strings.Cut(strings.TrimPrefix(s.next(), "id: "), "\n")
	return id
}

func TestEventsAreAsTheContractSays(t *testing.T) {
	r := newRig(t)
	s := r.ready("alice")
	r.phase(s.ID, vitrine.Phase{Name: vitrine.PhaseImage, StartedAt: r.clock(), Outcome: vitrine.OutcomeRunning})
	f := vitrine.NewFailure(vitrine.FailGuestOOM, nil, "out of memory")
	r.move(s.ID, vitrine.StateFailed, func(s *vitrine.Session) { s.Failure, s.EndedReason = f, vitrine.EndedGuestOOM })
	doc, _ := contract()
	proxy, _ := doc.Components.Schemas.Get("Event")
	check := schema_validation.NewSchemaValidator(config.WithFormatAssertions())
	stream := r.events("/v1/sessions/"+s.ID+"/events?after=0", bearer(aliceKey)...)
	for i := range 5 {
		lines := strings.Split(stream.next(), "\n")
		if lines[0] != "id: "+strconv.Itoa(i+1) || !strings.HasPrefix(lines[1], "event: ") || len(lines) != 3 {
			t.Fatalf("event %d is %q", i+1, lines)
		}
		data := strings.TrimPrefix(lines[2], "data: ")
		if ok, faults := check.ValidateSchemaBytesWithVersion(proxy.Schema(), []byte(data), 3.1); !ok {
			t.Errorf("%s\n%v", data, faults[0].SchemaValidationErrors)
		}
	}
}

// TestAStreamThatBrokeGoesOnWhereItWas: every event once and in order, whatever
// the connection does, also when it breaks before the first event.
func TestAStreamThatBrokeGoesOnWhereItWas(t *testing.T) {
	r := newRig(t)
	s := r.ready("alice") // events 1 to 3
	url := "/v1/sessions/" + s.ID + "/events"
	stream := r.events(url, bearer(aliceKey)...)
	r.phase(s.ID, vitrine.Phase{Name: vitrine.PhaseImage, Outcome: vitrine.OutcomeOK}) // 4
	if id := stream.id(); id != "4" {
		t.Fatalf("a stream without a place began with %s", id)
	}
	_ = stream.resp.Body.Close()
	for range 250 { // more than a batch, while nobody listens
		r.phase(s.ID, vitrine.Phase{Name: vitrine.PhaseAgent, Outcome: vitrine.OutcomeRunning})
	}
	r.ready("alice") // another session's events come in between
	r.phase(s.ID, vitrine.Phase{Name: vitrine.PhaseBrowser, Outcome: vitrine.OutcomeOK})
	stream = r.events(url, append(bearer(aliceKey), "Last-Event-ID", "4")...)
	for want := 5; want <= 254; want++ {
		if id := stream.id(); id != strconv.Itoa(want) {
			t.Fatalf("%s came, want %d", id, want)
		}
	}
	if id := stream.id(); id != "258" {
		t.Errorf("%s came, want 258: the other session's are not for this stream", id)
	}

	ctx, got := t.Context(), 0
	after := int64(4)
	for e, err := range r.client(aliceKey).Events(ctx, client.EventOptions{SessionID: s.ID, After: &after}) {
		if err != nil || e.ID <= after {
			t.Fatal(e.ID, after, err)
		}
		if after, got = e.ID, got+1; got == 251 {
			break
		}
	}
	stream = r.events(url, append(bearer(aliceKey), "Last-Event-ID", "999999")...) // of a log that was begun anew
	r.phase(s.ID, vitrine.Phase{Name: vitrine.PhaseBrowser, Outcome: vitrine.OutcomeOK})
	if id := stream.id(); id != "259" {
		t.Errorf("after an id of the future came %s", id)
	}
}

func TestAUserHearsOfTheirOwnSessionsOnly(t *testing.T) {
	r := newRig(t)
	alice, all := r.events("/v1/events", bearer(aliceKey)...), r.events("/v1/events", bearer(adminKey)...)
	r.ready("bob")
	r.ready("alice")
	if id := alice.id(); id != "4" {
		t.Errorf("alice heard %s first", id)
	}
	if id := all.id(); id != "1" {
		t.Errorf("the admin heard %s first", id)
	}
}

func TestAViewerDoesNotSeeTheOwnersLabels(t *testing.T) {
	m := newMatrixRig(t)
	h := m.credential("view")
	for _, path := range []string{"/v1/sessions/" + m.session.ID, "/v1/sessions/" + m.session.ID + "/events?after=0"} {
		resp := m.call("GET", path, "", h...)
		buf := make([]byte, 8192)
		n, _ := resp.Body.Read(buf)
		for !strings.Contains(string(buf[:n]), m.session.ID) {
			k, err := resp.Body.Read(buf[n:])
			if n += k; err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(string(buf[:n]), "secret-label") || strings.Contains(string(buf[:n]), `/cdp"`) {
			t.Errorf("%s shows a viewer %s", path, buf[:n])
		}
	}
}

func TestAStreamEndsWithItsCredential(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(m *matrixRig, header []string)
	}{
		{"ticket revoked", func(m *matrixRig, _ []string) {
			for id := range m.tickets {
				m.call("DELETE", "/v1/sessions/"+m.session.ID+"/tickets/"+id, "", bearer(aliceKey)...)
			}
		}},
		{"logged out", func(m *matrixRig, h []string) { m.call("POST", "/v1/logout", "", h...) }},
		{"key deleted", func(m *matrixRig, _ []string) {
			for id, k := range m.keys {
				if k.Name == "alice" {
					m.call("DELETE", "/v1/keys/"+id, "", bearer(adminKey)...)
				}
			}
		}},
		{"login expired", func(m *matrixRig, _ []string) { m.advance(31 * 24 * time.Hour) }},
		{"daemon shut down", func(m *matrixRig, _ []string) { m.server.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMatrixRig(t)
			m.server.SetKeepalive(5 * time.Millisecond)
			var h []string
			switch c.name {
			case "ticket revoked":
				h = m.credential("view")
			case "key deleted":
				h = m.credential("owner")
			default:
				h = m.login("alice", vitrine.RoleUser)
			}
			stream := m.events("/v1/sessions/"+m.session.ID+"/events", h...)
			conn := m.dial("signal", h)
			if got := stream.next(); got != ": keepalive" {
				t.Fatalf("%q, want a keepalive", got)
			}
			c.end(m, h)
			for stream.next() != "" { // keepalives until the end
			}
			if c.name != "login expired" { // sockets have no keepalive of ours: they go on until they end
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
					t.Errorf("the socket stays open: %v", err)
				}
			}
		})
	}
}

func TestShutdownDoesNotWaitForStreams(t *testing.T) {
	r := newRig(t)
	stream := r.events("/v1/events", bearer(aliceKey)...)
	r.server.Close()
	for stream.next() != "" {
	}
	if resp := r.call("GET", "/v1/events", "", bearer(aliceKey)...); errorOf(t, resp).Code != "shutting_down" {
		t.Errorf("a new stream: %s", resp.Status)
	}
}
