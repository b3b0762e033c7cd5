package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// getConsole gives the console's last lines as text. What a machine prints is
// its own: it is never sent as anything a browser would run.
func getConsole(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	tail, err := queryInt(r, "tail", 1, 10_000, 0)
	if err != nil {
		return err
	}
	console, err := s.cfg.Sessions.Console(r.Context(), c.session.ID)
	if err != nil {
		return err
	}
	if tail > 0 {
		console = lastLines(console, tail)
	}
	text := bytes.ToValidUTF8(console, []byte("\uFFFD"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
	return nil
}

// lastLines gives the last n lines of b; a last line needs no newline.
func lastLines(b []byte, n int) []byte {
	end := len(b)
	if end > 0 && b[end-1] == '\n' {
		end--
	}
	for i := end - 1; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return b[i+1:]
			}
		}
	}
	return b
}

// Bounds of an exec.
const (
	maxArgs        = 4096
	maxEnv         = 256
	maxCwd         = 4096
	maxStdin       = 1 << 20
	execTimeout    = 60
	maxExecTimeout = 3600
	execMargin     = 10 * time.Second // for the agent to end a command and tell
)

func execute(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.Exec
	if err := decode(w, r, maxExecBody, &in); err != nil {
		return err
	}
	req, err := execRequest(in)
	if err != nil {
		return err
	}
	agent, err := s.agent(r, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), req.Timeout+execMargin)
	defer cancel()
	defer s.cfg.Sessions.Touch(c.session.ID)
	res, err := agent.Exec(ctx, req)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, api.ExecResult{
		ExitCode: res.ExitCode, TimedOut: res.TimedOut, DurationMS: ms(res.Duration),
		Stdout: text(res.Stdout), StdoutTruncated: res.StdoutTruncated || len(res.Stdout) > vitrine.MaxExecOutput,
		Stderr: text(res.Stderr), StderrTruncated: res.StderrTruncated || len(res.Stderr) > vitrine.MaxExecOutput,
	})
	return nil
}

func text(b []byte) string {
	return strings.ToValidUTF8(string(b[:min(len(b), vitrine.MaxExecOutput)]), "\uFFFD")
}

func execRequest(in api.Exec) (vitrine.ExecRequest, error) {
	req := vitrine.ExecRequest{Command: in.Command, Cwd: in.Cwd, Env: in.Env, Stdin: []byte(in.Stdin), User: in.User, Timeout: execTimeout * time.Second}
	switch {
	case len(in.Command) == 0 || in.Command[0] == "":
		return req, invalid("command", "is empty").WithRemedy(`a program and its arguments, such as ["uname", "-a"]`)
	case len(in.Command) > maxArgs:
		return req, invalid("command", "has %d arguments", len(in.Command)).WithRemedy("at most %d", maxArgs)
	case in.Cwd != "" && (in.Cwd[0] != '/' || len(in.Cwd) > maxCwd):
		return req, invalid("cwd", "is not an absolute path").WithRemedy("a path that begins with /, at most %d bytes", maxCwd)
	case len(in.Env) > maxEnv:
		return req, invalid("env", "has %d entries", len(in.Env)).WithRemedy("at most %d", maxEnv)
	case len(in.Stdin) > maxStdin:
		return req, invalid("stdin", "has %d bytes", len(in.Stdin)).WithRemedy("at most %d", maxStdin)
	case in.User != "" && in.User != "root":
		return req, invalid("user", "is %q", clip(in.User, 64)).WithRemedy("root, or leave it out for the desktop's user")
	}
	for _, arg := range append([]string{in.Cwd}, in.Command...) {
		if strings.ContainsRune(arg, 0) {
			return req, invalid("command", "holds a zero byte").WithRemedy("leave it out; no program can take one")
		}
	}
	for k, v := range in.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return req, invalid("env", "holds a name or value that no environment can").WithRemedy("names without = and no zero bytes")
		}
	}
	if t := in.TimeoutSeconds; t != nil {
		if *t < 1 || *t > maxExecTimeout {
			return req, invalid("timeout_seconds", "is %d", *t).WithRemedy("1 to %d seconds", maxExecTimeout)
		}
		req.Timeout = time.Duration(*t) * time.Second
	}
	return req, nil
}

// screenshotTime bounds a screenshot: a busy gVisor desktop takes under a second.
const screenshotTime = 15 * time.Second

func getScreenshot(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	agent, err := s.agent(r, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), screenshotTime)
	defer cancel()
	png, err := agent.Screenshot(ctx)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(png, []byte("\x89PNG\r\n\x1a\n")) {
		return vitrine.Errorf(vitrine.ClassFailed, "screenshot_invalid", "the machine gave %d bytes that are not a PNG", len(png)).
			WithRemedy("end the session and start another one")
	}
	s.cfg.Sessions.Touch(c.session.ID)
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(png)))
	_, _ = w.Write(png)
	return nil
}

// agent finds the session's agent, after telling in the API's words why there
// is none.
func (s *Server) agent(r *http.Request, c *call) (vitrine.Agent, error) {
	if err := ready(c.session); err != nil {
		return nil, err
	}
	return s.cfg.Sessions.Agent(r.Context(), c.session.ID)
}

// ready says why a session cannot be used now.
func ready(one vitrine.Session) error {
	switch one.State {
	case vitrine.StateReady:
		return nil
	case vitrine.StatePending, vitrine.StateStarting:
		e := vitrine.Errorf(vitrine.ClassConflict, "not_ready", "session %s is %s", one.ID, one.State).
			WithRemedy("wait until it is ready: GET /v1/sessions/%s/events tells", one.ID)
		e.Retryable, e.RetryAfter = true, time.Second
		return e
	}
	return vitrine.Errorf(vitrine.ClassConflict, "session_over", "session %s is %s", one.ID, one.State).
		WithRemedy("start another one")
}
