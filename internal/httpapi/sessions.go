package httpapi

import (
	"net/http"
	"strconv"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

func createSession(s *Server, w http.ResponseWriter, r *http.Request, c *call) (err error) {
	defer func() { s.metrics.created(err) }()
	if s.drain.is() {
		return errDraining()
	}
	wait, err := queryBool(r, "wait")
	if err != nil {
		return err
	}
	var in api.CreateSession
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	n, err := newSession(in, c.Principal)
	if err != nil {
		return err
	}
	if n.IdempotencyKey, err = idempotencyKey(r); err != nil {
		return err
	}
	one, created, err := s.cfg.Sessions.Create(r.Context(), n)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/sessions/"+one.ID)
	if !created {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if !wait {
		reply(w, http.StatusAccepted, s.shower(r, c).session(one))
		return nil
	}
	return s.replySettled(w, r, c, one.ID)
}

// replySettled waits for a start. The start does not depend on its caller: one
// that goes away, or waits longer than any start takes, leaves it going on.
func (s *Server) replySettled(w http.ResponseWriter, r *http.Request, c *call, id string) error {
	ctx, cancel := s.waiting(r.Context())
	defer cancel()
	one, err := s.cfg.Sessions.WaitSettled(ctx, id)
	switch {
	case err != nil && ctx.Err() != nil && r.Context().Err() == nil: // waited long enough
		if one, err = s.cfg.Sessions.Get(r.Context(), id); err != nil {
			return &sessionError{err, id}
		}
		reply(w, http.StatusAccepted, s.shower(r, c).session(one))
		return nil
	case err != nil:
		return &sessionError{err, id}
	case one.State == vitrine.StateFailed && one.Failure != nil:
		return &sessionError{one.Failure.AsError(), id}
	case one.State != vitrine.StateReady:
		return &sessionError{vitrine.Errorf(vitrine.ClassConflict, "session_over", "session %s was ended before it was ready", id).
			WithRemedy("start another one"), id}
	}
	reply(w, http.StatusCreated, s.shower(r, c).session(one))
	return nil
}

func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	good := len(values) == 1 && len(key) >= 1 && len(key) <= 255
	for i := 0; good && i < len(key); i++ {
		good = key[i] >= ' ' && key[i] <= '~'
	}
	if !good {
		return "", vitrine.Errorf(vitrine.ClassMalformed, "invalid_idempotency_key", "the header Idempotency-Key is not 1 to 255 printable ASCII characters").
			WithRemedy("send a UUID, for example")
	}
	return key, nil
}

func listSessions(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	f := vitrine.SessionFilter{State: vitrine.State(q.Get("state")), UserID: q.Get("user_id"), Cursor: q.Get("cursor")}
	switch f.State {
	case "", vitrine.StatePending, vitrine.StateStarting, vitrine.StateReady, vitrine.StateStopping, vitrine.StateEnded, vitrine.StateFailed:
	default:
		return invalid("state", "is %q", clip(string(f.State), 64)).WithRemedy("one of pending, starting, ready, stopping, ended, failed")
	}
	if f.UserID != "" {
		if err := checkUser(f.UserID); err != nil {
			return err
		}
	}
	if f.Cursor != "" && !vitrine.ValidID(vitrine.PrefixSession, f.Cursor) {
		return invalid("cursor", "is not one that this call gave").WithRemedy("send the next_cursor of the page before")
	}
	var err error
	if f.Limit, err = queryInt(r, "limit", 1, 500, 50); err != nil {
		return err
	}
	if c.Role != vitrine.RoleAdmin {
		if f.UserID != "" && f.UserID != c.UserID {
			return vitrine.Errorf(vitrine.ClassForbidden, "not_your_user", "user %s may not list the sessions of user %s", c.UserID, f.UserID).
				WithRemedy("leave user_id out, or use an admin's key")
		}
		f.UserID = c.UserID
	}
	list, next, err := s.cfg.Sessions.List(r.Context(), f)
	if err != nil {
		return err
	}
	out := api.SessionList{Sessions: make([]api.Session, 0, len(list)), NextCursor: orNull(next)}
	sh := s.shower(r, c)
	for _, one := range list {
		out.Sessions = append(out.Sessions, sh.session(one))
	}
	reply(w, http.StatusOK, out)
	return nil
}

func getSession(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	reply(w, http.StatusOK, s.shower(r, c).session(c.session))
	return nil
}

func updateSession(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.UpdateSession
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in == (api.UpdateSession{}) {
		return vitrine.Errorf(vitrine.ClassInvalid, "nothing_to_change", "the body changes nothing").
			WithRemedy("give one of viewport, timeout_seconds, idle_timeout_seconds, metadata")
	}
	p, err := patchOf(in)
	if err != nil {
		return err
	}
	one, err := s.cfg.Sessions.Patch(r.Context(), c.session.ID, p)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, s.shower(r, c).session(one))
	return nil
}

func deleteSession(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	wait, err := queryBool(r, "wait")
	if err != nil {
		return err
	}
	one, err := s.cfg.Sessions.Delete(r.Context(), c.session.ID)
	if err != nil {
		return err
	}
	if wait {
		ctx, cancel := s.waiting(r.Context())
		defer cancel()
		if one, err = s.cfg.Sessions.WaitReleased(ctx, c.session.ID); err != nil {
			if s.drain.waits.Err() != nil {
				return errDraining()
			}
			return err
		}
	}
	reply(w, http.StatusOK, s.shower(r, c).session(one))
	return nil
}

func getBoot(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	l, err := s.cfg.Sessions.Ledger(r.Context(), c.session.ID)
	if err != nil {
		return err
	}
	l.SessionID = c.session.ID
	if l.Failure == nil {
		l.Failure = c.session.Failure
	}
	reply(w, http.StatusOK, fromLedger(l))
	return nil
}

func queryBool(r *http.Request, name string) (bool, error) {
	switch v := r.URL.Query().Get(name); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, vitrine.Errorf(vitrine.ClassMalformed, "invalid_parameter", "the query parameter %q is %q", name, clip(v, 64)).
			WithRemedy("true or false")
	}
}

func queryInt(r *http.Request, name string, low, high, otherwise int) (int, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return 0, vitrine.Errorf(vitrine.ClassMalformed, "invalid_parameter", "the query parameter %q is %q", name, clip(v, 64)).
			WithRemedy("a whole number from %d to %d", low, high)
	}
	return n, nil
}
