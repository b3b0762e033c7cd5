package httpapi

import (
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// How long a ticket may be redeemed, in seconds.
const (
	minTicketLife = 10
	ticketLife    = 300
	maxTicketLife = 86_400
)

func createTicket(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.CreateTicket
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	switch in.Scope {
	case vitrine.ScopeView, vitrine.ScopeControl, vitrine.ScopeVNC, vitrine.ScopeCDP:
	case "":
		return invalid("scope", "is missing").WithRemedy("one of view, control, cdp, vnc")
	default:
		return invalid("scope", "is %q", clip(string(in.Scope), 64)).WithRemedy("one of view, control, cdp, vnc")
	}
	ttl := int64(ticketLife)
	if in.TTLSeconds != nil {
		ttl = *in.TTLSeconds
	}
	if ttl < minTicketLife || ttl > maxTicketLife {
		return invalid("ttl_seconds", "is %d", ttl).WithRemedy("%d to %d seconds", minTicketLife, maxTicketLife)
	}
	if c.session.State.Over() {
		return ready(c.session)
	}
	t, secret, err := s.makeTicket(r, c, in.Scope, time.Duration(ttl)*time.Second)
	if err != nil {
		return err
	}
	link := s.base(r) + "/view/" + t.SessionID + "#ticket=" + secret
	if in.Scope == vitrine.ScopeVNC || in.Scope == vitrine.ScopeCDP {
		link = socketBase(s.base(r)) + "/v1/sessions/" + t.SessionID + "/" + string(in.Scope) + "?ticket=" + secret
	}
	reply(w, http.StatusCreated, api.Ticket{
		ID: t.ID, SessionID: t.SessionID, Scope: t.Scope, Ticket: secret, URL: link, ExpiresAt: t.ExpiresAt.UTC(),
	})
	return nil
}

// makeTicket keeps a ticket for the session's own user: an admin's ticket lets
// nobody in as the admin.
func (s *Server) makeTicket(r *http.Request, c *call, scope vitrine.Scope, life time.Duration) (vitrine.Ticket, string, error) {
	now := s.now()
	secret, hash := newSecret(ticketPrefix)
	t := vitrine.Ticket{
		ID: vitrine.NewID(vitrine.PrefixTicket, now), Hash: hash, SessionID: c.session.ID, UserID: c.session.UserID,
		Scope: scope, CreatedAt: now, ExpiresAt: now.Add(life),
	}
	return t, secret, s.cfg.Auth.PutTicket(r.Context(), t)
}

func revokeTicket(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	id := r.PathValue("ticket_id")
	t, err := vitrine.Ticket{}, error(vitrine.NotFound("ticket", clip(id, 64)))
	if vitrine.ValidID(vitrine.PrefixTicket, id) {
		t, err = s.cfg.Auth.Ticket(r.Context(), id)
	}
	if err == nil && t.SessionID != c.session.ID {
		err = vitrine.NotFound("ticket", id)
	}
	if err != nil {
		return err
	}
	if err := s.cfg.Auth.RevokeTicket(r.Context(), id, s.now()); err != nil {
		return err
	}
	s.cfg.Streams.CloseTicket(id)
	s.live.putOut(ticketCaller(id))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// redeemTicket turns a ticket into a cookie that a browser sends to this
// session's paths only, so that two viewers in one browser do not get in each
// other's way. /v1/me and the ICE servers know the last one redeemed.
func redeemTicket(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	var in api.RedeemTicket
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.Ticket == "" {
		return invalid("ticket", "is missing").WithRemedy("send the secret of a ticket")
	}
	if len(in.Ticket) > maxCredential {
		return errTicket()
	}
	secret, hash := newSecret(cookiePrefix)
	t, err := s.cfg.Auth.RedeemTicket(r.Context(), hashOf(in.Ticket), hash, s.now())
	if err != nil {
		return unknownIs(err, errTicket())
	}
	for _, path := range []string{"/v1/sessions/" + t.SessionID, "/api/webrtc/session/" + t.SessionID, "/api/webrtc/ice-servers", "/v1/me"} {
		http.SetCookie(w, s.cookie(r, viewerCookie, secret, path, 0))
	}
	reply(w, http.StatusOK, api.RedeemedTicket{SessionID: t.SessionID, Scope: t.Scope})
	return nil
}

// cookie makes one that scripts cannot read and foreign pages cannot cause to be
// sent. life 0 means until the browser closes, negative means delete.
func (s *Server) cookie(r *http.Request, name, value, path string, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: path, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.secure(r)}
	if life < 0 {
		c.MaxAge = -1
	} else {
		c.MaxAge = int(life / time.Second)
	}
	return c
}
