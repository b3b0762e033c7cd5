package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// drainTime is how long a program's last lines are waited for after it ended;
// a child of its own may hold the pipe for ever.
const drainTime = 100 * time.Millisecond

// spawned is a program that runs as a process of ours, in a group of its own.
type spawned struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// spawn starts name as the user with env; its output goes to lines, and files
// become its descriptors 3, 4, … (closed here in any case). The process dies
// with the agent.
func spawn(p place, lines *ring, env []string, files []*os.File, name string, args ...string) (*spawned, error) {
	defer closeAll(files)
	path, err := findProgram(name, searchPath, "/")
	if err != nil {
		return nil, fmt.Errorf("%s is not in the image: %w", name, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer w.Close()
	cmd := &exec.Cmd{
		Path: path, Args: append([]string{path}, args...), Env: env, Dir: p.home,
		Stdout: w, Stderr: w, ExtraFiles: files,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Credential: p.credential(), Pdeathsig: syscall.SIGKILL},
	}
	if err := cmd.Start(); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		lines.read(r)
	}()
	s := &spawned{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		// What it left of its group would hold displays and profiles.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		select {
		case <-read:
		case <-time.After(drainTime):
		}
		close(s.ended)
	}()
	return s, nil
}

func (s *spawned) pid() int              { return s.cmd.Process.Pid }
func (s *spawned) done() <-chan struct{} { return s.ended }

// exit may be called when done is closed.
func (s *spawned) exit() (string, bool) {
	return s.cmd.ProcessState.String(), s.cmd.ProcessState.Success()
}

func (s *spawned) stop(grace time.Duration) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-s.ended
		return
	}
	select {
	case <-s.ended:
	case <-time.After(grace):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.ended
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
