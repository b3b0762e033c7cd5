package stream

import (
	"context"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/hub"
)

// caller is who makes plain offers: one connection each per session.
type caller struct{ session, user, ticket string }

func callerOf(v vitrine.Viewer) caller { return caller{v.SessionID, v.UserID, v.TicketID} }

// direct is a connection made without a signal socket: by the plain routes or by
// WHEP. Its member leaves with it.
type direct struct {
	caller   caller
	resource string // of WHEP; "" for a plain one
	member   *hub.Member
	call     *call
	answer   string
	ended    bool // under Streams.mu
}

// dial joins a viewer without a socket, answers its offer, and enters the
// connection where the viewer's next request finds it.
func (s *Streams) dial(ctx context.Context, v vitrine.Viewer, resource, offer string) (*direct, error) {
	if _, err := s.cfg.Agents.Agent(ctx, v.SessionID); err != nil {
		return nil, err
	}
	m, err := s.hub.Join(v, "", nil)
	if err != nil {
		return nil, err
	}
	d := &direct{caller: callerOf(v), resource: resource, member: m}
	d.call, d.answer, err = s.call(ctx, m, offer, func() { s.hungUp(d) })
	if err != nil {
		m.Remove()
		return nil, err
	}
	s.mu.Lock()
	var before *direct
	switch {
	case d.ended: // already
	case resource != "":
		s.whep[resource] = d
	default:
		before, s.plain[d.caller] = s.plain[d.caller], d
	}
	s.mu.Unlock()
	if before != nil {
		before.member.Remove()
	}
	return d, nil
}

// hungUp forgets a connection that has ended.
func (s *Streams) hungUp(d *direct) {
	d.member.Remove()
	s.mu.Lock()
	defer s.mu.Unlock()
	d.ended = true
	delete(s.whep, d.resource)
	if s.plain[d.caller] == d {
		delete(s.plain, d.caller)
	}
}

// Offer takes a plain client's offer; its connection before is ended.
func (s *Streams) Offer(ctx context.Context, v vitrine.Viewer, offer string) (string, error) {
	if before, err := s.plainOf(v); err == nil {
		before.member.Remove() // first: its control is free for the one that comes
	}
	d, err := s.dial(ctx, v, "", offer)
	if err != nil {
		return "", err
	}
	return d.answer, nil
}

func (s *Streams) plainOf(v vitrine.Viewer) (*direct, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.plain[callerOf(v)]; d != nil {
		return d, nil
	}
	return nil, vitrine.Errorf(vitrine.ClassNotFound, "no_offer", "there is no WebRTC connection of yours to this session").
		WithRemedy("post an offer first")
}

// Answer gives the answer to the plain client's last offer.
func (s *Streams) Answer(_ context.Context, v vitrine.Viewer) (string, error) {
	d, err := s.plainOf(v)
	if err != nil {
		return "", err
	}
	return d.answer, nil
}

// AddCandidate takes a plain client's candidate.
func (s *Streams) AddCandidate(_ context.Context, v vitrine.Viewer, c vitrine.ICECandidate) error {
	d, err := s.plainOf(v)
	if err != nil {
		return err
	}
	return d.call.peer.AddCandidate(c)
}

// Candidates gives the node's candidates, which stand in the answer as well.
func (s *Streams) Candidates(_ context.Context, v vitrine.Viewer) ([]vitrine.ICECandidate, error) {
	d, err := s.plainOf(v)
	if err != nil {
		return nil, err
	}
	return d.call.peer.Candidates(), nil
}
