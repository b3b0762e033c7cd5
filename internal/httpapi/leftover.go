package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// collectLimit bounds a garbage collection: it goes on when its caller has left,
// as half of one is no better than none.
const collectLimit = 5 * time.Minute

// noKeeper is for a daemon that was wired without one.
func noKeeper() error {
	return vitrine.Errorf(vitrine.ClassUnavailable, "no_keeper", "this daemon does not look after its host").
		WithRemedy("run `vitrine doctor` and `vitrine audit` on the host")
}

func getAudit(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if s.cfg.Keeper == nil {
		return noKeeper()
	}
	c, err := s.cfg.Keeper.Audit(r.Context())
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, api.NewCollection(c))
	return nil
}

// maxCollect bounds the body in bytes.
const maxCollect = 4 << 10

func postCollect(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if s.cfg.Keeper == nil {
		return noKeeper()
	}
	var in api.Collect
	if err := decode(w, r, maxCollect, &in); err != nil {
		return err
	}
	if in.Budget < 0 || in.Budget > api.MaxBudget {
		return vitrine.Errorf(vitrine.ClassInvalid, "invalid_budget", "budget is %d", in.Budget).
			WithRemedy("send 1 to %d, or leave it out", api.MaxBudget)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), collectLimit)
	defer cancel()
	c, err := s.cfg.Keeper.Collect(ctx, in.DryRun, in.Budget)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, api.NewCollection(c))
	return nil
}

func getDoctor(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	if s.cfg.Doctor == nil {
		return noKeeper()
	}
	findings := s.cfg.Doctor(r.Context())
	if err := r.Context().Err(); err != nil {
		return vitrine.Errorf(vitrine.ClassTimeout, "doctor_slow", "the checks of the host did not end in time").
			WithRemedy("run `vitrine doctor` on the host").WithCause(err)
	}
	reply(w, http.StatusOK, api.NewDoctor(s.now(), findings))
	return nil
}
