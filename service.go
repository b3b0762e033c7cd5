package vitrine

import (
	"context"
	"time"
)

// NewSession is what a caller asks for; zero fields take the defaults of the
// configuration.
type NewSession struct {
	ID             string // of the caller's making, "" for one of ours
	Kind           Kind
	UserID         string
	Image          string
	Runtime        string // "", "auto" or a runtime's name
	MinIsolation   Isolation
	VCPU           int
	MemoryMB       int
	Viewport       Viewport
	StartURL       string
	Timeout        time.Duration
	IdleTimeout    time.Duration
	Queue          time.Duration // how long to wait for room; 0: refuse when there is none
	Metadata       map[string]string
	IdempotencyKey string
	RequestHash    string
}

// Bounds of a NewSession.
const (
	MaxVCPU          = 64
	MaxMemoryMB      = 1 << 20 // 1 TiB
	MaxStartURL      = 8192    // bytes
	MaxMetadata      = 32      // entries
	MaxMetadataKey   = 64      // bytes
	MaxMetadataValue = 1024    // bytes
	MaxTimeout       = 30 * 24 * time.Hour
)

// Sessions is the session service: what the HTTP layer, and only it, calls.
// Authorisation is the caller's.
type Sessions interface {
	Agents
	// Create checks, reserves and returns at once with the session pending; with
	// Queue perhaps waiting for room (Session.Queue).
	Create(ctx context.Context, n NewSession) (s Session, created bool, err error)
	Get(ctx context.Context, id string) (Session, error)
	List(ctx context.Context, f SessionFilter) ([]Session, string, error)
	Patch(ctx context.Context, id string, p SessionPatch) (Session, error)
	// Delete wishes the session ended; idempotent.
	Delete(ctx context.Context, id string) (Session, error)
	// WaitSettled blocks until the session is ready or over; WaitReleased until
	// it is over and nothing of it is left.
	WaitSettled(ctx context.Context, id string) (Session, error)
	WaitReleased(ctx context.Context, id string) (Session, error)
	Ledger(ctx context.Context, id string) (Ledger, error)
	// Console gives the last bytes of the machine's console, live or saved.
	Console(ctx context.Context, id string) ([]byte, error)
	// Touch notes that somebody used the session now (idle timeout).
	Touch(id string)
	// Status is what /health and doctor show of runtimes and room.
	Status(ctx context.Context) ServiceStatus
}

// ServiceStatus is the state of the session service.
type ServiceStatus struct {
	Runtime  string // the automatic pick
	Runtimes []RuntimeStatus
	Reserved Capacity
	Capacity Capacity
}

// RuntimeStatus is one runtime with its probe.
type RuntimeStatus struct {
	Name      string
	Isolation Isolation
	Probe     Probe
}
