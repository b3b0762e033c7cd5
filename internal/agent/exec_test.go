package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func run(t *testing.T, p place, r agentproto.ExecRequest) agentproto.ExecResult {
	t.Helper()
	if err := checkExec(r); err != nil {
		t.Fatal(err)
	}
	return runExec(t.Context(), p, p.userEnv(), r)
}

func TestExec(t *testing.T) {
	p := asUser(t)
	for _, tt := range []struct {
		name   string
		req    agentproto.ExecRequest
		code   int
		stdout string
		stderr string
	}{
		{"a command of the user", agentproto.ExecRequest{Command: []string{"id", "-u"}}, 0, fmt.Sprintln(p.uid), ""},
		{"in its home", agentproto.ExecRequest{Command: []string{"pwd"}}, 0, p.home + "\n", ""},
		{"in another place", agentproto.ExecRequest{Command: []string{"pwd"}, Cwd: "/usr"}, 0, "/usr\n", ""},
		{"with its environment", agentproto.ExecRequest{Command: []string{"sh", "-c", "echo $A $HOME"}, Env: map[string]string{"A": "b c"}}, 0, "b c " + p.home + "\n", ""},
		{"with input", agentproto.ExecRequest{Command: []string{"cat"}, Stdin: []byte("in\x00put")}, 0, "in\x00put", ""},
		{"that fails", agentproto.ExecRequest{Command: []string{"sh", "-c", "echo no >&2; exit 3"}}, 3, "", "no\n"},
		{"that is killed", agentproto.ExecRequest{Command: []string{"sh", "-c", "kill -9 $$"}}, 137, "", ""},
		{"that does not exist", agentproto.ExecRequest{Command: []string{"no-such"}}, 127, "", "no-such: executable file not found in $PATH\n"},
		{"that may not be run", agentproto.ExecRequest{Command: []string{"/etc/passwd"}}, 126, "", "/etc/passwd: fork/exec /etc/passwd: permission denied\n"},
		{"in a place that is not there", agentproto.ExecRequest{Command: []string{"pwd"}, Cwd: "/none"}, 126, "", "pwd: /none is not a directory\n"},
		{"that is not in the PATH given", agentproto.ExecRequest{Command: []string{"id"}, Env: map[string]string{"PATH": "/none"}}, 127, "", "id: executable file not found in $PATH\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, p, tt.req)
			if got.ExitCode != tt.code || string(got.Stdout) != tt.stdout || string(got.Stderr) != tt.stderr || got.TimedOut {
				t.Errorf("%d %q %q timed out %v", got.ExitCode, got.Stdout, got.Stderr, got.TimedOut)
			}
		})
	}
}

func TestExecAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if got := run(t, asUser(t), agentproto.ExecRequest{Command: []string{"sh", "-c", "id -u; pwd"}, User: "root"}); string(got.Stdout) != "0\n/\n" {
		t.Errorf("%q %q", got.Stdout, got.Stderr)
	}
}

func TestOutputWithoutEndIsCutAndSaidToBe(t *testing.T) {
	got := run(t, asUser(t), agentproto.ExecRequest{Command: []string{"sh", "-c", "head -c 3000000 /dev/zero; head -c 1048576 /dev/zero >&2"}})
	if got.ExitCode != 0 || len(got.Stdout) != agentproto.MaxOutput || !got.StdoutTruncated || len(got.Stderr) != agentproto.MaxOutput || got.StderrTruncated {
		t.Errorf("%d: %d %v, %d %v", got.ExitCode, len(got.Stdout), got.StdoutTruncated, len(got.Stderr), got.StderrTruncated)
	}
	if body, _ := json.Marshal(got); len(body) > agentproto.MaxJSON {
		t.Errorf("the reply has %d bytes", len(body))
	}
}

func TestABackgroundChildThatHoldsTheOutputDoesNotHoldTheAnswer(t *testing.T) {
	began := time.Now()
	got := run(t, asUser(t), agentproto.ExecRequest{Command: []string{"sh", "-c", "sleep 60 & echo $!"}, TimeoutMS: 30000})
	if got.ExitCode != 0 || got.TimedOut || time.Since(began) > 20*time.Second {
		t.Errorf("%d %q after %s", got.ExitCode, got.Stdout, time.Since(began))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(got.Stdout)))
	if err != nil || !alive(pid) {
		t.Errorf("the child %q was killed", got.Stdout)
	}
	_ = kill(pid)
}

func TestATimeoutKillsTheWholeTree(t *testing.T) {
	p := asUser(t)
	pids := filepath.Join(p.home, "pids")
	// One in a pipeline, one in a session of its own, one whose parent left.
	script := `trap "" TERM; echo $$ >>` + pids + `; (sleep 61 | cat) & setsid sh -c 'echo $$ >>` + pids + `; exec sleep 62' & (setsid sh -c 'echo $$ >>` + pids + `; exec sleep 63' &) ; sleep 64`
	got := run(t, p, agentproto.ExecRequest{Command: []string{"sh", "-c", script}, TimeoutMS: 1500})
	if !got.TimedOut || got.ExitCode != 137 {
		t.Errorf("exit %d, timed out %v", got.ExitCode, got.TimedOut)
	}
	data, err := os.ReadFile(pids)
	if err != nil || len(strings.Fields(string(data))) != 3 {
		t.Fatalf("%q %v", data, err)
	}
	for _, field := range strings.Fields(string(data)) {
		if pid, _ := strconv.Atoi(field); alive(pid) {
			t.Errorf("process %d lives", pid)
			_ = kill(pid)
		}
	}
}

func TestANodeThatHangsUpEndsTheCommand(t *testing.T) {
	p := asUser(t)
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan agentproto.ExecResult)
	go func() {
		ended <- runExec(ctx, p, p.userEnv(), agentproto.ExecRequest{Command: []string{"sleep", "65"}, TimeoutMS: 60000})
	}()
	hangUp()
	if got := <-ended; got.TimedOut || got.ExitCode == 0 {
		t.Errorf("%+v", got)
	}
}

func alive(pid int) bool {
	_, ok := parseStat(pid, readProc("/proc/"+strconv.Itoa(pid)+"/stat"))
	return ok
}

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func FuzzExecRequest(f *testing.F) {
	f.Add([]byte(`{"command":["id"],"cwd":"/","env":{"A":"b"},"stdin":"aGk=","timeout_ms":1000,"user":"root"}`))
	f.Add([]byte(`{"command":["a\u0000b"],"env":{"A=B":"x"},"cwd":"../x","timeout_ms":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r agentproto.ExecRequest
		if json.Unmarshal(data, &r) != nil || checkExec(r) != nil {
			return
		}
		if len(r.Command) == 0 || strings.ContainsRune(strings.Join(r.Command, ""), 0) || (r.Cwd != "" && r.Cwd[0] != '/') || r.TimeoutMS < 0 || (r.User != "" && r.User != "root") {
			t.Fatalf("taken: %+v", r)
		}
		for name, value := range r.Env {
			if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
				t.Fatalf("taken: %q=%q", name, value)
			}
		}
	})
}
