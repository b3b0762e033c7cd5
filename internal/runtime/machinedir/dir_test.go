package machinedir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAPidThatIsSomebodyElsesByNowIsNeverSignalled(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	p, err := ProcessOf(cmd.Process.Pid)
	if err != nil || !p.Alive() {
		t.Fatalf("ProcessOf: %+v, %v", p, err)
	}
	for name, change := range map[string]func(*Process){
		"another start time": func(p *Process) { p.Start++ },
		"another boot":       func(p *Process) { p.BootID = "earlier" },
		"no pid":             func(p *Process) { p.PID = 0 },
		"every process":      func(p *Process) { p.PID = -1 },
	} {
		other := p
		change(&other)
		if err := other.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) {
			t.Errorf("%s: Signal: %v; want ErrGone", name, err)
		}
		if err := other.Wait(context.Background()); err != nil || other.Alive() {
			t.Errorf("%s: Wait: %v, alive %v; want gone at once", name, err, other.Alive())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait for one that runs: %v", err)
	}
	woke := make(chan error, 1)
	go func() { woke <- p.Wait(context.Background()) }()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select { // a zombie has ended: nobody has reaped it yet
	case err := <-woke:
		if err != nil || p.Alive() {
			t.Errorf("after its end Wait gives %v, alive %v", err, p.Alive())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Wait did not wake")
	}
}

func TestAConsoleFloodTakesTwoFilesAndKeepsTheNewest(t *testing.T) {
	d := Dir(t.TempDir())
	r, err := d.OpenRing()
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range 5 << 20 / len(line) {
		if _, err := r.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Write(append(bytes.Repeat([]byte("y"), 3*ConsoleMax), "the end"...)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	c, err := d.Console()
	if err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(c)
	if len(all) != ConsoleMax || !bytes.HasSuffix(all, []byte("yythe end")) {
		t.Errorf("the console gives %d bytes ending in %q", len(all), all[max(0, len(all)-10):])
	}
	files, _ := filepath.Glob(d.Join("*"))
	var total int64
	for _, f := range files {
		st, _ := os.Stat(f)
		total += st.Size()
	}
	if total > 2*ConsoleMax || len(files) != 2 {
		t.Errorf("%d files of %d bytes", len(files), total)
	}
	if lines := Tail(d.Join(ConsoleFile), 3); len(lines) != 1 || len(lines[0]) != 400 {
		t.Errorf("the tail of one endless line is %d lines", len(lines))
	}
}

func TestTheLockIsHeldByOneAndFollowsTheDirectory(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "m"))
	ctx := context.Background()
	if _, err := d.Lock(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lock of nothing: %v", err)
	}
	if err := os.Mkdir(string(d), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := d.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	if _, err := d.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second Lock: %v", err)
	}
	// The holder removes the machine: who waits must not get a lock on nothing.
	waited := make(chan error, 1)
	go func() { _, err := d.Lock(ctx); waited <- err }()
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-waited; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the removal the waiting Lock gives %v", err)
	}
	if err := d.Remove(); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
}

func TestAStateFileThatIsTornOrHugeIsRefused(t *testing.T) {
	d := Dir(t.TempDir())
	for name, text := range map[string]string{"torn": `{"code": 1`, "empty": "", "huge": strings.Repeat(" ", maxState+1) + "{}"} {
		if err := os.WriteFile(d.Join(ExitFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.Read(ExitFile, &Exit{}); err == nil {
			t.Errorf("a %s file was read", name)
		}
	}
	if err := d.Write(ExitFile, Exit{Code: 3}); err != nil {
		t.Fatal(err)
	}
	var e Exit
	if err := d.Read(ExitFile, &e); err != nil || e.Code != 3 {
		t.Errorf("read %+v, %v", e, err)
	}
	if st, _ := os.Stat(d.Join(ExitFile)); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode().Perm())
	}
}
