package httpapi

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// The cookies.
const (
	loginCookie  = "vitrine_login"
	viewerCookie = "vitrine_viewer"
)

// identity is a principal and the name under which its calls are counted and
// its live connections are found: "key:…", "login:…", "ticket:…".
type identity struct {
	vitrine.Principal
	caller string
}

// maxCredential bounds what is hashed and looked up; ours have 47 bytes.
const maxCredential = 256

// identify finds who makes the request. A key or a ?ticket= stands alone; of the
// cookies a browser sends by itself both may be good, and then the login comes
// first. It gives none and no error when there is no credential that it knows
// of, and an error when there is one that is worth nothing.
func (s *Server) identify(r *http.Request, rt *route) ([]identity, error) {
	if secret, ok := headerKey(r); ok {
		id, err := s.byKey(r, secret)
		if err != nil {
			return nil, err
		}
		return []identity{id}, nil
	}
	if rt.kind == socket {
		if q := r.URL.Query(); q.Has("ticket") {
			id, err := s.byTicket(r, q.Get("ticket"))
			if err != nil {
				return nil, err
			}
			return []identity{id}, nil
		}
	}
	var ids []identity
	for _, c := range r.Cookies() {
		if len(c.Value) > maxCredential || c.Value == "" {
			continue
		}
		var id identity
		var err error
		switch c.Name {
		case loginCookie:
			id, err = s.byLogin(r, c.Value)
		case viewerCookie:
			id, err = s.byViewer(r, c.Value)
		default:
			continue
		}
		switch {
		case vitrine.ClassOf(err) == vitrine.ClassInternal && err != nil:
			return nil, err
		case err != nil: // worth nothing any more
		case c.Name == loginCookie:
			ids = append([]identity{id}, ids...)
		case len(ids) < 3: // one viewer cookie for the path, and room for doubt
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// headerKey gives the key of a header. Authorization of another scheme is not
// ours: a proxy in front may use it.
func headerKey(r *http.Request) (string, bool) {
	if v := r.Header.Get("X-API-Key"); v != "" {
		return v, true
	}
	scheme, v, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(v), true
	}
	return "", false
}

func (s *Server) byKey(r *http.Request, secret string) (identity, error) {
	bad := vitrine.Errorf(vitrine.ClassUnauthorized, "invalid_key", "the API key is not known").
		WithRemedy("make one with POST /v1/keys, or set VITRINE_ADMIN_KEY and start the daemon again")
	if secret == "" || len(secret) > maxCredential {
		return identity{}, bad
	}
	k, err := s.cfg.Auth.KeyByHash(r.Context(), hashOf(secret))
	if err != nil {
		return identity{}, unknownIs(err, bad)
	}
	return identity{vitrine.Principal{UserID: k.UserID, Role: k.Role}, keyCaller(k.ID)}, nil
}

func (s *Server) byLogin(r *http.Request, secret string) (identity, error) {
	hash := hashOf(secret)
	bad := vitrine.Errorf(vitrine.ClassUnauthorized, "login_expired", "the login is over").
		WithRemedy("open a new login link")
	l, err := s.cfg.Auth.LoginByHash(r.Context(), hash)
	if err != nil {
		return identity{}, unknownIs(err, bad)
	}
	if l.Link || !s.now().Before(l.ExpiresAt) {
		return identity{}, bad
	}
	return identity{vitrine.Principal{UserID: l.UserID, Role: l.Role}, loginCaller(hash)}, nil
}

func (s *Server) byViewer(r *http.Request, secret string) (identity, error) {
	bad := vitrine.Errorf(vitrine.ClassUnauthorized, "ticket_revoked", "the ticket is worth nothing any more").
		WithRemedy("ask for a new link")
	t, err := s.cfg.Auth.TicketByCookie(r.Context(), hashOf(secret))
	if err != nil {
		return identity{}, unknownIs(err, bad)
	}
	if !t.RevokedAt.IsZero() {
		return identity{}, bad
	}
	return ofTicket(t), nil
}

// byTicket takes a ticket straight from a socket's address: then nothing is left
// to come back by.
func (s *Server) byTicket(r *http.Request, secret string) (identity, error) {
	if secret == "" || len(secret) > maxCredential {
		return identity{}, errTicket()
	}
	t, err := s.cfg.Auth.RedeemTicket(r.Context(), hashOf(secret), [32]byte{}, s.now())
	if err != nil {
		return identity{}, unknownIs(err, errTicket())
	}
	return ofTicket(t), nil
}

func errTicket() *vitrine.Error {
	return vitrine.Errorf(vitrine.ClassUnauthorized, "invalid_ticket", "the ticket is not known, was used, was revoked or is too old").
		WithRemedy("ask for a new link; each works once")
}

func ofTicket(t vitrine.Ticket) identity {
	return identity{vitrine.Principal{UserID: t.UserID, SessionID: t.SessionID, Scope: t.Scope, TicketID: t.ID}, ticketCaller(t.ID)}
}

func ticketCaller(id string) string    { return "ticket:" + id }
func keyCaller(id string) string       { return "key:" + id }
func loginCaller(hash [32]byte) string { return "login:" + hex.EncodeToString(hash[:6]) }

// unknownIs turns "there is none" into bad, and leaves faults of the store as
// they are.
func unknownIs(err error, bad *vitrine.Error) error {
	switch vitrine.ClassOf(err) {
	case vitrine.ClassNotFound, vitrine.ClassUnauthorized:
		return bad
	}
	return err
}
