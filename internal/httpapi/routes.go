package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// access says who may call a route; the words are those of x-access in
// openapi.yaml.
type access string

const (
	public  access = "public"
	anyone  access = "anyone" // a valid credential of any kind
	user    access = "user"   // a key or a dashboard login
	admin   access = "admin"  // one of those with the role admin
	owner   access = "owner"  // the session's user, or an admin
	viewing access = "view"   // those, and tickets that cover the scope
	vnc     access = "vnc"
	cdp     access = "cdp"
)

// kind says how a route's connection lives.
type kind int

const (
	plain  kind = iota
	stream      // server-sent events: not counted by the rate limit
	socket      // a WebSocket: likewise, and takes ?ticket=
)

// call is one request whose caller has been let in.
type call struct {
	identity
	session vitrine.Session // of routes below /sessions/{id}
	viewer  vitrine.Viewer  // likewise, for the streams
}

type handler func(s *Server, w http.ResponseWriter, r *http.Request, c *call) error

// route is one operation of the contract.
type route struct {
	method, path string
	access       access
	kind         kind
	query        []string // the parameters it knows; others are refused
	handle       handler
}

// table is every operation, in the order of openapi.yaml.
var table = []route{
	{"POST", "/v1/sessions", user, plain, []string{"wait"}, createSession},
	{"GET", "/v1/sessions", user, plain, []string{"state", "user_id", "limit", "cursor"}, listSessions},
	{"GET", "/v1/sessions/{id}", viewing, plain, nil, getSession},
	{"PATCH", "/v1/sessions/{id}", owner, plain, nil, updateSession},
	{"DELETE", "/v1/sessions/{id}", owner, plain, []string{"wait"}, deleteSession},
	{"GET", "/v1/sessions/{id}/boot", viewing, plain, nil, getBoot},
	{"GET", "/v1/sessions/{id}/console", owner, plain, []string{"tail"}, getConsole},
	{"GET", "/v1/sessions/{id}/events", viewing, stream, []string{"after"}, streamEvents},
	{"GET", "/v1/events", user, stream, []string{"after"}, streamEvents},
	{"POST", "/v1/sessions/{id}/exec", owner, plain, nil, execute},
	{"GET", "/v1/sessions/{id}/screenshot", viewing, plain, nil, getScreenshot},

	{"GET", "/v1/sessions/{id}/bundle", owner, plain, nil, getBundle},

	{"POST", "/v1/sessions/{id}/tickets", owner, plain, nil, createTicket},
	{"DELETE", "/v1/sessions/{id}/tickets/{ticket_id}", owner, plain, nil, revokeTicket},
	{"POST", "/v1/tickets/redeem", public, plain, nil, redeemTicket},

	{"GET", "/v1/sessions/{id}/signal", viewing, socket, []string{"ticket", "resume"}, connectSignal},
	{"GET", "/v1/sessions/{id}/vnc", vnc, socket, []string{"ticket", "viewer"}, connectVNC},
	{"GET", "/v1/sessions/{id}/cdp", cdp, socket, []string{"ticket"}, connectCDP},
	{"GET", "/v1/sessions/{id}/cdp/json/version", owner, plain, nil, getCDPVersion},

	{"POST", "/v1/sessions/{id}/whep", viewing, plain, nil, createWHEP},
	{"PATCH", "/v1/sessions/{id}/whep/{resource}", viewing, plain, nil, patchWHEP},
	{"DELETE", "/v1/sessions/{id}/whep/{resource}", viewing, plain, nil, deleteWHEP},
	{"GET", "/api/webrtc/ice-servers", anyone, plain, nil, getICEServers},
	{"POST", "/api/webrtc/session/{id}/offer", viewing, plain, nil, postOffer},
	{"GET", "/api/webrtc/session/{id}/answer", viewing, plain, nil, getAnswer},
	{"POST", "/api/webrtc/session/{id}/candidates", viewing, plain, nil, postCandidate},
	{"GET", "/api/webrtc/session/{id}/candidates", viewing, plain, nil, getCandidates},

	{"POST", "/v1/login", public, plain, nil, login},
	{"POST", "/v1/logout", public, plain, nil, logout},
	{"GET", "/v1/me", anyone, plain, nil, getMe},
	{"GET", "/v1/keys", admin, plain, nil, listKeys},
	{"POST", "/v1/keys", admin, plain, nil, createKey},
	{"DELETE", "/v1/keys/{key_id}", admin, plain, nil, deleteKey},
	{"GET", "/v1/ssh-keys", user, plain, nil, listSSHKeys},
	{"POST", "/v1/ssh-keys", user, plain, nil, addSSHKey},
	{"DELETE", "/v1/ssh-keys/{ssh_key_id}", user, plain, nil, removeSSHKey},
	{"POST", "/v1/login-links", admin, plain, nil, createLoginLink},

	{"GET", "/v1/images", user, plain, nil, listImages},
	{"GET", "/v1/status", user, plain, nil, getStatus},
	{"GET", "/v1/host/doctor", admin, plain, nil, getDoctor},
	{"GET", "/v1/host/audit", admin, plain, nil, getAudit},
	{"POST", "/v1/host/gc", admin, plain, nil, postCollect},
	{"GET", "/health", public, plain, nil, getHealth},
	{"GET", "/metrics", admin, plain, nil, getMetrics},
	{"GET", "/version", public, plain, nil, getVersion},
}

// playwrightVersion is where Playwright asks for the version: with a slash.
const playwrightVersion = "/v1/sessions/{id}/cdp/json/version/{$}"

func (s *Server) routes() {
	for _, rt := range table {
		s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, &rt) })
		if strings.HasSuffix(rt.path, "/cdp/json/version") {
			s.mux.HandleFunc(rt.method+" "+playwrightVersion, func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, &rt) })
		}
	}
	for _, prefix := range []string{"/v1/", "/api/"} {
		s.mux.HandleFunc(prefix, s.noRoute)
	}
	s.mux.HandleFunc("/", s.page)
}

// page serves the web page, and says so plainly where there is none.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Web == nil || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		s.noRoute(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Del("Cache-Control")
	s.cfg.Web.ServeHTTP(w, r)
}

// noRoute tells a wrong path from a wrong method on a right path.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		try := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(try); strings.HasPrefix(pattern, m+" ") {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, r, vitrine.Errorf(classMethod, "method_not_allowed", "%s does not take %s", clip(r.URL.Path, 200), clip(r.Method, 20)).
			WithRemedy("use %s", strings.Join(allowed, " or ")))
		return
	}
	s.fail(w, r, vitrine.Errorf(vitrine.ClassNotFound, "no_such_route", "there is nothing at %s", clip(r.URL.Path, 200)).
		WithRemedy("api/openapi.yaml lists every path"))
}
