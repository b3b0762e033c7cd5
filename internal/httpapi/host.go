package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

func listImages(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	list, err := s.cfg.Images.List(r.Context())
	if err != nil {
		return err
	}
	out := api.ImageList{Images: make([]api.Image, 0, len(list))}
	for _, i := range list {
		m := i.Manifest
		out.Images = append(out.Images, api.Image{
			Ref: i.Ref, Digest: i.Digest, Kind: m.Kind, BuiltAt: m.BuiltAt.UTC(), SizeBytes: m.SizeBytes,
			Files: m.Files, Packages: len(m.Packages), MinMemoryMB: m.MinMemoryMB,
		})
	}
	reply(w, http.StatusOK, out)
	return nil
}

// recentFailures is how many failed sessions the status shows.
const recentFailures = 10

func getStatus(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	st := s.cfg.Sessions.Status(r.Context())
	out := api.Status{
		Version: s.version, Runtime: orNull(st.Runtime), Runtimes: []api.RuntimeStatus{},
		Reserved: fromCapacity(st.Reserved), Capacity: fromCapacity(st.Capacity), RecentFailures: []api.RecentFailure{},
	}
	for _, rt := range st.Runtimes {
		p := rt.Probe
		out.Runtimes = append(out.Runtimes, api.RuntimeStatus{Name: rt.Name, Isolation: rt.Isolation, Probe: api.Probe{
			OK: p.OK, Reason: p.Reason, Remedy: p.Remedy, TookMS: ms(p.Took), Version: p.Version,
		}})
	}
	f := vitrine.SessionFilter{State: vitrine.StateFailed, Limit: recentFailures}
	if c.Role != vitrine.RoleAdmin {
		f.UserID = c.UserID
	}
	failed, _, err := s.cfg.Sessions.List(r.Context(), f)
	if err != nil {
		return err
	}
	for _, one := range failed[:min(len(failed), recentFailures)] {
		at := one.EndedAt
		if at.IsZero() {
			at = one.UpdatedAt // still being torn down
		}
		if one.Failure != nil {
			out.RecentFailures = append(out.RecentFailures, api.RecentFailure{
				SessionID: one.ID, At: at.UTC(), Runtime: one.Runtime, Failure: *fromFailure(one.Failure),
			})
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

// checkTime bounds each question that /health asks.
const checkTime = 2 * time.Second

func getHealth(s *Server, w http.ResponseWriter, r *http.Request, _ *call) error {
	st := s.cfg.Sessions.Status(r.Context())
	out := api.Health{Status: api.HealthOK, Version: s.version.Version, Runtime: orNull(st.Runtime), Checks: []api.HealthCheck{}}
	note := func(name string, ok bool, message string) {
		if !ok {
			out.Status = api.HealthDegraded
		} else {
			message = ""
		}
		out.Checks = append(out.Checks, api.HealthCheck{Name: name, OK: ok, Message: message})
	}
	status := http.StatusOK
	if s.drain.is() { // so that what balances load sends callers elsewhere
		status = http.StatusServiceUnavailable
		note("daemon", false, "the daemon is shutting down; sessions go on")
	}
	if s.cfg.Ping != nil {
		err := within(r.Context(), s.cfg.Ping)
		if err != nil {
			status = http.StatusServiceUnavailable
			s.log.Warn("the database does not answer", "request", requestID(r.Context()), "error", err)
		}
		note("database", err == nil, "the database does not answer; the daemon's log says why")
	}
	note("runtime", st.Runtime != "", "no runtime works on this host; `vitrine doctor` says why")
	for _, c := range s.cfg.Checks {
		err := within(r.Context(), c.Run)
		message := ""
		if err != nil {
			message = toError(err).Message
			if vitrine.ClassOf(err) == vitrine.ClassInternal {
				message = err.Error()
			}
		}
		note(c.Name, err == nil, message)
	}
	reply(w, status, out)
	return nil
}

func within(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return ask(ctx)
}

func getVersion(s *Server, w http.ResponseWriter, _ *http.Request, _ *call) error {
	reply(w, http.StatusOK, s.version)
	return nil
}
