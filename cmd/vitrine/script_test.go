package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitrine-dev/vitrine/internal/image"
)

// TestMain makes this test binary act as vitrine inside scripts, and as the
// shim that a daemon in a script starts for its machines.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vitrine": main})
}

// TestScripts types what a user types. The scripts need root: they run a daemon
// and a machine.
func TestScripts(t *testing.T) { runScripts(t, "testdata") }

// TestSSHScripts come after the others, which remove the image that these run.
func TestSSHScripts(t *testing.T) { runScripts(t, "testdata/ssh") }

// runScripts runs the scripts of a directory side by side.
func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			ports, err := freePorts(4)
			if err != nil {
				return err
			}
			for i, name := range []string{"PORT", "MEDIA", "TURN", "SSH"} {
				env.Setenv(name, fmt.Sprint(ports[i]))
			}
			env.Setenv("VITRINE_LISTEN", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			env.Setenv("VITRINE_MEDIA_PORT", fmt.Sprint(ports[1]))
			env.Setenv("VITRINE_TURN_PORT", fmt.Sprint(ports[2]))
			env.Setenv("VITRINE_SSH_PORT", fmt.Sprint(ports[3]))
			env.Setenv("VITRINE_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("VITRINE_CACHE_DIR", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("VITRINE_BRIDGE", "vtcli0")
			env.Setenv("VITRINE_SUBNET", "192.168.198.0/24")
			env.Setenv("VITRINE_DNS", "203.0.113.53")
			env.Setenv("RUNSC_CACHE", cacheDir())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitfile": waitFile, "status": status, "envfile": envFile,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			if cond == "runsc" {
				_, err := os.Stat(filepath.Join(cacheDir(), "bin", "runsc"))
				return err == nil, nil
			}
			if cond == "desktop" { // its image takes minutes to build: not in a test
				_, err := image.NewStore(filepath.Join(cacheDir(), "images")).Resolve(context.Background(), "desktop")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

func cacheDir() string {
	if d := os.Getenv("VITRINE_CACHE_DIR"); d != "" {
		return d
	}
	return "/var/cache/vitrine"
}

// waitFile waits until a file is there: "waitfile FILE".
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	path := ts.MkAbs(args[0])
	for range 600 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear within 30 s", args[0])
}

// status runs a command and wants an exit code: "status CODE COMMAND ARG…".
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND ARG…")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = -1
		var exit interface{ ExitCode() int }
		if e, ok := err.(interface{ ExitCode() int }); ok {
			exit = e
			code = exit.ExitCode()
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// envFile sets a variable to a command's trimmed output file: "envfile NAME FILE".
func envFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envfile NAME FILE")
	}
	text := ts.ReadFile(args[1])
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == ' ') {
		text = text[:len(text)-1]
	}
	ts.Setenv(args[0], text)
}
