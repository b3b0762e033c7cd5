package api

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// CreateSession is the body of POST /v1/sessions.
type CreateSession struct {
	ID                 string            `json:"id,omitempty"`
	Kind               vitrine.Kind      `json:"kind"`
	UserID             string            `json:"user_id,omitempty"`
	Image              string            `json:"image,omitempty"`
	Runtime            string            `json:"runtime,omitempty"`
	MinIsolation       vitrine.Isolation `json:"min_isolation,omitempty"`
	VCPU               *int              `json:"vcpu,omitempty"`
	MemoryMB           *int              `json:"memory_mb,omitempty"`
	Viewport           *vitrine.Viewport `json:"viewport,omitempty"`
	StartURL           string            `json:"start_url,omitempty"`
	TimeoutSeconds     *int64            `json:"timeout_seconds,omitempty"`
	IdleTimeoutSeconds *int64            `json:"idle_timeout_seconds,omitempty"`
	QueueSeconds       *int              `json:"queue_seconds,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// UpdateSession is the body of PATCH /v1/sessions/{id}; nil leaves a field alone.
type UpdateSession struct {
	Viewport           *vitrine.Viewport  `json:"viewport,omitempty"`
	TimeoutSeconds     *int64             `json:"timeout_seconds,omitempty"`
	IdleTimeoutSeconds *int64             `json:"idle_timeout_seconds,omitempty"`
	Metadata           *map[string]string `json:"metadata,omitempty"`
}

// Session is a session as the API shows it.
type Session struct {
	ID                 string               `json:"id"`
	Kind               vitrine.Kind         `json:"kind"`
	State              vitrine.State        `json:"state"`
	Queue              *Queue               `json:"queue"`
	UserID             string               `json:"user_id"`
	Runtime            string               `json:"runtime"`
	Isolation          vitrine.Isolation    `json:"isolation"`
	Node               *string              `json:"node"`
	Image              ImageRef             `json:"image"`
	VCPU               int                  `json:"vcpu"`
	MemoryMB           int                  `json:"memory_mb"`
	Address            *string              `json:"address"`
	Viewport           vitrine.Viewport     `json:"viewport"`
	StartURL           *string              `json:"start_url"`
	TimeoutSeconds     int64                `json:"timeout_seconds"`
	IdleTimeoutSeconds int64                `json:"idle_timeout_seconds"`
	CreatedAt          time.Time            `json:"created_at"`
	ReadyAt            *time.Time           `json:"ready_at"`
	ExpiresAt          *time.Time           `json:"expires_at"`
	EndedAt            *time.Time           `json:"ended_at"`
	EndedReason        *vitrine.EndedReason `json:"ended_reason"`
	Failure            *vitrine.Failure     `json:"failure"`
	Bundle             *Bundle              `json:"bundle"`
	Released           bool                 `json:"released"`
	Viewers            int                  `json:"viewers"`
	LiveViewURL        string               `json:"live_view_url"`
	CDPURL             *string              `json:"cdp_url"`
	Metadata           map[string]string    `json:"metadata"`
}

// Queue is a pending session's place among those that wait for room.
type Queue struct {
	Position int       `json:"position"`
	Deadline time.Time `json:"deadline"`
}

// Bundle is what was kept of a failed session.
type Bundle struct {
	SizeBytes int64     `json:"size_bytes"`
	CreatedAt time.Time `json:"created_at"`
}

// ImageRef is the image of a session: the name asked for and what it was.
type ImageRef struct {
	Ref    string  `json:"ref"`
	Digest *string `json:"digest"`
}

// SessionList is one page of sessions, newest first.
type SessionList struct {
	Sessions   []Session `json:"sessions"`
	NextCursor *string   `json:"next_cursor"`
}

// Phase is one line of a boot ledger.
type Phase struct {
	Name       vitrine.PhaseName `json:"name"`
	StartedAt  time.Time         `json:"started_at"`
	DurationMS float64           `json:"duration_ms"`
	Outcome    vitrine.Outcome   `json:"outcome"`
	Detail     string            `json:"detail"`
}

// Boot is the boot ledger of a session.
type Boot struct {
	SessionID string           `json:"session_id"`
	Phases    []Phase          `json:"phases"`
	TotalMS   float64          `json:"total_ms"`
	Failure   *vitrine.Failure `json:"failure"`
}

// Event is the data of one server-sent event.
type Event struct {
	ID        int64             `json:"id"`
	Type      vitrine.EventType `json:"type"`
	SessionID string            `json:"session_id"`
	At        time.Time         `json:"at"`
	Session   *Session          `json:"session"`
	Phase     *Phase            `json:"phase"`
}

// Exec is the body of POST /v1/sessions/{id}/exec.
type Exec struct {
	Command        []string          `json:"command"`
	Cwd            string            `json:"cwd,omitempty"`
	Env            map[string]string `json:"env,omitempty"`
	Stdin          string            `json:"stdin,omitempty"`
	User           string            `json:"user,omitempty"`
	TimeoutSeconds *int64            `json:"timeout_seconds,omitempty"`
}

// ExecResult is what the command did.
type ExecResult struct {
	ExitCode        int     `json:"exit_code"`
	Stdout          string  `json:"stdout"`
	Stderr          string  `json:"stderr"`
	StdoutTruncated bool    `json:"stdout_truncated"`
	StderrTruncated bool    `json:"stderr_truncated"`
	TimedOut        bool    `json:"timed_out"`
	DurationMS      float64 `json:"duration_ms"`
}
