package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

// world is a place for daemons, one after the other: a network namespace, a
// data directory and a bridge of its own. It speaks to them over the local
// socket, as root on the host does.
type world struct {
	t       *testing.T
	dir     string // short: sockets lie below it
	netns   string
	bridge  string
	env     map[string]string // settings, by name; PATH too
	program string            // the daemon's
	prefix  []string          // runs the daemon, after the namespace is entered
	api     *client.Client
	http    *http.Client
	watch   *watch

	daemon *daemon       // nil: none runs
	slow   time.Duration // the API's longest answer, of daemons that have left
	undo   []func()
	silent error // the first call that was not answered
}

// daemon is one that runs.
type daemon struct {
	cmd  *exec.Cmd
	left chan struct{} // closed when it has
}

var worlds atomic.Int32

// newWorld makes one without a daemon. It is taken down at the test's end, by a
// daemon of its own where machines are left.
func newWorld(t *testing.T, runtime string, settings ...string) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("machines can only be made by root")
	}
	n := worlds.Add(1)
	w := &world{t: t, program: program, netns: fmt.Sprintf("vtf-%d-%d", os.Getpid(), n), bridge: fmt.Sprintf("vtf%xn%d", os.Getpid()&0xffff, n)}
	dir, err := os.MkdirTemp("", "vtf-")
	if err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.must("ip", "netns", "add", w.netns)
	t.Cleanup(func() { w.must("ip", "netns", "del", w.netns) })
	w.must("ip", "-n", w.netns, "link", "set", "lo", "up")
	t.Cleanup(w.dissolveCgroups)

	w.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"),
		"VITRINE_DATA_DIR": w.data(), "VITRINE_CACHE_DIR": filepath.Dir(imageStore()), "VITRINE_LISTEN": "127.0.0.1:4000",
		"VITRINE_RUNTIME": runtime, "VITRINE_BRIDGE": w.bridge, "VITRINE_SUBNET": "192.168.202.0/24", "VITRINE_DNS": "203.0.113.53",
		"RATE_LIMIT_MAX_REQUESTS": "1000000",
	}
	w.set(settings...)
	var d net.Dialer
	w.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", filepath.Join(w.data(), "vitrine.sock"))
	}, MaxIdleConnsPerHost: 64}}
	if w.api, err = client.New("http://localhost", "", client.WithHTTPClient(w.http)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// data is the daemon's directory.
func (w *world) data() string { return filepath.Join(w.dir, "data") }

// set changes settings ("NAME=value") for the next daemon; "NAME=" takes one away.
func (w *world) set(settings ...string) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if delete(w.env, name); value != "" {
			w.env[name] = value
		}
	}
}

// instance is what the world's daemons call their things on the host.
func (w *world) instance() string { return "vitrine-" + w.bridge }

// command is a program within the world's network and settings.
func (w *world) command(words ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + w.netns}, words...)...)
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Dir = w.dir
	return cmd
}

// vitrine runs the program as a person would, and gives what it printed.
func (w *world) vitrine(args ...string) (string, error) {
	w.t.Helper()
	out, err := w.command(append([]string{program}, args...)...).CombinedOutput()
	return string(out), err
}

