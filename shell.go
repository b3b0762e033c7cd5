package vitrine

import (
	"context"
	"io"
)

// Shells is what an Agent may also offer, found by type: interactive ways into
// its machine. A machine whose agent is of an older Vitrine answers each with
// ClassConflict "not_in_this_machine".
type Shells interface {
	// OpenShell starts a command or a login shell. Closing it ends what runs in
	// its foreground.
	OpenShell(ctx context.Context, req ShellRequest) (Shell, error)
	// OpenSFTP opens a connection to an SFTP server (version 3) that runs as the
	// desktop's user, or as the machine's root.
	OpenSFTP(ctx context.Context, user string) (Pipe, error)
	// OpenTCP connects to a port of the machine itself: host is "localhost", a
	// loopback address or one of the machine's own; ClassInvalid otherwise,
	// ClassUnavailable when nothing listens there.
	OpenTCP(ctx context.Context, host string, port int) (Pipe, error)
}

// ShellRequest is what to run. Without a command it is the user's login shell;
// a command is one line for that shell.
type ShellRequest struct {
	Command string
	Env     map[string]string
	User    string // "" is the desktop's user; "root" the machine's root
	PTY     *PTY   // nil: none; output and errors then stay apart
}

// PTY is a terminal: its kind (TERM) and its size in characters.
type PTY struct {
	Term       string
	Cols, Rows uint16
}

// Bounds of a ShellRequest; the whole of it may have MaxShellRequest bytes.
const (
	MaxShellCommand = 64 << 10 // bytes
	MaxShellEnv     = 64       // variables
	MaxShellEnvSize = 8 << 10  // bytes of one variable's name and value
	MaxShellRequest = 128 << 10
)

// Pipe is a two-way stream of bytes whose ends close one after the other.
type Pipe interface {
	io.ReadWriteCloser
	// CloseWrite says that no more will be written.
	CloseWrite() error
}

// Shell is a running command. Write and CloseWrite are its input. Next gives
// its output in order and, last, how it ended.
type Shell interface {
	io.Writer
	CloseWrite() error
	Next() (ShellOutput, error)
	// Resize sets the terminal's size; Signal sends a signal by its name without
	// SIG ("INT") to what runs in the foreground.
	Resize(cols, rows uint16) error
	Signal(name string) error
	io.Closer
}

// ShellOutput is a piece of output, or with Exit set the end.
type ShellOutput struct {
	Data   []byte
	Stderr bool
	Exit   *ShellExit
}

// ShellExit is how a command ended: by a code, or by a signal's name. Message
// is set when it could not be started.
type ShellExit struct {
	Code    int
	Signal  string
	Message string
}
