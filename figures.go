package vitrine

import "time"

// StreamCounter is Streams that also counts, for /metrics.
type StreamCounter interface {
	StreamFigures() StreamFigures
}

// StreamFigures are what viewers do now, and what was sent them since the daemon
// began.
type StreamFigures struct {
	ViewersByPath map[string]int // "udp", "tcp", "turn", "novnc", "none"
	Sockets       map[string]int // open, by kind: "signal", "vnc", "cdp"
	Relays        int            // TURN allocations
	Video         map[Codec]VideoFigures
}

// VideoFigures are of all desktops' video of one codec. The counters never go
// back: what was counted of a desktop stays when nobody looks at it any more.
type VideoFigures struct {
	Viewers   int    // now
	Frames    uint64 // encoded
	Bytes     uint64 // of those frames, as RTP payloads; sent once to each viewer
	Dropped   uint64 // not given to a viewer that lagged, counted per viewer
	Keyframes uint64 // asked of encoders
	Opened    uint64 // encoders opened
}

// ServiceCounter is Sessions that also counts its own work, for /metrics.
type ServiceCounter interface {
	ServiceFigures() ServiceFigures
}

// ServiceFigures are what the session service has done since the daemon began.
type ServiceFigures struct {
	Sweeps       uint64    // looks for what belongs to no session, that worked
	SweepsFailed uint64    // and that did not
	LastSweep    time.Time // the last that worked; zero: none yet
	Retries      uint64    // steps of sessions that did not work and were tried again
}
