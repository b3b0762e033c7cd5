package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// follow reads the event stream to its end, and gives its last words.
func (b *box) follow() <-chan string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", "http://localhost/v1/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	last := make(chan string, 1)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		word := ""
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if in.Text() != "" {
				word = in.Text()
			}
		}
		last <- word
	}()
	return last
}

// look attaches a viewer, and gives how its socket ends.
func (b *box) look(id string) <-chan error {
	b.t.Helper()
	c, _, err := websocket.Dial(b.t.Context(), "ws://localhost/v1/sessions/"+id+"/signal", &websocket.DialOptions{HTTPClient: b.http})
	if err != nil {
		b.t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	if _, hello, err := c.Read(b.t.Context()); err != nil || !strings.Contains(string(hello), `"hello"`) {
		b.t.Fatalf("the viewer was greeted with %s, %v", hello, err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.Read(b.t.Context()); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// TestARestartLosesNoSession: a restart as systemd does it. Viewers and event
// streams are told, the process leaves by itself, the machine does not notice,
// and the next daemon has it.
func TestARestartLosesNoSession(t *testing.T) {
	b := newBox(t, "process")
	d := b.start()
	b.hear(d, "WATCHDOG=1\n")
	s := b.session()
	before := b.do(s.ID, "cut", "-d ", "-f1,22", "/proc/1/stat")
	events, viewer := b.follow(), b.look(s.ID)

	d.signal(syscall.SIGTERM)
	b.hear(d, "STOPPING=1\n")
	var closed websocket.CloseError
	if err := <-viewer; !errors.As(err, &closed) || closed.Code != websocket.StatusServiceRestart || !strings.Contains(closed.Reason, "come back") {
		t.Errorf("the viewer was put out with %v", err)
	}
	if last := <-events; !strings.HasPrefix(last, ": closed: shutting_down: ") {
		t.Errorf("the event stream's last words were %q", last)
	}
	if code := d.end(stopLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}

	began := time.Now()
	b.start()
	after := b.do(s.ID, "cut", "-d ", "-f1,22", "/proc/1/stat")
	t.Logf("the session answers %s after the start of the next daemon", time.Since(began).Round(time.Millisecond))
	if before != after { // its first process, and when that was started (proc(5))
		t.Errorf("the machine is another: %q, then %q", before, after)
	}
	if now, err := b.api.Session(t.Context(), s.ID); err != nil || now.State != vitrine.StateReady {
		t.Errorf("after the restart: %+v, %v", now, err)
	}
}

// hold makes a call that takes long, and waits until it is under way.
func (b *box) hold(id string) <-chan error {
	b.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := b.api.Exec(b.t.Context(), id, client.Exec{Command: []string{"sh", "-c", "touch /tmp/vitrine-hold-" + id + "; sleep 60"}})
		done <- err
	}()
	mark := "/tmp/vitrine-hold-" + id // a process machine's /tmp is the host's
	b.t.Cleanup(func() { _ = os.Remove(mark) })
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			return done
		}
		if time.Now().After(limit) {
			b.t.Fatal("the long call never began")
		}
	}
}

// TestWhileItStopsNothingBegins: with a call still under way a create is sent
// away with the time to come back, and a second SIGTERM ends it all at once.
func TestWhileItStopsNothingBegins(t *testing.T) {
	b := newBox(t, "process")
	d := b.start()
	s := b.session()
	b.hold(s.ID)
	d.signal(syscall.SIGTERM)
	b.hear(d, "STOPPING=1\n")

	var resp *http.Response
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the word to the manager comes a moment before
		var err error
		resp, err = b.http.Post("http://localhost/v1/sessions", "application/json", strings.NewReader(`{"kind":"terminal","image":"tiny","memory_mb":64,"runtime":"docker"}`))
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusServiceUnavailable || time.Now().After(limit) {
			break
		}
		_ = resp.Body.Close()
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !bytes.Contains(body, []byte("shutting_down")) {
		t.Errorf("a create while it stops: %s, Retry-After %q, %s", resp.Status, resp.Header.Get("Retry-After"), body)
	}
	began := time.Now()
	d.signal(syscall.SIGTERM)
	if code := d.end(5 * time.Second); code != exitFailed {
		t.Errorf("exit code %d after the second SIGTERM", code)
	}
	t.Logf("left %s after the second SIGTERM", time.Since(began).Round(time.Millisecond))
	if !strings.Contains(d.out.String(), "a second time") {
		t.Error("the log does not say why it left at once")
	}
	b.start()
	if got := b.do(s.ID, "echo", "alive"); got != "alive" {
		t.Errorf("the session says %q", got)
	}
}

// TestALongCallDoesNotHoldUpARestart: what is under way has drainTime, not more.
func TestALongCallDoesNotHoldUpARestart(t *testing.T) {
	b := newBox(t, "process")
	d := b.start()
	s := b.session()
	call := b.hold(s.ID)
	began := time.Now()
	d.signal(syscall.SIGTERM)
	d.end(stopLimit)
	if took := time.Since(began); took < drainTime || took > drainTime+shutdownTime+waitsAtMost {
		t.Errorf("it left after %s; calls under way have %s", took, drainTime)
	}
	if err := <-call; err == nil {
		t.Error("the call was answered though its command still ran")
	}
}

// waitsAtMost is what a busy host may add.
const waitsAtMost = 4 * time.Second

// TestTheJournalHoldsNoSecret: what a service prints is kept, and others read it.
func TestTheJournalHoldsNoSecret(t *testing.T) {
	b := newBox(t, "process")
	b.prefix = []string{"sh", "-c", `exec env JOURNAL_STREAM="$(stat -Lc %d:%i /proc/$$/fd/1)" "$0" "$@"`}
	d := b.start()
	d.signal(syscall.SIGTERM)
	d.end(stopLimit)
	said := d.out.String()
	if strings.Contains(said, "vtr_") || strings.Contains(said, "/login#") || !strings.Contains(said, "vitrine login-link") {
		t.Errorf("the journal holds:\n%s", said)
	}
}

// TestADaemonStoppedAtOnceLeavesNothing: at its start it tries every runtime
// with a machine, and a stop in the midst of that must not leave them.
func TestADaemonStoppedAtOnceLeavesNothing(t *testing.T) {
	b := newBox(t, "process")
	d := b.start()
	d.signal(syscall.SIGTERM)
	if code := d.end(stopLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, where := range []string{filepath.Join(b.dir, "data", "machines", "*", "mch_*"), "/sys/fs/cgroup/vitrine-vtsrv0", "/sys/fs/cgroup/*/vitrine-vtsrv0"} {
		if left, err := filepath.Glob(where); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}
