package stream

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// maxFragment bounds a trickled SDP fragment in bytes.
const maxFragment = 16 << 10

// WHEP (draft-ietf-wish-whep) opens a playback: it looks and never controls. One
// that does not connect within 30 s ends by itself.
func (s *Streams) WHEP(ctx context.Context, v vitrine.Viewer, offer string) (resource, answer string, err error) {
	v.Scope = vitrine.ScopeView
	d, err := s.dial(ctx, v, strings.ToLower(rand.Text()), offer)
	if err != nil {
		return "", "", err
	}
	return d.resource, d.answer, nil
}

// playback finds a resource; one of another caller is not found.
func (s *Streams) playback(v vitrine.Viewer, resource string) (*direct, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.whep[resource]; d != nil && d.caller == callerOf(v) {
		return d, nil
	}
	return nil, vitrine.Errorf(vitrine.ClassNotFound, "no_playback", "there is no such playback").
		WithRemedy("post an offer to the session's whep endpoint")
}

// PatchWHEP takes candidates as a trickle-ice-sdpfrag (RFC 8840). An ICE restart
// is not supported: it needs new credentials, which are refused.
func (s *Streams) PatchWHEP(_ context.Context, v vitrine.Viewer, resource, fragment string) error {
	d, err := s.playback(v, resource)
	if err != nil {
		return err
	}
	list, err := readFragment(fragment)
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := d.call.peer.AddCandidate(c); err != nil {
			return err
		}
	}
	return nil
}

// readFragment gives the candidates of a fragment, with the mid each stands
// under. Lines that say nothing to us are left out, as RFC 8840 wants.
func readFragment(fragment string) ([]vitrine.ICECandidate, error) {
	if len(fragment) > maxFragment {
		return nil, vitrine.Errorf(vitrine.ClassTooLarge, "fragment_too_large", "the fragment has %d bytes, at most %d are taken", len(fragment), maxFragment)
	}
	var out []vitrine.ICECandidate
	var mid *string
	for line := range strings.Lines(fragment) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "a=mid:"):
			m := strings.TrimPrefix(line, "a=mid:")
			mid = &m
		case strings.HasPrefix(line, "a=candidate:"):
			out = append(out, vitrine.ICECandidate{Candidate: strings.TrimPrefix(line, "a="), SDPMid: mid})
		case line != "" && (len(line) < 2 || line[1] != '='):
			return nil, vitrine.Errorf(vitrine.ClassMalformed, "bad_fragment", "the body is not an SDP fragment")
		}
	}
	return out, nil
}

// CloseWHEP ends a playback.
func (s *Streams) CloseWHEP(_ context.Context, v vitrine.Viewer, resource string) error {
	d, err := s.playback(v, resource)
	if err != nil {
		return err
	}
	d.member.Remove()
	return nil
}
