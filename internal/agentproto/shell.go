package agentproto

// A pipe stream joins the node with one command or connection in the machine.
// Output flows as it is read, and waits while the node does not take it. Input
// is bounded by a window instead: the node has at most PipeWindow bytes under
// way that the agent has not acknowledged, so that a command that reads nothing
// never stands between the agent and a frame that ends, signals or resizes it.
// Either side ends the stream by hanging up.
const (
	// MaxChunk bounds the payload of one frame of bytes.
	MaxChunk = 32 << 10
	// PipeWindow is how much input may be under way unacknowledged, by PipeCost.
	PipeWindow = 256 << 10
	// pipeFrame is what a frame costs beside its bytes, so that the window also
	// bounds the number of frames.
	pipeFrame = 256
	// MaxShellStart bounds a FrameStart.
	MaxShellStart = 256 << 10
)

// MaxPipeFrames is how many frames of input a window holds at most.
const MaxPipeFrames = PipeWindow / pipeFrame

// PipeCost is what a frame with n bytes of input takes of the window, and what
// its FrameAck gives back.
func PipeCost(n int) int { return n + pipeFrame }

// ShellRequest is what to run. Without a command it is the user's login shell.
type ShellRequest struct {
	Command string            `json:"command,omitempty"` // given to the user's shell with -c
	Env     map[string]string `json:"env,omitempty"`
	User    string            `json:"user,omitempty"` // "" the desktop's user; "root"
	PTY     *PTY              `json:"pty,omitempty"`
}

// PTY asks for a terminal of this kind and size.
type PTY struct {
	Term string `json:"term"`
	Cols uint16 `json:"cols"`
	Rows uint16 `json:"rows"`
}

// ShellExit is how it ended. Signal is "" or the name of the signal that killed
// it, without SIG. Message is set when it could not be started.
type ShellExit struct {
	Code    int    `json:"code"`
	Signal  string `json:"signal,omitempty"`
	Message string `json:"message,omitempty"`
}
