package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// shower turns the domain's nouns into the API's for one reader.
type shower struct {
	s      *Server
	base   string // of links
	ticket bool   // the reader came in by a ticket and sees less
}

func (s *Server) shower(r *http.Request, c *call) shower {
	return shower{s: s, base: s.base(r), ticket: c.Scope != ""}
}

// session shows one. Labels, the first page, the bundle and the automation's address are the
// owner's business: whoever came in by a ticket does not see them.
func (sh shower) session(one vitrine.Session) api.Session {
	out := api.Session{
		ID: one.ID, Kind: one.Kind, State: one.State, UserID: one.UserID,
		Runtime: one.Runtime, Isolation: one.Isolation, Node: orNull(one.Node),
		Image: api.ImageRef{Ref: one.Image, Digest: orNull(one.ImageDigest)},
		VCPU:  one.VCPU, MemoryMB: one.MemoryMB, Viewport: one.Viewport,
		TimeoutSeconds: seconds(one.Timeout), IdleTimeoutSeconds: seconds(one.IdleTimeout),
		CreatedAt: one.CreatedAt.UTC(), ReadyAt: timeOrNull(one.ReadyAt), ExpiresAt: timeOrNull(one.ExpiresAt()),
		EndedAt: timeOrNull(one.EndedAt), EndedReason: orNull(one.EndedReason), Failure: fromFailure(one.Failure),
		Released: one.Released, Viewers: sh.s.cfg.Streams.Viewers(one.ID),
		LiveViewURL: sh.base + "/view/" + one.ID, Metadata: map[string]string{},
	}
	if q := one.Queue; q != nil {
		out.Queue = &api.Queue{Position: q.Position, Deadline: q.Deadline.UTC()}
	}
	if one.Address.IsValid() {
		out.Address = orNull(one.Address.String())
	}
	if sh.ticket {
		return out
	}
	out.Bundle = sh.s.bundle(one)
	out.StartURL = orNull(one.StartURL)
	if one.Metadata != nil {
		out.Metadata = one.Metadata
	}
	if one.Kind == vitrine.KindDesktop {
		out.CDPURL = orNull(sh.base + "/v1/sessions/" + one.ID + "/cdp")
	}
	return out
}

// event shows one line of the event log, whose data is the domain's own types.
func (sh shower) event(e vitrine.Event) (api.Event, error) {
	out := api.Event{ID: e.ID, Type: e.Type, SessionID: e.SessionID, At: e.At.UTC()}
	if e.Type == vitrine.EventBootPhase {
		var p vitrine.Phase
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return out, fmt.Errorf("reading event %d of %s: %w", e.ID, e.SessionID, err)
		}
		phase := fromPhase(p)
		out.Phase = &phase
		return out, nil
	}
	var one vitrine.Session
	if err := json.Unmarshal(e.Data, &one); err != nil {
		return out, fmt.Errorf("reading event %d of %s: %w", e.ID, e.SessionID, err)
	}
	session := sh.session(one)
	out.Session = &session
	return out, nil
}

func fromPhase(p vitrine.Phase) api.Phase {
	return api.Phase{Name: p.Name, StartedAt: p.StartedAt.UTC(), DurationMS: ms(p.Duration), Outcome: p.Outcome, Detail: p.Detail}
}

func fromLedger(l vitrine.Ledger) api.Boot {
	out := api.Boot{SessionID: l.SessionID, Phases: []api.Phase{}, TotalMS: ms(l.Total()), Failure: fromFailure(l.Failure)}
	for _, p := range l.Phases {
		out.Phases = append(out.Phases, fromPhase(p))
	}
	return out
}

// fromFailure copies a failure so that its evidence is a list, never null.
func fromFailure(f *vitrine.Failure) *vitrine.Failure {
	if f == nil {
		return nil
	}
	out := *f
	if out.Evidence == nil {
		out.Evidence = []string{}
	}
	return &out
}

func fromKey(k vitrine.APIKey) api.Key {
	return api.Key{ID: k.ID, Name: k.Name, Role: k.Role, UserID: k.UserID, CreatedAt: k.CreatedAt.UTC()}
}

func fromCapacity(c vitrine.Capacity) api.Capacity {
	return api.Capacity{MemoryMB: c.MemoryMB, VCPU: c.VCPU, Sessions: c.Sessions}
}

// ms gives milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(max(d, 0).Microseconds()) / 1000 }

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func orNull[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}
