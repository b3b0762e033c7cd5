package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of an exec. The time is generous: the node has its own, shorter one.
const (
	maxExecs       = 32
	maxExecTime    = 24 * time.Hour
	defExecTime    = time.Minute
	maxExecArgs    = 4096
	maxExecEnv     = 1024
	maxExecArgSize = 128 << 10 // MAX_ARG_STRLEN of execve(2)
)

// execPipeGrace is how long output is still taken after the command itself has
// left: what it put in the background may hold the pipes for ever.
const execPipeGrace = 250 * time.Millisecond

// execMark is the variable by which processes of one exec are found again.
const execMark = "VITRINE_EXEC="

// What a shell answers for a command that is not there or cannot be run.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// checkExec says what is wrong with a request, by field.
func checkExec(r agentproto.ExecRequest) error {
	if len(r.Command) == 0 || r.Command[0] == "" {
		return errors.New("command: is empty")
	}
	if len(r.Command) > maxExecArgs {
		return fmt.Errorf("command: has %d arguments, at most %d", len(r.Command), maxExecArgs)
	}
	for _, arg := range r.Command {
		if len(arg) >= maxExecArgSize || strings.ContainsRune(arg, 0) {
			return fmt.Errorf("command: an argument holds a zero byte or has %d bytes or more", maxExecArgSize)
		}
	}
	if len(r.Env) > maxExecEnv {
		return fmt.Errorf("env: has %d variables, at most %d", len(r.Env), maxExecEnv)
	}
	for name, value := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) || len(name)+len(value) >= maxExecArgSize {
			return fmt.Errorf("env: %.64q is not a variable", name)
		}
	}
	if strings.ContainsRune(r.Cwd, 0) || (r.Cwd != "" && !strings.HasPrefix(r.Cwd, "/")) {
		return errors.New("cwd: is not an absolute path")
	}
	if r.TimeoutMS < 0 || time.Duration(r.TimeoutMS) > maxExecTime/time.Millisecond {
		return fmt.Errorf("timeout_ms: is not between 0 and %d", maxExecTime/time.Millisecond)
	}
	if r.User != "" && r.User != "root" {
		return fmt.Errorf("user: %.32q is neither \"\" nor \"root\"", r.User)
	}
	return nil
}

// runExec runs a checked request to its end, its timeout or ctx's. The result
// of a command that could not be started is what a shell would say.
func runExec(ctx context.Context, p place, env []string, r agentproto.ExecRequest) agentproto.ExecResult {
	start := time.Now()
	timeout := defExecTime
	if r.TimeoutMS > 0 {
		timeout = time.Duration(r.TimeoutMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	mark := execMark + rand.Text()
	stdout, stderr := &cappedBuffer{max: agentproto.MaxOutput}, &cappedBuffer{max: agentproto.MaxOutput}
	result := func(code int) agentproto.ExecResult {
		return agentproto.ExecResult{
			ExitCode: code,
			Stdout:   stdout.data, StdoutTruncated: stdout.cut,
			Stderr: stderr.data, StderrTruncated: stderr.cut,
			TimedOut:   errors.Is(ctx.Err(), context.DeadlineExceeded),
			DurationMS: time.Since(start).Milliseconds(),
		}
	}

	cmd, err := execCommand(ctx, p, env, mark, r)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", r.Command[0], err)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return result(exitNotFound)
		}
		return result(exitCannotRun)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if len(r.Stdin) > 0 {
		cmd.Stdin = bytes.NewReader(r.Stdin)
	}
	cmd.WaitDelay = execPipeGrace
	cmd.Cancel = func() error {
		killTree(cmd.Process.Pid, mark)
		return nil
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", r.Command[0], err)
		return result(exitCannotRun)
	}
	_ = cmd.Wait() // its outcome is in ProcessState
	if ctx.Err() != nil {
		killTree(cmd.Process.Pid, mark) // what forked away while it was killed
	}
	return result(exitCode(cmd.ProcessState))
}

// execCommand builds the command: its program found in the request's own PATH.
func execCommand(ctx context.Context, p place, env []string, mark string, r agentproto.ExecRequest) (*exec.Cmd, error) {
	cred, cwd := p.credential(), p.home
	if r.User == "root" {
		cred, cwd, env = nil, "/", rootEnv()
	}
	if r.Cwd != "" {
		cwd = r.Cwd
	}
	env = append([]string(nil), env...)
	path := searchPath
	for name, value := range r.Env {
		env = append(env, name+"="+value)
		if name == "PATH" {
			path = value
		}
	}
	program, err := findProgram(r.Command[0], path, cwd)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(cwd); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", cwd)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = r.Command
	cmd.Dir = cwd
	cmd.Env = append(slices.Clip(env), mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: cred, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// findProgram does what execvp(3) does, in a PATH that is not our own.
func findProgram(name, path, cwd string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(cwd, name)
		}
		_, err := os.Stat(name)
		return name, err
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", exec.ErrNotFound
}

// exitCode is the status as a shell has it: 128 + signal for a killed command.
func exitCode(state *os.ProcessState) int {
	if state == nil {
		return exitCannotRun
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// cappedBuffer keeps the first max bytes and takes the rest without keeping
// it, so that a command that prints for ever does not stop for a full pipe.
type cappedBuffer struct {
	data []byte
	max  int
	cut  bool
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	n := len(p)
	if room := b.max - len(b.data); n > room {
		p, b.cut = p[:room], true
	}
	b.data = append(b.data, p...)
	return n, nil
}
