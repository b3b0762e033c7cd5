package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// specOp is what the contract says of one operation.
type specOp struct {
	access string
	query  []string
}

// spec is every operation of openapi.yaml, by "METHOD path".
func spec(t *testing.T) map[string]specOp {
	t.Helper()
	doc, _ := contract()
	ops := map[string]specOp{}
	for path, item := range doc.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			node, ok := op.Extensions.Get("x-access")
			if !ok {
				t.Errorf("%s %s does not say x-access", method, path)
				continue
			}
			o := specOp{access: node.Value}
			for _, p := range op.Parameters {
				if p.In == "query" {
					o.query = append(o.query, p.Name)
				}
			}
			for _, req := range op.Security {
				for p := range req.Requirements.FromOldest() {
					if p == "ticket" {
						o.query = append(o.query, "ticket")
					}
				}
			}
			slices.Sort(o.query)
			ops[strings.ToUpper(method)+" "+path] = o
		}
	}
	return ops
}

// TestRoutesAreTheContracts: the same operations, the same access words, the
// same query parameters, on both sides.
func TestRoutesAreTheContracts(t *testing.T) {
	ops, rows, queries := spec(t), httpapi.RouteAccess(), httpapi.RouteQuery()
	for op, want := range ops {
		if got, ok := rows[op]; !ok || got != want.access {
			t.Errorf("%s: openapi.yaml says x-access %s, the route table %q", op, want.access, got)
		}
		got := slices.Clone(queries[op])
		slices.Sort(got)
		if !slices.Equal(got, want.query) {
			t.Errorf("%s: openapi.yaml says the query parameters %v, the route table %v", op, want.query, got)
		}
	}
	for op := range rows {
		if _, ok := ops[op]; !ok {
			t.Errorf("%s is not in openapi.yaml", op)
		}
	}
}

// The callers of the matrix, in the order of its columns.
var callers = []string{"admin", "owner", "other", "control", "view", "vnc", "cdp", "revoked", "expired", "none"}

