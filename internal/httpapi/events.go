package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// eventBatch is how many events are read and written at once: a caller that is
// slow holds this many in memory and no more; the rest waits in the store.
const eventBatch = 100

// streamEvents serves server-sent events, of one session or of all that the
// caller may see. Every event comes once and in order, from the one after
// Last-Event-ID on.
func streamEvents(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	after, err := s.startOfEvents(r)
	if err != nil {
		return err
	}
	ctx, leave, err := s.live.join(r.Context(), c.caller)
	if err != nil {
		return err
	}
	defer leave()
	of := ""
	if c.session.ID == "" && c.Role != vitrine.RoleAdmin {
		of = c.UserID
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	out := &eventWriter{w: w, rc: http.NewResponseController(w), sh: s.shower(r, c)}
	// The place is said at once, so that a caller cut off before the first event
	// comes back to it and misses nothing.
	if err := out.write(fmt.Sprintf("retry: 1000\nid: %d\n\n", after)); err != nil {
		return nil
	}
	tick := time.NewTicker(s.keepalive)
	defer tick.Stop()
	for {
		changed := s.cfg.Events.Changed() // before reading, or a change in between is missed
		batch, err := s.cfg.Events.Events(ctx, after, c.session.ID, of, eventBatch)
		if err == nil {
			after, err = out.events(after, batch)
		}
		if err != nil {
			if ctx.Err() != nil {
				out.bye(context.Cause(ctx))
			} else {
				s.log.Debug("event stream ended", "request", requestID(ctx), "session", c.session.ID, "error", err)
			}
			return nil // the caller comes back with its Last-Event-ID
		}
		if len(batch) == eventBatch {
			continue
		}
		select {
		case <-ctx.Done():
			out.bye(context.Cause(ctx))
			return nil
		case <-changed:
		case <-tick.C:
			if !s.stillAllowed(ctx, r, c) || out.write(": keepalive\n\n") != nil {
				return nil
			}
		}
	}
}

// startOfEvents is the id after which the stream begins. An id from before the
// log was begun anew would wait for ages; it is taken for the newest.
func (s *Server) startOfEvents(r *http.Request) (int64, error) {
	last, err := s.cfg.Events.LastEventID(r.Context())
	if err != nil {
		return 0, err
	}
	name, v := "the header Last-Event-ID", r.Header.Get("Last-Event-ID")
	if v == "" {
		name, v = `the query parameter "after"`, r.URL.Query().Get("after")
	}
	if v == "" {
		return last, nil
	}
	id, err := strconv.ParseInt(v, 10, 64)
	if err != nil || id < 0 {
		return 0, vitrine.Errorf(vitrine.ClassMalformed, "invalid_event_id", "%s is %q", name, clip(v, 64)).
			WithRemedy("the id of the last event seen, a whole number; or leave it out")
	}
	return min(id, last), nil
}

// stillAllowed asks again who the caller is: a stream lives longer than a login.
func (s *Server) stillAllowed(ctx context.Context, r *http.Request, c *call) bool {
	st := stateOf(ctx)
	ids, err := s.identify(r, st.route)
	if vitrine.ClassOf(err) == vitrine.ClassInternal && err != nil {
		return true // a fault of the store is no reason to put anyone out
	}
	for _, id := range ids {
		if id.caller == c.caller {
			return true
		}
	}
	return false
}

// eventWriter writes to a caller that may be slow, and gives up on one that
// takes nothing for writeTime.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
	sh shower
}

func (o *eventWriter) events(after int64, batch []vitrine.Event) (int64, error) {
	for _, e := range batch {
		shown, err := o.sh.event(e)
		if err != nil { // one that cannot be read must not hold up those after it
			o.sh.s.log.Error("event skipped", "error", err)
			after = e.ID
			continue
		}
		data, err := json.Marshal(shown) // one line: JSON has no bare newlines
		if err != nil {
			return after, err
		}
		if err := o.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data)); err != nil {
			return after, err
		}
		after = e.ID
	}
	return after, nil
}

// bye says why a stream of one who is still there ends: in a comment, which
// clients pass over, since it is no event of the log. They come back by
// themselves, with their Last-Event-ID.
func (o *eventWriter) bye(why error) {
	var e *vitrine.Error
	switch {
	case errors.As(why, &e):
		_ = o.write(": closed: " + e.Code + ": " + e.Message + "\n\n")
	case errors.Is(why, errPutOut):
		_ = o.write(": closed: " + errPutOut.Error() + "\n\n")
	}
}

func (o *eventWriter) write(s string) error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTime)) // the test recorder cannot
	if _, err := o.w.Write([]byte(s)); err != nil {
		return err
	}
	return o.rc.Flush()
}
