package store

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// toMS and fromMS carry times as Unix milliseconds; the zero time is 0.
func toMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// plain makes text that both databases take: PostgreSQL refuses NUL and bytes
// that are not UTF-8.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// sessionColumns is every column of a session that is a field of the domain's,
// in the order of sessionValues and scanSession.
const sessionColumns = `id, created_at, kind, user_id, image, runtime, isolation, min_isolation,
	vcpu, memory_mb, width, height, start_url, timeout_ms, idle_timeout_ms, metadata, desired, stop_reason,
	machine_id, address, slot, state, image_digest, ready_at, ended_at, ended_reason, failure,
	node, boot_id, released, updated_at, version, overhead_bytes, queue_position, queue_deadline`

func sessionValues(s *vitrine.Session) ([]any, error) {
	metadata, err := json.Marshal(s.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata of %s: %w", s.ID, err)
	}
	var failure []byte
	if s.Failure != nil {
		if failure, err = json.Marshal(s.Failure); err != nil {
			return nil, fmt.Errorf("encoding the failure of %s: %w", s.ID, err)
		}
	}
	address := ""
	if s.Address.IsValid() {
		address = s.Address.String()
	}
	place, deadline := int64(0), int64(0)
	if s.Queue != nil {
		place, deadline = int64(s.Queue.Position), toMS(s.Queue.Deadline)
	}
	return []any{
		s.ID, toMS(s.CreatedAt), string(s.Kind), s.UserID, s.Image, s.Runtime, string(s.Isolation), string(s.MinIsolation),
		int64(s.VCPU), int64(s.MemoryMB), int64(s.Viewport.Width), int64(s.Viewport.Height), s.StartURL,
		s.Timeout.Milliseconds(), s.IdleTimeout.Milliseconds(), string(metadata), string(s.Desired), string(s.StopReason),
		s.MachineID, address, int64(s.Slot), string(s.State), s.ImageDigest, toMS(s.ReadyAt), toMS(s.EndedAt),
		string(s.EndedReason), string(failure), s.Node, s.BootID, toInt(s.Released), toMS(s.UpdatedAt), s.Version,
		s.OverheadBytes, place, deadline,
	}, nil
}

type scanner interface{ Scan(...any) error }

// scanSession reads one session; extra takes what was selected after its columns.
func scanSession(row scanner, extra ...any) (vitrine.Session, error) {
	var s vitrine.Session
	var created, timeout, idle, ready, ended, released, updated, place, deadline int64
	var metadata, address, failure string
	dst := []any{
		&s.ID, &created, &s.Kind, &s.UserID, &s.Image, &s.Runtime, &s.Isolation, &s.MinIsolation,
		&s.VCPU, &s.MemoryMB, &s.Viewport.Width, &s.Viewport.Height, &s.StartURL,
		&timeout, &idle, &metadata, &s.Desired, &s.StopReason,
		&s.MachineID, &address, &s.Slot, &s.State, &s.ImageDigest, &ready, &ended,
		&s.EndedReason, &failure, &s.Node, &s.BootID, &released, &updated, &s.Version,
		&s.OverheadBytes, &place, &deadline,
	}
	if err := row.Scan(append(dst, extra...)...); err != nil {
		return vitrine.Session{}, err
	}
	s.CreatedAt, s.ReadyAt, s.EndedAt, s.UpdatedAt = fromMS(created), fromMS(ready), fromMS(ended), fromMS(updated)
	s.Timeout, s.IdleTimeout = time.Duration(timeout)*time.Millisecond, time.Duration(idle)*time.Millisecond
	s.Released = released != 0
	if place > 0 {
		s.Queue = &vitrine.QueuePlace{Position: int(place), Deadline: fromMS(deadline)}
	}
	if err := json.Unmarshal([]byte(metadata), &s.Metadata); err != nil {
		return vitrine.Session{}, fmt.Errorf("reading the metadata of %s: %w", s.ID, err)
	}
	if failure != "" {
		s.Failure = new(vitrine.Failure)
		if err := json.Unmarshal([]byte(failure), s.Failure); err != nil {
			return vitrine.Session{}, fmt.Errorf("reading the failure of %s: %w", s.ID, err)
		}
	}
	if address != "" {
		var err error
		if s.Address, err = netip.ParseAddr(address); err != nil {
			return vitrine.Session{}, fmt.Errorf("reading the address of %s: %w", s.ID, err)
		}
	}
	return s, nil
}
