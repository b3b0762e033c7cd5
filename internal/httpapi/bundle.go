package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// bundleTime is how long a caller may take to fetch a bundle: four mebibytes at
// the 300 kbit/s of a bad line.
const bundleTime = 2 * time.Minute

// bundle says what was kept of a session; nil when nothing was.
func (s *Server) bundle(one vitrine.Session) *api.Bundle {
	if s.cfg.Bundles == nil || one.State != vitrine.StateFailed {
		return nil
	}
	b, ok := s.cfg.Bundles.Bundle(one.ID)
	if !ok {
		return nil
	}
	return &api.Bundle{SizeBytes: b.SizeBytes, CreatedAt: b.CreatedAt.UTC()}
}

func getBundle(s *Server, w http.ResponseWriter, _ *http.Request, c *call) error {
	one := c.session
	if !one.State.Over() {
		return vitrine.Errorf(vitrine.ClassNotFound, "no_bundle", "session %s has not failed: it is %s", one.ID, one.State).
			WithRemedy("only sessions that failed have a bundle")
	}
	if s.cfg.Bundles == nil {
		return vitrine.Errorf(vitrine.ClassNotFound, "no_bundle", "this daemon keeps no bundles").
			WithRemedy("the console is at GET /v1/sessions/%s/console", one.ID)
	}
	f, b, err := s.cfg.Bundles.OpenBundle(one.ID)
	if vitrine.ClassOf(err) == vitrine.ClassNotFound && err != nil && one.State == vitrine.StateFailed && !one.Released {
		e := vitrine.Errorf(vitrine.ClassConflict, "bundle_not_ready", "session %s has failed just now, and its bundle is being made", one.ID).
			WithRemedy("try again in a second")
		e.Retryable, e.RetryAfter = true, time.Second
		return e
	}
	if err != nil {
		return err
	}
	defer f.Close()
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(bundleTime)) // not all writers can
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	h := w.Header()
	h.Set("Content-Type", "application/gzip")
	h.Set("Content-Length", strconv.FormatInt(b.SizeBytes, 10))
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="vitrine-%s.tar.gz"`, one.ID))
	_, _ = io.CopyN(w, f, b.SizeBytes) // the caller may be gone
	return nil
}
