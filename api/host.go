package api

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Image is a golden image on the host. Packages is how many Debian packages it
// holds.
type Image struct {
	Ref         string       `json:"ref"`
	Digest      string       `json:"digest"`
	Kind        vitrine.Kind `json:"kind"`
	BuiltAt     time.Time    `json:"built_at"`
	SizeBytes   int64        `json:"size_bytes"`
	Files       int          `json:"files"`
	Packages    int          `json:"packages"`
	MinMemoryMB int          `json:"min_memory_mb"`
}

// ImageList is all images.
type ImageList struct {
	Images []Image `json:"images"`
}

// Status is how the host does.
type Status struct {
	Version        Version         `json:"version"`
	Runtime        *string         `json:"runtime"` // what auto picks; null: nothing works
	Runtimes       []RuntimeStatus `json:"runtimes"`
	Reserved       Capacity        `json:"reserved"`
	Capacity       Capacity        `json:"capacity"` // 0: no bound
	RecentFailures []RecentFailure `json:"recent_failures"`
}

// RuntimeStatus is one runtime and what its probe found.
type RuntimeStatus struct {
	Name      string            `json:"name"`
	Isolation vitrine.Isolation `json:"isolation"`
	Probe     Probe             `json:"probe"`
}

// Probe is what a runtime found out about itself here.
type Probe struct {
	OK      bool    `json:"ok"`
	Reason  string  `json:"reason"`
	Remedy  string  `json:"remedy"`
	TookMS  float64 `json:"took_ms"`
	Version string  `json:"version"`
}

// Capacity is an amount of the host.
type Capacity struct {
	MemoryMB int `json:"memory_mb"`
	VCPU     int `json:"vcpu"`
	Sessions int `json:"sessions"`
}

// RecentFailure is a session that failed lately.
type RecentFailure struct {
	SessionID string          `json:"session_id"`
	At        time.Time       `json:"at"`
	Runtime   string          `json:"runtime"`
	Failure   vitrine.Failure `json:"failure"`
}

// Health is the reply of /health.
type Health struct {
	Status  string        `json:"status"` // HealthOK or HealthDegraded
	Version string        `json:"version"`
	Runtime *string       `json:"runtime"`
	Checks  []HealthCheck `json:"checks"`
}

// The values of Health.Status.
const (
	HealthOK       = "ok"
	HealthDegraded = "degraded"
)

// HealthCheck is one thing the daemon needs. Message is empty when OK.
type HealthCheck struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Version is what runs.
type Version struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// CDPVersion is what DevTools clients ask for first. The names are Chromium's.
type CDPVersion struct {
	Browser              string `json:"Browser"`
	ProtocolVersion      string `json:"Protocol-Version"`
	UserAgent            string `json:"User-Agent"`
	V8Version            string `json:"V8-Version"`
	WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
}
