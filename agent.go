package vitrine

import (
	"context"
	"io"
	"time"
)

// Agent is the node's hold on one machine's agent. Every call dials anew and
// bounds its own time by ctx; every reply is bounded and treated as hostile.
type Agent interface {
	Desktop
	// Health asks the agent how the machine is.
	Health(ctx context.Context) (AgentHealth, error)
	// Exec runs a command in the machine and waits for it.
	Exec(ctx context.Context, req ExecRequest) (ExecResult, error)
	// Screenshot gives the desktop as PNG.
	Screenshot(ctx context.Context) ([]byte, error)
	// OpenCDP opens a stream of whole Chrome DevTools Protocol messages.
	OpenCDP(ctx context.Context) (MessageStream, error)
	// Resize sets the desktop's size.
	Resize(ctx context.Context, v Viewport) error
}

// MessageStream carries whole messages both ways.
type MessageStream interface {
	ReadMessage() ([]byte, error)
	WriteMessage([]byte) error
	io.Closer
}

// AgentStep is how far the inside of a machine has come.
type AgentStep string

// The steps of an agent's start, in order.
const (
	AgentStepAgent   AgentStep = "agent"   // the agent answers
	AgentStepDisplay AgentStep = "display" // the X server is up
	AgentStepBrowser AgentStep = "browser" // Chromium is started
	AgentStepReady   AgentStep = "ready"   // Chromium has painted; or a terminal is ready
)

// AgentHealth is the agent's own account of its machine.
type AgentHealth struct {
	Version  string
	Step     AgentStep
	Network  AgentNetwork
	Memory   AgentMemory
	Programs []AgentProgram
	// Problem is set when the agent gave up on a step: Step says which.
	Problem *AgentProblem
}

// AgentProblem is a supervised program that would not run.
type AgentProblem struct {
	Program string // "xvnc", "openbox", "chromium", …
	Message string
	Log     []string // its last lines
}

// AgentNetwork is the machine's own view of its network.
type AgentNetwork struct {
	Address string // "" when it has none
	Route   bool   // it has a default route
}

// AgentMemory is memory as the machine sees it. PSI values are the share of the
// last ten seconds, 0..100, in which some or all work waited for memory (kernel
// documentation, accounting/psi); negative when the kernel does not tell.
type AgentMemory struct {
	TotalBytes     int64
	AvailableBytes int64
	SomeAvg10      float64
	FullAvg10      float64
	OOMKills       int64
}

// AgentProgram is one supervised program.
type AgentProgram struct {
	Name     string
	PID      int
	Running  bool
	Restarts int
	LastExit string // "", or "exit status 1 at …"
}

// ExecRequest is a command for a machine. Env adds to the user's environment.
type ExecRequest struct {
	Command []string
	Cwd     string
	Env     map[string]string
	Stdin   []byte
	Timeout time.Duration
	User    string // "" is the desktop's user; "root" the machine's root
}

// ExecResult is what a command did. Output is bounded at MaxExecOutput each;
// Truncated says that some was cut.
type ExecResult struct {
	ExitCode        int
	Stdout, Stderr  []byte
	StdoutTruncated bool
	StderrTruncated bool
	TimedOut        bool
	Duration        time.Duration
}

// MaxExecOutput bounds stdout and stderr of one exec, in bytes each.
const MaxExecOutput = 1 << 20
