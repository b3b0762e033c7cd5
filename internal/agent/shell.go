package agent

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of the pipe streams of one machine, all kinds together: shells, file
// transfers and forwarded connections of a few people.
const (
	maxPipes     = 96
	maxShellEnv  = 64
	shellStart   = 10 * time.Second // for the node to say what to run
	hangupGrace  = 2 * time.Second  // from SIGHUP to SIGKILL
	exitRead     = 5 * time.Second  // for the node to read how it ended, and hang up
	maxTermName  = 64
	maxTermCells = 4096
)

// limitPipes refuses a stream too many before it is one.
func (s *server) limitPipes(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.pipes <- struct{}{}:
			defer func() { <-s.pipes }()
			next(w, r)
		default:
			reply(w, http.StatusTooManyRequests, agentproto.Error{Message: fmt.Sprintf("%d shells and connections are open already", maxPipes)})
		}
	}
}

// shell runs what the stream's first frame says.
func (s *server) shell(w http.ResponseWriter, r *http.Request) {
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(shellStart))
	f, err := agentproto.ReadFrame(conn)
	if err != nil || f.Type != agentproto.FrameStart {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	p := newPipe(conn)
	var req agentproto.ShellRequest
	if err = json.Unmarshal(f.Payload, &req); err == nil {
		err = checkShell(req)
	}
	if err != nil {
		p.exit(agentproto.ShellExit{Code: exitCannotRun, Message: err.Error()})
		return
	}
	s.runPipe(p, s.shellCommand(req), req.PTY, req.User)
}

// checkShell says what is wrong with a request, by field.
func checkShell(r agentproto.ShellRequest) error {
	if strings.ContainsRune(r.Command, 0) || len(r.Command) >= maxExecArgSize {
		return fmt.Errorf("command: holds a zero byte or has %d bytes or more", maxExecArgSize)
	}
	if len(r.Env) > maxShellEnv {
		return fmt.Errorf("env: has %d variables, at most %d", len(r.Env), maxShellEnv)
	}
	for name, value := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) || len(name)+len(value) >= maxExecArgSize {
			return fmt.Errorf("env: %.64q is not a variable", name)
		}
	}
	if r.User != "" && r.User != "root" {
		return fmt.Errorf("user: %.32q is neither \"\" nor \"root\"", r.User)
	}
	if t := r.PTY; t != nil && (len(t.Term) > maxTermName || strings.ContainsAny(t.Term, "\x00/") || t.Cols > maxTermCells || t.Rows > maxTermCells) {
		return errors.New("pty: its name or size is out of bounds")
	}
	return nil
}

// shellCommand is the user's shell: as a login shell, or with a command. A
// machine's user whose shell is not in the image gets /bin/sh.
func (s *server) shellCommand(r agentproto.ShellRequest) *exec.Cmd {
	shell, env := s.place.shell, s.userEnv()
	if r.User == "root" {
		shell, env = "/bin/sh", rootEnv()
	}
	if _, err := os.Stat(shell); err != nil {
		shell = "/bin/sh"
	}
	cmd := &exec.Cmd{Path: shell, Args: []string{"-" + filepath.Base(shell)}}
	if r.Command != "" {
		cmd.Args = []string{filepath.Base(shell), "-c", r.Command}
	}
	cmd.Env = append(cmd.Env, env...)
	for name, value := range r.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if r.PTY != nil {
		cmd.Env = append(cmd.Env, "TERM="+r.PTY.Term)
	}
	return cmd
}

// runPipe runs a command on the stream until it has ended and its output is
// sent, or the node hangs up.
func (s *server) runPipe(p *pipe, cmd *exec.Cmd, term *agentproto.PTY, user string) {
	uid := s.place.uid
	cmd.Dir = s.place.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.place.credential(), Pdeathsig: syscall.SIGKILL}
	if user == "root" {
		uid, cmd.Dir, cmd.SysProcAttr.Credential = 0, "/root", nil
	}
	if info, err := os.Stat(cmd.Dir); err != nil || !info.IsDir() {
		cmd.Dir = "/"
	}
	run := &piped{p: p, cmd: cmd}
	if err := run.start(term, uid); err != nil {
		p.exit(agentproto.ShellExit{Code: exitCannotRun, Message: err.Error()})
		return
	}
	run.serve()
}

// piped is a command on a pipe stream.
type piped struct {
	p      *pipe
	cmd    *exec.Cmd
	master *os.File   // its terminal, nil without
	stdin  *os.File   // what it reads from
	out    []*os.File // what it writes to: stdout, stderr
}

