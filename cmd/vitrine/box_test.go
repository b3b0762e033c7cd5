package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// box is a place for daemons, one after the other: one data directory, one set
// of ports, and a service manager, which is this test. It speaks to them over
// the local socket, so that a daemon may live in a network namespace.
type box struct {
	t       *testing.T
	program string
	dir     string
	prefix  []string // runs the daemon
	env     []string
	told    chan string // what the manager hears
	http    *http.Client
	api     *client.Client

	sessions []string
}

func newBox(t *testing.T, runtime string) *box {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("machines can only be made by root")
	}
	b := &box{t: t, dir: t.TempDir(), told: make(chan string, 1000)}
	// The supervisors of machines are this program too, by its name.
	b.program = filepath.Join(b.dir, "vitrine")
	self, err := os.Executable()
	if err == nil {
		err = exec.Command("cp", "--reflink=auto", self, b.program).Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	notify := filepath.Join(b.dir, "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = heard.Close() })
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := heard.Read(buf)
			if err != nil {
				return
			}
			b.told <- string(buf[:n])
		}
	}()
	b.env = append(os.Environ(),
		"NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=600000",
		"VITRINE_DATA_DIR="+filepath.Join(b.dir, "data"), "VITRINE_CACHE_DIR="+filepath.Join(b.dir, "cache"), "VITRINE_IMAGE_DIR="+filepath.Join(cacheDir(), "images"),
		"VITRINE_RUNSC="+filepath.Join(cacheDir(), "bin", "runsc"),
		fmt.Sprintf("VITRINE_LISTEN=127.0.0.1:%d", ports[0]), fmt.Sprintf("VITRINE_MEDIA_PORT=%d", ports[1]), fmt.Sprintf("VITRINE_TURN_PORT=%d", ports[2]),
		"VITRINE_SSH_PORT=0", "VITRINE_DEV=true", "VITRINE_RUNTIME="+runtime, "VITRINE_BRIDGE=vtsrv0", "VITRINE_SUBNET=192.168.197.0/24", "VITRINE_DNS=203.0.113.53",
	)
	b.run("image", "build", "tiny")
	t.Cleanup(b.clear)
	var d net.Dialer
	b.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", filepath.Join(b.dir, "data", socketName))
	}}}
	if b.api, err = client.New("http://localhost", "", client.WithHTTPClient(b.http)); err != nil {
		t.Fatal(err)
	}
	return b
}

// command is vitrine, as a user types it.
func (b *box) command(prefix []string, args ...string) *exec.Cmd {
	words := append(append(append([]string{}, prefix...), b.program), args...)
	cmd := exec.Command(words[0], words[1:]...)
	if len(prefix) == 0 {
		cmd.Args[0] = "vitrine"
	}
	cmd.Env, cmd.Dir = b.env, b.dir
	return cmd
}

func (b *box) run(args ...string) string {
	b.t.Helper()
	out, err := b.command(nil, args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("vitrine %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// daemon is one that runs.
type daemon struct {
	b    *box
	cmd  *exec.Cmd
	out  *lines
	left chan error
}

// start runs a daemon until it has told its manager that it is ready.
func (b *box) start() *daemon {
	b.t.Helper()
	d := &daemon{b: b, out: &lines{}, left: make(chan error, 1)}
	d.cmd = b.command(b.prefix, "serve")
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { d.left <- d.cmd.Wait() }()
	stop := func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(stopLimit, func() { _ = d.cmd.Process.Kill() })
		defer late.Stop()
		d.left <- <-d.left
		if b.t.Failed() {
			b.t.Logf("the daemon said:\n%s", d.out)
		}
	}
	b.t.Cleanup(stop)
	b.hear(d, "READY=1\n")
	return d
}

// hear waits for a word to the manager.
func (b *box) hear(d *daemon, word string) {
	b.t.Helper()
	for limit := time.After(30 * time.Second); ; {
		select {
		case s := <-b.told:
			if strings.HasPrefix(s+"\n", word) {
				return
			}
		case err := <-d.left:
			d.left <- err
			b.t.Fatalf("the daemon left before it said %q: %v\n%s", word, err, d.out)
		case <-limit:
			b.t.Fatalf("the daemon never said %q\n%s", word, d.out)
		}
	}
}

// end waits for the daemon's end, within a limit, and gives its exit code.
func (d *daemon) end(limit time.Duration) int {
	d.b.t.Helper()
	select {
	case err := <-d.left:
		d.left <- err
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		d.b.t.Fatalf("the daemon did not leave within %s\n%s", limit, d.out)
		return -1
	}
}

func (d *daemon) signal(s os.Signal) {
	d.b.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.b.t.Fatal(err)
	}
}

// session makes a terminal; clear ends it.
func (b *box) session() client.Session {
	b.t.Helper()
	memory := 64
	s, err := b.api.CreateSession(b.t.Context(), client.CreateSession{Kind: vitrine.KindTerminal, Image: "tiny", MemoryMB: &memory}, client.CreateOptions{Wait: true})
	if err != nil {
		b.t.Fatal(err)
	}
	b.sessions = append(b.sessions, s.ID)
	return s
}

// clear ends what the test began, by a daemon of its own: whatever happened to
// those before, it finds their machines.
func (b *box) clear() {
	if len(b.sessions) == 0 {
		return
	}
	d := b.start()
	b.run(append([]string{"session", "rm"}, b.sessions...)...)
	d.signal(syscall.SIGTERM)
	d.end(stopLimit)
	if left, err := filepath.Glob(filepath.Join(b.dir, "data", "machines", "*", "mch_*")); err != nil || len(left) > 0 {
		b.t.Errorf("left behind: %v, %v", left, err)
	}
}

// do runs a command in a session.
func (b *box) do(id string, command ...string) string {
	b.t.Helper()
	res, err := b.api.Exec(b.t.Context(), id, client.Exec{Command: command})
	if err != nil || res.ExitCode != 0 {
		b.t.Fatalf("%v in %s: %+v, %v", command, id, res, err)
	}
	return strings.TrimSpace(res.Stdout)
}

// lines is what a daemon said.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