// start runs a daemon until it answers.
func (w *world) start() {
	w.t.Helper()
	if err := w.tryStart(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryStart() error {
	if err := os.MkdirAll(w.data(), 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(w.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d := &daemon{left: make(chan struct{})}
	d.cmd = w.command(append(append([]string{}, w.prefix...), w.program, "serve")...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// What is typed at the test is not the daemon's.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() { _ = d.cmd.Wait(); close(d.left) }()
	w.daemon = d
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for {
		if _, err := w.api.Health(context.Background()); err == nil {
			break
		}
		select {
		case <-d.left:
			w.daemon = nil
			return fmt.Errorf("the daemon left at once:\n%s", w.tail(20))
		case <-late:
			return fmt.Errorf("the daemon did not answer within 60 s:\n%s", w.tail(20))
		case <-tick.C:
		}
	}
	w.watch = w.watchAPI()
	return nil
}

func (w *world) log() string { return filepath.Join(w.dir, "log") }

// tail is the end of the daemons' log.
func (w *world) tail(n int) string {
	b, _ := os.ReadFile(w.log())
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// stopLimit is the daemon's own for its end (docs/operations.md), and a little.
const stopLimit = 35 * time.Second

// stop ends the daemon as a service manager does.
func (w *world) stop() {
	w.t.Helper()
	w.end(syscall.SIGTERM)
}

// kill ends it as a crash does.
func (w *world) kill() {
	w.t.Helper()
	w.end(syscall.SIGKILL)
}

func (w *world) end(sig syscall.Signal) {
	w.t.Helper()
	d := w.daemon
	if d == nil {
		return
	}
	w.watch.stop()
	worst, _, err := w.watch.seen()
	w.slow, w.silent = max(w.slow, worst), errors.Join(w.silent, err)
	w.daemon = nil
	_ = d.cmd.Process.Signal(sig)
	select {
	case <-d.left:
	case <-time.After(stopLimit):
		_ = d.cmd.Process.Kill()
		<-d.left
		w.t.Errorf("the daemon did not leave within %s of %s:\n%s", stopLimit, sig, w.tail(20))
	}
	w.http.CloseIdleConnections()
}

// restart ends the daemon and starts one with other settings.
func (w *world) restart(settings ...string) {
	w.t.Helper()
	w.stop()
	w.set(settings...)
	w.start()
}

// atEnd does something when the world's daemons have left for good.
func (w *world) atEnd(do func()) { w.undo = append(w.undo, do) }

// close ends all sessions and the daemon: also those of a test that failed half-way.
func (w *world) close() {
	if w.t.Failed() {
		defer func() { w.t.Logf("the daemons' log:\n%s", w.tail(60)) }()
	}
	defer func() {
		for _, do := range w.undo {
			do()
		}
	}()
	if w.daemon == nil && !w.inhabited() {
		return
	}
	if w.daemon == nil {
		if err := w.tryStart(); err != nil {
			w.t.Errorf("taking the world down: %v", err)
			return
		}
	}
	if w.t.Failed() {
		w.tellStarts()
	}
	w.endAll()
	w.stop()
}

// tellStarts logs how far the sessions that are not over have come.
func (w *world) tellStarts() {
	ctx := context.WithoutCancel(w.t.Context())
	for s, err := range w.api.AllSessions(ctx, client.ListOptions{}) {
		if err != nil || s.Released {
			continue
		}
		b, _ := w.api.Boot(ctx, s.ID)
		w.t.Logf("session %s is %s: %+v", s.ID, s.State, b.Phases)
	}
}

// inhabited says whether there are machines.
func (w *world) inhabited() bool {
	found, _ := filepath.Glob(filepath.Join(w.data(), "machines/*/mch_*"))
	return len(found) > 0
}

// endAll deletes every session that is not over, and waits until each is gone.
func (w *world) endAll() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), time.Minute)
	defer cancel()
	for s, err := range w.api.AllSessions(ctx, client.ListOptions{}) {
		if err != nil {
			w.t.Errorf("listing sessions to end them: %v", err)
			return
		}
		if !s.Released {
			if _, err := w.api.DeleteSession(ctx, s.ID, true); err != nil {
				w.t.Errorf("ending session %s: %v", s.ID, err)
			}
		}
	}
}

// audit wants `vitrine audit` to find nothing.
func (w *world) audit() error {
	out, err := w.command(program, "audit", "--json").Output()
	var c api.Collection
	if jerr := json.Unmarshal(out, &c); jerr != nil {
		return fmt.Errorf("vitrine audit: %w, %s", errors.Join(err, jerr), out)
	}
	if err != nil || len(c.Leftovers)+len(c.Blind) > 0 {
		return fmt.Errorf("vitrine audit: %w\n%s", err, out)
	}
	return nil
}

// must runs a program of the host's.
func (w *world) must(name string, args ...string) string {
	w.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// within waits until something holds that no event tells of.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !holds() {
		select {
		case <-late:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