// matrix is what each caller gets on each route: a status. It is written out by
// hand, so that a slip in the access table shows. A route without a row fails.
var matrix = map[string][]int{
	//                                                    admin own  oth  ctl  view vnc  cdp  rev  exp  none
	"POST /v1/sessions":                            {202, 202, 202, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/sessions":                             {200, 200, 200, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}":                        {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"PATCH /v1/sessions/{id}":                      {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"DELETE /v1/sessions/{id}":                     {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/boot":                   {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/console":                {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/events":                 {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"GET /v1/events":                               {200, 200, 200, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/sessions/{id}/exec":                  {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/screenshot":             {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/bundle":                 {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/sessions/{id}/tickets":               {201, 201, 404, 403, 403, 403, 403, 401, 401, 401},
	"DELETE /v1/sessions/{id}/tickets/{ticket_id}": {204, 204, 404, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/tickets/redeem":                      {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /v1/sessions/{id}/signal":                 {101, 101, 404, 101, 101, 403, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/vnc":                    {101, 101, 404, 101, 101, 101, 403, 401, 401, 401},
	"GET /v1/sessions/{id}/cdp":                    {101, 101, 404, 403, 403, 403, 101, 401, 401, 401},
	"GET /v1/sessions/{id}/cdp/json/version":       {200, 200, 404, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/sessions/{id}/whep":                  {201, 201, 404, 201, 201, 403, 403, 401, 401, 401},
	"PATCH /v1/sessions/{id}/whep/{resource}":      {204, 204, 404, 204, 204, 403, 403, 401, 401, 401},
	"DELETE /v1/sessions/{id}/whep/{resource}":     {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"GET /api/webrtc/ice-servers":                  {200, 200, 200, 200, 200, 200, 200, 401, 401, 401},
	"POST /api/webrtc/session/{id}/offer":          {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"GET /api/webrtc/session/{id}/answer":          {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"POST /api/webrtc/session/{id}/candidates":     {204, 204, 404, 204, 204, 403, 403, 401, 401, 401},
	"GET /api/webrtc/session/{id}/candidates":      {200, 200, 404, 200, 200, 403, 403, 401, 401, 401},
	"POST /v1/login":                               {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
	"POST /v1/logout":                              {204, 204, 204, 204, 204, 204, 204, 204, 204, 204},
	"GET /v1/me":                                   {200, 200, 200, 200, 200, 200, 200, 401, 401, 401},
	"GET /v1/keys":                                 {200, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/keys":                                {201, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"DELETE /v1/keys/{key_id}":                     {204, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/ssh-keys":                             {200, 200, 200, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/ssh-keys":                            {201, 201, 201, 403, 403, 403, 403, 401, 401, 401},
	"DELETE /v1/ssh-keys/{ssh_key_id}":             {204, 204, 404, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/login-links":                         {201, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/images":                               {200, 200, 200, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/status":                               {200, 200, 200, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/host/doctor":                          {200, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"GET /v1/host/audit":                           {200, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"POST /v1/host/gc":                             {200, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"GET /health":                                  {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /metrics":                                 {200, 403, 403, 403, 403, 403, 403, 401, 401, 401},
	"GET /version":                                 {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
}

// TestWhoMayDoWhat tries every route as every caller, each in a world of its own
// where alice has a ready desktop.
func TestWhoMayDoWhat(t *testing.T) {
	for op := range spec(t) {
		row, ok := matrix[op]
		if !ok || len(row) != len(callers) {
			t.Errorf("%s has no whole row in the matrix", op)
			continue
		}
		t.Run(op, func(t *testing.T) {
			for i, who := range callers {
				m := newMatrixRig(t)
				credential := m.credential(who)
				if got := m.try(op, credential); got != row[i] {
					t.Errorf("%s by %s: %d, want %d", op, who, got, row[i])
				}
			}
		})
	}
}

// TestATicketIsForItsOwnSession: on another session of the same user it finds
// nothing.
func TestATicketIsForItsOwnSession(t *testing.T) {
	for op, o := range spec(t) {
		if !strings.Contains(op, "{id}") {
			continue
		}
		m := newMatrixRig(t)
		credential := m.credential("control")
		m.advance(time.Second)
		m.session = m.ready("alice")
		if got := m.try(op, credential); got != http.StatusNotFound {
			t.Errorf("%s (%s) by a ticket of another session: %d", op, o.access, got)
		}
	}
}

type matrixRig struct {
	*rig
	session vitrine.Session
	jar     string
}

func newMatrixRig(t *testing.T) *matrixRig {
	m := &matrixRig{rig: newRig(t)}
	m.session = m.ready("alice")
	for k := range m.keys {
		m.jar = k
	}
	return m
}

// credential gives the headers of a caller.
func (m *matrixRig) credential(who string) []string {
	m.t.Helper()
	ctx, alice := m.t.Context(), m.client(aliceKey)
	redeem := func(scope vitrine.Scope) (api.Ticket, []string) {
		tk := must[api.Ticket](m.t)(alice.CreateTicket(ctx, m.session.ID, client.CreateTicket{Scope: scope}))
		resp := m.call("POST", "/v1/tickets/redeem", `{"ticket":"`+tk.Ticket+`"}`)
		return tk, []string{"Cookie", "vitrine_viewer=" + resp.Cookies()[0].Value}
	}
	switch who {
	case "admin":
		return bearer(adminKey)
	case "owner":
		return []string{"X-API-Key", aliceKey}
	case "other":
		return bearer(bobKey)
	case "revoked":
		tk, h := redeem(vitrine.ScopeControl)
		if err := alice.RevokeTicket(ctx, m.session.ID, tk.ID); err != nil {
			m.t.Fatal(err)
		}
		return h
	case "expired": // a login, thirty days and an hour later
		h := m.login("alice", vitrine.RoleUser)
		m.advance(30*24*time.Hour + time.Hour)
		return h
	case "none":
		return nil
	}
	_, h := redeem(vitrine.Scope(who))
	return h
}

func (r *rig) login(userID string, role vitrine.Role) []string {
	r.t.Helper()
	link, _, err := httpapi.LoginLink(r.t.Context(), r.world, r.url, userID, role, r.clock())
	if err != nil {
		r.t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#")
	resp := r.call("POST", "/v1/login", `{"token":"`+token+`"}`)
	if len(resp.Cookies()) != 1 {
		r.t.Fatalf("logging in: %s", resp.Status)
	}
	return []string{"Cookie", "vitrine_login=" + resp.Cookies()[0].Value}
}

// try makes a good call of an operation, with what it needs made ready.
func (m *matrixRig) try(op string, credential []string) int {
	m.t.Helper()
	method, path, _ := strings.Cut(op, " ")
	body, header := "", slices.Clone(credential)
	switch op {
	case "POST /v1/sessions":
		body = `{"kind":"desktop"}`
	case "PATCH /v1/sessions/{id}":
		body = `{"timeout_seconds":60}`
	case "POST /v1/sessions/{id}/exec":
		body = `{"command":["true"]}`
	case "POST /v1/sessions/{id}/tickets":
		body = `{"scope":"view"}`
	case "POST /v1/tickets/redeem":
		tk := must[api.Ticket](m.t)(m.client(adminKey).CreateTicket(m.t.Context(), m.session.ID, client.CreateTicket{Scope: vitrine.ScopeView}))
		body = `{"ticket":"` + tk.Ticket + `"}`
	case "POST /v1/login":
		link, _, _ := httpapi.LoginLink(m.t.Context(), m.world, m.url, "x", vitrine.RoleUser, m.clock())
		body = `{"token":"` + link[strings.Index(link, "#")+1:] + `"}`
	case "POST /v1/host/gc":
		body = `{"dry_run":true}`
	case "POST /v1/keys":
		body = `{"name":"ci"}`
	case "POST /v1/ssh-keys":
		body = `{"name":"laptop","public_key":"` + testSSHKey + `"}`
	case "POST /v1/login-links":
		body = `{}`
	case "POST /api/webrtc/session/{id}/offer":
		body = `{"type":"offer","sdp":"v=0"}`
	case "POST /api/webrtc/session/{id}/candidates":
		body = `{"candidate":""}`
	case "POST /v1/sessions/{id}/whep":
		body, header = "v=0", append(header, "Content-Type", "application/sdp")
	case "PATCH /v1/sessions/{id}/whep/{resource}":
		body, header = "a=candidate", append(header, "Content-Type", "application/trickle-ice-sdpfrag")
	case "GET /api/webrtc/session/{id}/answer":
		m.call("POST", "/api/webrtc/session/"+m.session.ID+"/offer", `{"type":"offer","sdp":"v=0"}`, credential...)
	case "GET /v1/sessions/{id}/signal", "GET /v1/sessions/{id}/vnc", "GET /v1/sessions/{id}/cdp":
		header = append(header, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	case "GET /v1/sessions/{id}/bundle":
		m.move(m.session.ID, vitrine.StateFailed, func(s *vitrine.Session) {
			s.Failure = vitrine.NewFailure(vitrine.FailBrowserCrashed, nil, "chromium: left")
		})
		m.keep(m.session.ID, "a bundle")
	case "GET /metrics": // as from outside
		header = append(header, "X-Forwarded-For", "192.0.2.1")
	}
	ticketID := ""
	if strings.Contains(op, "{ticket_id}") {
		tk := must[api.Ticket](m.t)(m.client(adminKey).CreateTicket(m.t.Context(), m.session.ID, client.CreateTicket{Scope: vitrine.ScopeView}))
		ticketID = tk.ID
	}
	sshKeyID := ""
	if strings.Contains(op, "{ssh_key_id}") {
		sshKeyID = must[api.SSHKey](m.t)(m.client(aliceKey).AddSSHKey(m.t.Context(), api.AddSSHKey{Name: "laptop", PublicKey: testSSHKey})).ID
	}
	path = strings.NewReplacer("{ssh_key_id}", sshKeyID, "{id}", m.session.ID, "{resource}", "res1", "{key_id}", m.jar, "{ticket_id}", ticketID).Replace(path)
	return m.call(method, path, body, header...).StatusCode
}
