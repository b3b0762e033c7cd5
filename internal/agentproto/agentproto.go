// Package agentproto is what the node and the agent in a machine say to each
// other: paths, JSON bodies and the framing of streams.
//
// The agent is an HTTP/1.1 server on one channel per runtime: a unix socket in
// a directory shared with the host (container, gvisor, process), vsock
// (firecracker) or virtio-serial ports (qemu; port.go). Every request carries the machine's secret as
// "Authorization: Bearer". Calls are plain JSON; streams are opened by
// "GET <path>" with "Connection: Upgrade" and "Upgrade: vitrine-stream", are
// answered by 101, and carry frames both ways from then on (see Frame). The VNC
// stream is the exception: after 101 it is raw RFB bytes.
//
// Imported by agent and agentclient. Standard library only. It may touch no
// file, no socket but those it is given, and no clock but for their deadlines,
// and must not import the domain: the agent is built without it.
package agentproto

import "time"

// Version is the protocol's version: the agent reports it, and the node refuses
// another (agent_version_mismatch).
const Version = "1"

// Paths of the agent's HTTP server.
const (
	PathHealth     = "/health"     // GET → Health
	PathExec       = "/exec"       // POST ExecRequest → ExecResult
	PathScreenshot = "/screenshot" // GET → image/png
	PathResize     = "/resize"     // POST Size → Size
	PathVideo      = "/video"      // stream; query codec=vp8|h264: FrameVideo up; FrameKeyframe, FrameBitrate down
	PathControl    = "/control"    // stream; FrameInput down; FrameEvent up
	PathVNC        = "/vnc"        // raw RFB after 101
	PathCDP        = "/cdp"        // stream; FrameMessage both ways
	PathShell      = "/shell"      // pipe stream (shell.go) to a command or a login shell; its first frame is FrameStart
	PathSFTP       = "/sftp"       // pipe stream to an SFTP server that runs as the user; query user=root
	PathTCP        = "/tcp"        // pipe stream to a port of the machine; query host, port
	PathShutdown   = "/shutdown"   // POST → 202; the machine ends in order. For machines that no signal reaches
)

// HeaderProtocol is on every reply of the agent and holds its Version, so that
// also a stream that is refused tells which protocol refused it.
const HeaderProtocol = "Vitrine-Agent-Protocol"

// UpgradeStream is the Upgrade header's value.
const UpgradeStream = "vitrine-stream"

// Places inside a machine. The runtime provides Dir; the agent makes the
// socket there. In the process runtime Config says another Dir.
const (
	Dir        = "/run/vitrine"
	ConfigFile = "config.json" // in Dir; mode 0600
	SocketFile = "agent.sock"  // in Dir; mode 0600
	AgentFile  = "agent"       // in Dir; the agent's own binary
)

// How a virtual machine's agent is reached.
const (
	VsockPort    = 1024       // Firecracker: the port that the agent listens on; only the host may connect
	PortPrefix   = "vitrine." // QEMU: virtio-serial ports are named vitrine.0, vitrine.1, …; see port.go
	DefaultPorts = 24         // QEMU: how many there are unless the runtime is told otherwise
	MaxPorts     = 256        // QEMU: the agent listens on no more
)

// Config is what the node tells the agent at start, by file.
type Config struct {
	MachineID string `json:"machine_id"`
	SessionID string `json:"session_id"`
	Secret    string `json:"secret"` // bearer; never logged
	Kind      string `json:"kind"`   // desktop, terminal
	Hostname  string `json:"hostname"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	StartURL  string `json:"start_url"`

	// Sandbox is the runtime's name: container, gvisor, process, …
	Sandbox string `json:"sandbox"`
	// Dir is where socket, logs and runtime files go; "" is Dir.
	Dir string `json:"dir,omitempty"`
	// Network, when Address is not empty and Configure is set, is what the
	// agent sets on Device (for machines whose runtime cannot).
	Network Network `json:"network"`
	// UID and GID of the desktop's user, 1000 when 0. With the process runtime
	// as a plain user they are the caller's own.
	UID int `json:"uid,omitempty"`
	GID int `json:"gid,omitempty"`
}

// Network is the machine's address.
type Network struct {
	Configure bool     `json:"configure,omitempty"`
	Device    string   `json:"device,omitempty"`
	Address   string   `json:"address,omitempty"` // CIDR
	Gateway   string   `json:"gateway,omitempty"`
	DNS       []string `json:"dns,omitempty"`
}

// Health is the agent's account of its machine.
type Health struct {
	Protocol string    `json:"protocol"` // Version
	Step     string    `json:"step"`     // agent, display, browser, ready
	Address  string    `json:"address"`
	Route    bool      `json:"route"`
	Memory   Memory    `json:"memory"`
	Programs []Program `json:"programs"`
	Problem  *Problem  `json:"problem,omitempty"`
	Uptime   int64     `json:"uptime_ms"`
}

// Memory is memory inside the machine; PSI values are percent over 10 s,
// negative when the kernel does not tell.
type Memory struct {
	TotalBytes     int64   `json:"total_bytes"`
	AvailableBytes int64   `json:"available_bytes"`
	SomeAvg10      float64 `json:"some_avg10"`
	FullAvg10      float64 `json:"full_avg10"`
	OOMKills       int64   `json:"oom_kills"`
}

// Program is one supervised program.
type Program struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Running  bool   `json:"running"`
	Restarts int    `json:"restarts"`
	LastExit string `json:"last_exit,omitempty"`
}

// Problem is a supervised program that would not run.
type Problem struct {
	Program string   `json:"program"`
	Message string   `json:"message"`
	Log     []string `json:"log"`
}

// ExecRequest is a command to run.
type ExecRequest struct {
	Command   []string          `json:"command"`
	Cwd       string            `json:"cwd,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Stdin     []byte            `json:"stdin,omitempty"`
	TimeoutMS int64             `json:"timeout_ms"`
	User      string            `json:"user,omitempty"` // "" the desktop's user; "root"
}

// ExecResult is what it did.
type ExecResult struct {
	ExitCode        int    `json:"exit_code"`
	Stdout          []byte `json:"stdout"`
	Stderr          []byte `json:"stderr"`
	StdoutTruncated bool   `json:"stdout_truncated"`
	StderrTruncated bool   `json:"stderr_truncated"`
	TimedOut        bool   `json:"timed_out"`
	DurationMS      int64  `json:"duration_ms"`
}

// Size is a screen size in pixels.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Error is the body of a reply that is not 2xx.
type Error struct {
	Message string `json:"message"`
}

// Bounds that both sides keep.
const (
	MaxJSON       = 4 << 20  // bytes of one JSON body
	MaxScreenshot = 64 << 20 // bytes of one PNG
	MaxOutput     = 1 << 20  // bytes of stdout and of stderr of one exec
)

// HeartbeatInterval is how often video sends a frame when nothing changes:
// without it Chromium sends PLIs at an idle stream (measured; streaming.md).
const HeartbeatInterval = 2 * time.Second
