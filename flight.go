package vitrine

import (
	"context"
	"io"
	"time"
)

// FlightRecord is all that is known of a failed session at the moment before its
// machine is deleted. What was not to be had is zero, and Missing says why.
type FlightRecord struct {
	Session Session // failed: its Failure is set
	Ledger  Ledger

	Console    []byte         // the last bytes, as they were printed
	Status     *MachineStatus // the runtime's last word
	Health     *AgentHealth   // the agent's last word
	HeardAt    time.Time      // when it was said
	Logs       []MachineLog
	Screenshot []byte   // a PNG of the machine's making: hostile until it was checked
	Missing    []string // one line each: what, and why not
}

// Bundle is a flight record that is kept as one file, a gzipped tar.
type Bundle struct {
	SizeBytes int64
	CreatedAt time.Time
}

// FlightBundles finds what was kept. Calls may be made from any goroutine.
type FlightBundles interface {
	// Bundle says whether there is one of a session. It reads no disk.
	Bundle(sessionID string) (Bundle, bool)
	// OpenBundle opens it; ClassNotFound "no_bundle" when there is none.
	OpenBundle(sessionID string) (io.ReadSeekCloser, Bundle, error)
}

// FlightRecorder keeps flight records. Calls may be made from any goroutine.
type FlightRecorder interface {
	FlightBundles
	// Record keeps one, without secrets, whole or not at all; a session's first
	// stays. It may take as long as the disk does, and no teardown may wait for it.
	Record(ctx context.Context, r FlightRecord) error
	// Expire removes bundles that are older than before, and those of sessions
	// that known does not know.
	Expire(ctx context.Context, before time.Time, known func(ctx context.Context, sessionID string) bool)
}

// MachineLog is the end of what one of the host's own programs wrote about a
// machine, or of what the kernel tells of it. It holds nothing of the machine's
// making but what such a program quotes.
type MachineLog struct {
	Name string // a file name: letters, digits, dots and dashes
	Data []byte // at most MaxMachineLog bytes
}

// MaxMachineLog is how much of one log is given, in bytes from its end.
const MaxMachineLog = 128 << 10

// LogReader is a Runtime that can give the logs of its own programs: supervisor,
// OCI runtime, VMM, and what the kernel counts for the machine's cgroup.
type LogReader interface {
	// Logs works while the machine runs and after it exited, until Delete. None
	// of the files that it gives holds the machine's secret.
	Logs(ctx context.Context, id string) ([]MachineLog, error)
}
