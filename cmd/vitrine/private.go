package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// privateDaemon is a daemon of bench's own, with its own data directory, bridge
// and ports, so that a figure is never mixed with somebody's real sessions.
type privateDaemon struct {
	URL  string
	Key  string
	PID  int
	Dir  string
	cmd  *exec.Cmd
	done chan error
}

// benchBridge is the private daemon's, and with it its instance's name.
const benchBridge = "vtbench0"

// startPrivateDaemon runs this same binary as a daemon and waits until it
// answers. Its log goes to a file in its directory.
func startPrivateDaemon(ctx context.Context, extra ...string) (*privateDaemon, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vitrine-bench-data-")
	if err != nil {
		return nil, fmt.Errorf("making a data directory: %w", err)
	}
	ports, err := freePorts(3)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	args := append([]string{
		"serve", "--data-dir=" + dir, "--bridge=" + benchBridge, "--subnet=192.168.199.0/24", "--ready-file=" + filepath.Join(dir, "ready"),
		fmt.Sprintf("--listen=127.0.0.1:%d", ports[0]), fmt.Sprintf("--media-port=%d", ports[1]), fmt.Sprintf("--turn-port=%d", ports[2]), "--ssh-port=0",
	}, extra...)
	cmd := exec.Command(self, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on, after the sessions ended
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("starting a daemon: %w", err)
	}
	d := &privateDaemon{PID: cmd.Process.Pid, Dir: dir, cmd: cmd, done: make(chan error, 1)}
	go func() { d.done <- cmd.Wait() }()
	if err := d.waitReady(ctx); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// readyFile is what `serve --ready-file` writes once it answers.
type readyFile struct {
	URL   string `json:"url"`
	Key   string `json:"key,omitempty"` // only when it was made at this start
	Login string `json:"login"`
}

func (d *privateDaemon) waitReady(ctx context.Context) error {
	path := filepath.Join(d.Dir, "ready")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		if b, err := os.ReadFile(path); err == nil {
			var r readyFile
			if err := json.Unmarshal(b, &r); err != nil {
				return err
			}
			d.URL, d.Key = r.URL, r.Key
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-d.done:
			d.done <- err
			return vitrine.Errorf(vitrine.ClassUnavailable, "daemon_failed", "the daemon left at once:\n%s", d.tail()).WithRemedy("run `vitrine doctor`")
		case <-deadline:
			return vitrine.Errorf(vitrine.ClassTimeout, "daemon_slow", "the daemon did not answer within 60 s:\n%s", d.tail()).WithRemedy("run `vitrine doctor`")
		case <-tick.C:
		}
	}
}

// tail is the end of the daemon's log.
func (d *privateDaemon) tail() string {
	f, err := os.Open(filepath.Join(d.Dir, "log"))
	if err != nil {
		return ""
	}
	defer f.Close()
	var lines []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		lines = append(lines, "  | "+sc.Text())
		if len(lines) > 20 {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// stop ends the daemon and removes its directory; sessions must be gone before.
func (d *privateDaemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(15 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	os.RemoveAll(d.Dir)
}

// freePorts finds n TCP ports that are free now.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
