package httpapi

import (
	"net/http"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

func login(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if err := s.logins.take(addrCaller(s.clientAddr(r))); err != nil {
		return err
	}
	var in api.Login
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.Token == "" {
		return invalid("token", "is missing").WithRemedy("send what stands after # in the login link")
	}
	bad := vitrine.Errorf(vitrine.ClassUnauthorized, "invalid_login_link", "the login link is not known, was used or is older than %s", linkLife).
		WithRemedy("make a new one: POST /v1/login-links, or start the daemon again, which prints one")
	if len(in.Token) > maxCredential {
		return bad
	}
	l, err := s.cfg.Auth.TakeLogin(r.Context(), hashOf(in.Token))
	if err != nil {
		return unknownIs(err, bad)
	}
	now := s.now()
	if !l.Link || !now.Before(l.ExpiresAt) {
		return bad
	}
	secret, hash := newSecret(cookiePrefix)
	err = s.cfg.Auth.PutLogin(r.Context(), vitrine.Login{Hash: hash, UserID: l.UserID, Role: l.Role, CreatedAt: now, ExpiresAt: now.Add(loginLife)})
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(r, loginCookie, secret, "/", loginLife))
	reply(w, http.StatusOK, api.Me{UserID: l.UserID, Role: l.Role})
	return nil
}

func logout(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if cookie, err := r.Cookie(loginCookie); err == nil && cookie.Value != "" && len(cookie.Value) <= maxCredential {
		hash := hashOf(cookie.Value)
		if err := s.cfg.Auth.DeleteLogin(r.Context(), hash); err != nil && vitrine.ClassOf(err) != vitrine.ClassNotFound {
			return err
		}
		s.live.putOut(loginCaller(hash))
	}
	http.SetCookie(w, s.cookie(r, loginCookie, "", "/", -1))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func getMe(_ *Server, w http.ResponseWriter, _ *http.Request, c *call) error {
	me := api.Me{UserID: c.UserID, Role: c.Role}
	if c.Scope != "" {
		me.Role, me.SessionID, me.Scope = api.RoleViewer, c.SessionID, c.Scope
	}
	reply(w, http.StatusOK, me)
	return nil
}

func createLoginLink(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.CreateLoginLink
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	userID, role := c.UserID, c.Role
	if in.UserID != "" && in.UserID != c.UserID {
		userID, role = in.UserID, vitrine.RoleUser
	}
	if in.Role != "" {
		role = in.Role
	}
	if err := checkUserAndRole(userID, role); err != nil {
		return err
	}
	link, expires, err := LoginLink(r.Context(), s.cfg.Auth, s.base(r), userID, role, s.now())
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, api.LoginLink{URL: link, ExpiresAt: expires.UTC()})
	return nil
}

func listKeys(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	keys, err := s.cfg.Auth.Keys(r.Context())
	if err != nil {
		return err
	}
	out := api.KeyList{Keys: make([]api.Key, 0, len(keys))}
	for _, k := range keys {
		out.Keys = append(out.Keys, fromKey(k))
	}
	reply(w, http.StatusOK, out)
	return nil
}

// maxKeyName bounds a key's name, in bytes.
const maxKeyName = 128

func createKey(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.CreateKey
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.Name == "" || len(in.Name) > maxKeyName || in.Name == configuredKey {
		return invalid("name", "is missing, longer than %d bytes, or the name of the configured key", maxKeyName).
			WithRemedy("say what the key is for, such as ci")
	}
	if in.Role == "" {
		in.Role = vitrine.RoleUser
	}
	if in.UserID == "" {
		in.UserID = c.UserID
	}
	if err := checkUserAndRole(in.UserID, in.Role); err != nil {
		return err
	}
	now := s.now()
	secret, hash := newSecret(keyPrefix)
	k := vitrine.APIKey{ID: vitrine.NewID(vitrine.PrefixKey, now), Hash: hash, Role: in.Role, UserID: in.UserID, Name: in.Name, CreatedAt: now}
	if err := s.cfg.Auth.PutKey(r.Context(), k); err != nil {
		return err
	}
	reply(w, http.StatusCreated, api.NewKey{Key: fromKey(k), Secret: secret})
	return nil
}

func checkUserAndRole(userID string, role vitrine.Role) error {
	if role != vitrine.RoleAdmin && role != vitrine.RoleUser {
		return invalid("role", "is %q", clip(string(role), 64)).WithRemedy("admin or user")
	}
	return checkUser(userID)
}

func deleteKey(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	id := r.PathValue("key_id")
	if !vitrine.ValidID(vitrine.PrefixKey, id) {
		return vitrine.NotFound("key", clip(id, 64)).WithRemedy("list the keys with GET /v1/keys")
	}
	if err := s.cfg.Auth.DeleteKey(r.Context(), id); err != nil {
		return err
	}
	s.live.putOut(keyCaller(id))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
