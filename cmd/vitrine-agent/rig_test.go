package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentclient"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The test binary is the agent, too: init starts its own program as serve, and
// serve as display.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init", "serve", "display", "sftp":
			os.Exit(run(os.Args[1:]))
		}
	}
	os.Exit(m.Run())
}

const secret = "the secret of a test machine"

// rig is one agent, run as the process runtime runs it.
type rig struct {
	*agentclient.Client
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	log   *bytes.Buffer // read after it has ended
	began time.Time
	left  chan struct{}
}

// start runs an agent; the desktop's user is not root, as Chromium demands.
func start(t *testing.T, cfg agentproto.Config) *rig {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run the desktop as another user")
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.MachineID, cfg.SessionID, cfg.Secret, cfg.Sandbox = "mch_test", "ses_test", secret, "process"
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, agentproto.ConfigFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, log: new(bytes.Buffer), left: make(chan struct{}), began: time.Now()}
	r.Client = agentclient.New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, agentproto.SocketFile))
	}, secret)
	r.cmd = exec.Command("/proc/self/exe", "init", "--dir", dir)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	r.cmd.WaitDelay = 10 * time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.left)
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("the agent's console:\n%s", tail(r.log.String(), 60))
		}
		if left := r.processes(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
			for pid := range left {
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Kill()
				}
			}
		}
	})
	return r
}

func (r *rig) stop() {
	_ = r.cmd.Process.Signal(os.Interrupt)
	select {
	case <-r.left:
	case <-time.After(15 * time.Second):
		r.t.Error("the agent did not end in 15 s")
		_ = r.cmd.Process.Kill()
		<-r.left
	}
}

// await polls the agent's health, as the node does, until it is as wanted.
func (r *rig) await(what string, wanted func(vitrine.AgentHealth) bool) vitrine.AgentHealth {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		h, err := r.Health(ctx)
		if err == nil && h.Problem != nil {
			r.t.Fatalf("waiting for %s: %+v", what, *h.Problem)
		}
		if err == nil && wanted(h) {
			return h
		}
		select {
		case <-tick.C:
		case <-r.left:
			r.t.Fatalf("waiting for %s: the agent ended", what)
		case <-ctx.Done():
			r.t.Fatalf("waiting for %s: %v; the last health is %+v, %v", what, ctx.Err(), h, err)
		}
	}
}

func (r *rig) ready() vitrine.AgentHealth {
	r.t.Helper()
	return r.await("ready", func(h vitrine.AgentHealth) bool { return h.Step == vitrine.AgentStepReady })
}

// processes are those that have to do with this agent: by its directory in
// their arguments or environment.
func (r *rig) processes() map[int]string {
	found := make(map[int]string)
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		args, _ := os.ReadFile(name + "/cmdline")
		env, _ := os.ReadFile(name + "/environ")
		if pid != os.Getpid() && (bytes.Contains(args, []byte(r.dir)) || bytes.Contains(env, []byte(r.dir))) {
			found[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
	}
	return found
}

func program(h vitrine.AgentHealth, name string) vitrine.AgentProgram {
	for _, p := range h.Programs {
		if p.Name == name {
			return p
		}
	}
	return vitrine.AgentProgram{}
}

func (r *rig) sh(command string) vitrine.ExecResult {
	r.t.Helper()
	out, err := r.Exec(r.t.Context(), vitrine.ExecRequest{Command: []string{"sh", "-c", command}, Timeout: 30 * time.Second})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// needDesktop skips where the programs of the golden image are not installed.
func needDesktop(t *testing.T) {
	t.Helper()
	for _, name := range []string{"Xvnc", "openbox", "chromium", "dbus-daemon", "pulseaudio"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
}

// devtools speaks DevTools on a stream of its own.
type devtools struct {
	vitrine.MessageStream
	t  *testing.T
	id int
}

func (r *rig) devtools() *devtools {
	r.t.Helper()
	s, err := r.OpenCDP(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return &devtools{MessageStream: s, t: r.t}
}

type devtoolsReply struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Result    json.RawMessage `json:"result"`
	Error     json.RawMessage `json:"error"`
}

// call sends a command and gives its reply; events are passed over.
func (d *devtools) call(session, method, params string) devtoolsReply {
	d.t.Helper()
	d.id++
	msg := fmt.Sprintf(`{"id":%d,"method":%q,"params":%s`, d.id, method, params)
	if session != "" {
		msg += fmt.Sprintf(`,"sessionId":%q`, session)
	}
	if err := d.WriteMessage([]byte(msg + "}")); err != nil {
		d.t.Fatal(err)
	}
	for {
		data, err := d.ReadMessage()
		if err != nil {
			d.t.Fatalf("%s: %v", method, err)
		}
		var got devtoolsReply
		if err := json.Unmarshal(data, &got); err != nil {
			d.t.Fatalf("%s: %q: %v", method, data, err)
		}
		if got.ID == d.id {
			if got.SessionID != session {
				d.t.Errorf("%s in session %q was answered in %q", method, session, got.SessionID)
			}
			return got
		}
	}
}

// text takes one string out of a result.
func (d devtoolsReply) text(name string) string {
	var fields map[string]json.RawMessage
	var s string
	_ = json.Unmarshal(d.Result, &fields)
	_ = json.Unmarshal(fields[name], &s)
	return s
}

// page opens a page and gives its session.
func (d *devtools) page(url string) string {
	d.t.Helper()
	target := d.call("", "Target.createTarget", fmt.Sprintf(`{"url":%q}`, url)).text("targetId")
	session := d.call("", "Target.attachToTarget", fmt.Sprintf(`{"targetId":%q,"flatten":true}`, target)).text("sessionId")
	if session == "" {
		d.t.Fatalf("no session in page %s", target)
	}
	return session
}

// eval evaluates an expression in a page and gives it as JSON.
func (d *devtools) eval(session, expression string) string {
	d.t.Helper()
	quoted, _ := json.Marshal(expression)
	got := d.call(session, "Runtime.evaluate", fmt.Sprintf(`{"expression":%s,"awaitPromise":true,"returnByValue":true}`, quoted))
	var out struct {
		Result struct{ Value json.RawMessage }
	}
	if err := json.Unmarshal(got.Result, &out); err != nil {
		d.t.Fatalf("%s: %s %s", expression, got.Result, got.Error)
	}
	return string(out.Result.Value)
}

func tail(s string, n int) string {
	var lines []string
	for sc := bufio.NewScanner(strings.NewReader(s)); sc.Scan(); {
		lines = append(lines, sc.Text())
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
