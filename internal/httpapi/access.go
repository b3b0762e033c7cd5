package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// dispatch lets a request in, or not, and hands it to its handler.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, rt *route) {
	st := stateOf(r.Context())
	st.route = rt
	if err := s.admitAndHandle(w, r, rt, st); err != nil {
		s.fail(w, r, err)
	}
}

func (s *Server) admitAndHandle(w http.ResponseWriter, r *http.Request, rt *route, st *requestState) error {
	if r.Method == http.MethodHead && rt.kind != plain {
		w.Header().Set("Allow", "GET")
		return vitrine.Errorf(classMethod, "method_not_allowed", "a stream has no HEAD").WithRemedy("use GET")
	}
	if err := s.checkOrigin(r, rt); err != nil {
		return err
	}
	ids, err := s.identify(r, rt)
	st.caller = s.callerOf(r, ids)
	if rt.kind == plain || err != nil {
		if limited := s.calls.take(st.caller); limited != nil {
			return limited
		}
	}
	if err != nil && rt.access != public {
		return err
	}
	if err := checkQuery(r, rt); err != nil {
		return err
	}
	c, err := s.admit(r, rt, ids)
	if err != nil {
		return err
	}
	if c.caller != "" {
		st.caller = c.caller
	}
	if rt.kind == plain {
		defer s.drain.enter()()
	}
	return rt.handle(s, w, r, c)
}

// admit says whether one of the identities may call the route, and as whom.
func (s *Server) admit(r *http.Request, rt *route, ids []identity) (*call, error) {
	if rt.access == public {
		c := &call{}
		if len(ids) > 0 {
			c.identity = ids[0]
		}
		return c, nil
	}
	if rt.path == "/metrics" && fromThisHost(r) {
		return &call{}, nil
	}
	if len(ids) == 0 {
		return nil, vitrine.Errorf(vitrine.ClassUnauthorized, "no_credential", "the call needs an API key, a login or a ticket").
			WithRemedy("send Authorization: Bearer KEY, or open a login link")
	}
	switch rt.access {
	case anyone:
		return &call{identity: ids[0]}, nil
	case user, admin:
		for _, id := range ids {
			if id.Scope == "" && (rt.access == user || id.Role == vitrine.RoleAdmin) {
				return &call{identity: id}, nil
			}
		}
		return nil, forbidden(rt, ids[0])
	}
	return s.admitToSession(r, rt, ids)
}

func (s *Server) admitToSession(r *http.Request, rt *route, ids []identity) (*call, error) {
	id := r.PathValue("id")
	if !vitrine.ValidID(vitrine.PrefixSession, id) {
		return nil, vitrine.NotFound("session", clip(id, 64))
	}
	session, err := s.cfg.Sessions.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	known := -1
	for i, who := range ids {
		switch {
		case allowed(rt.access, who, session):
			return &call{identity: who, session: session, viewer: viewerOf(who, session)}, nil
		case who.SessionID == session.ID:
			known = i
		}
	}
	if known < 0 { // another user's session does not exist for this one
		return nil, vitrine.NotFound("session", id)
	}
	return nil, forbidden(rt, ids[known])
}

func allowed(a access, who identity, session vitrine.Session) bool {
	switch a {
	case owner:
		return who.MayActOn(session.UserID)
	case viewing:
		return who.MayUse(session.ID, session.UserID, vitrine.ScopeView)
	case vnc:
		return who.MayUse(session.ID, session.UserID, vitrine.ScopeVNC)
	case cdp:
		return who.MayUse(session.ID, session.UserID, vitrine.ScopeCDP)
	}
	return false
}

// viewerOf says what the streams let somebody do: all who come in by key or
// login, or by a ticket that is not for looking only, may take control.
func viewerOf(who identity, session vitrine.Session) vitrine.Viewer {
	v := vitrine.Viewer{SessionID: session.ID, Scope: vitrine.ScopeControl, UserID: who.UserID, TicketID: who.TicketID}
	if who.Scope == vitrine.ScopeView {
		v.Scope = vitrine.ScopeView
	}
	return v
}

func forbidden(rt *route, who identity) error {
	if who.Scope != "" {
		return vitrine.Errorf(vitrine.ClassForbidden, "scope_too_small", "a ticket of scope %s does not allow %s %s", who.Scope, rt.method, rt.path).
			WithRemedy("ask the session's owner for a ticket of the scope it needs, or use a key")
	}
	return vitrine.Errorf(vitrine.ClassForbidden, "admin_only", "%s %s is for admins; this is user %s", rt.method, rt.path, who.UserID).
		WithRemedy("use a key or a login with the role admin")
}

// checkQuery refuses parameters that the route does not know: a mistyped ?wait=
// must not be silently without effect. Monitors add their own to the routes
// outside the API, and may.
func checkQuery(r *http.Request, rt *route) error {
	if !strings.HasPrefix(rt.path, "/v1/") && !strings.HasPrefix(rt.path, "/api/") {
		return nil
	}
	for name, values := range r.URL.Query() {
		if !slices.Contains(rt.query, name) {
			e := vitrine.Errorf(vitrine.ClassMalformed, "unknown_parameter", "%s %s has no query parameter %q", rt.method, rt.path, clip(name, 64))
			if len(rt.query) == 0 {
				return e.WithRemedy("leave it out; this call takes none")
			}
			return e.WithRemedy("it takes: %s", strings.Join(rt.query, ", "))
		}
		if len(values) > 1 {
			return vitrine.Errorf(vitrine.ClassMalformed, "repeated_parameter", "the query parameter %q is given %d times", name, len(values)).
				WithRemedy("give it once")
		}
	}
	return nil
}

// fromThisHost says whether a request was made on this host, to this host, and
// not passed on: by address, by name (or a page could reach it by rebinding its
// own name to loopback) and without a proxy's headers.
func fromThisHost(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host := hostname(r.Host)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