// start makes terminal or pipes and the process.
func (c *piped) start(term *agentproto.PTY, uid int) error {
	var theirs []*os.File
	defer func() { closeAll(theirs) }()
	if term != nil {
		master, slave, err := openPTY(uid, term.Cols, term.Rows)
		if err != nil {
			return err
		}
		theirs = []*os.File{slave}
		c.master, c.stdin, c.out = master, master, []*os.File{master}
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
		c.cmd.SysProcAttr.Setctty = true // descriptor 0 of the child
	} else {
		var ours []*os.File
		for range 3 {
			r, w, err := os.Pipe()
			if err != nil {
				closeAll(ours)
				return fmt.Errorf("make a pipe: %w", err)
			}
			if len(ours) == 0 {
				r, w = w, r // the first is written by us
			}
			ours, theirs = append(ours, r), append(theirs, w)
		}
		c.stdin, c.out = ours[0], ours[1:]
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	}
	if err := c.cmd.Start(); err != nil {
		c.close()
		return fmt.Errorf("start %s: %w", c.cmd.Path, err)
	}
	return nil
}

func (c *piped) close() {
	_ = c.stdin.Close()
	closeAll(c.out)
}

// serve joins stream and process.
func (c *piped) serve() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.cmd.Wait() // its outcome is in ProcessState
		for _, f := range c.out {
			_ = f.SetReadDeadline(time.Now().Add(execPipeGrace))
		}
	}()
	var output sync.WaitGroup
	for i, f := range c.out {
		t := agentproto.FrameStdout
		if i == 1 {
			t = agentproto.FrameStderr
		}
		output.Go(func() { _ = c.p.drain(t, &lastWords{f, ended}) })
	}
	var input sync.WaitGroup
	input.Go(func() {
		c.p.feed(c.stdin)
		if c.master == nil {
			_ = c.stdin.Close() // a terminal has no end of input but its own key
		} else {
			_, _ = c.master.Write([]byte{4}) // which is this, VEOF
		}
	})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.p.receive(c.control)
	}()
	over := make(chan struct{})
	go func() { <-ended; output.Wait(); close(over) }()
	select {
	case <-over:
		c.close() // input that still comes is dropped
		c.p.exit(shellExit(c.cmd.ProcessState))
		select { // hanging up on what the node still writes could cost it the frame
		case <-gone:
		case <-time.After(exitRead):
		}
	case <-gone: // nobody is there for its output
		c.hangUp(ended)
	}
	_ = c.p.conn.Close()
	c.close()
	<-gone
	output.Wait()
	input.Wait()
}

// control does what the node asks beside input.
func (c *piped) control(f agentproto.Frame) {
	switch f.Type {
	case agentproto.FrameResize:
		if c.master != nil && len(f.Payload) == 4 {
			cols, rows := binary.BigEndian.Uint16(f.Payload), binary.BigEndian.Uint16(f.Payload[2:])
			_ = resizePTY(c.master, min(cols, maxTermCells), min(rows, maxTermCells))
		}
	case agentproto.FrameSignal:
		sig, ok := shellSignals[string(f.Payload)]
		if !ok {
			return
		}
		group := c.cmd.Process.Pid // it leads its session
		if c.master != nil {
			if g := foreground(c.master); g > 1 {
				group = g
			}
		}
		_ = syscall.Kill(-group, sig)
	}
}

// hangUp ends what the command runs in its foreground, first kindly. What was
// put aside with nohup, setsid or a multiplexer goes on, as after any lost line.
func (c *piped) hangUp(ended <-chan struct{}) {
	leader := c.cmd.Process.Pid
	groups := []int{leader}
	if c.master != nil {
		if g := foreground(c.master); g > 1 && g != leader {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		_ = syscall.Kill(-g, syscall.SIGHUP)
		_ = syscall.Kill(-g, syscall.SIGCONT) // a stopped one would not hear it
	}
	c.close()
	select {
	case <-ended:
	case <-time.After(hangupGrace):
		for _, g := range groups {
			_ = syscall.Kill(-g, syscall.SIGKILL)
		}
		<-ended
	}
}

// lastWords reads output; once the command has ended, only until a pause: what
// it left in the background may hold the other end for ever.
type lastWords struct {
	*os.File
	ended <-chan struct{}
}

func (l *lastWords) Read(b []byte) (int, error) {
	select {
	case <-l.ended: // from now, and not from when a slow reader last came by
		_ = l.SetReadDeadline(time.Now().Add(execPipeGrace))
	default:
	}
	return l.File.Read(b)
}

// shellSignals are those that SSH knows (RFC 4254, 6.10).
var shellSignals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP, "ILL": syscall.SIGILL,
	"INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE, "QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV,
	"TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func shellExit(state *os.ProcessState) agentproto.ShellExit {
	e := agentproto.ShellExit{Code: exitCode(state)}
	if state == nil {
		return e
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		for name, sig := range shellSignals {
			if sig == ws.Signal() {
				e.Signal = name
			}
		}
	}
	return e
}
