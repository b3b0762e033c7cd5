package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// collect reads a shell to its end.
func collect(t *testing.T, sh vitrine.Shell) (stdout, stderr string, exit vitrine.ShellExit) {
	t.Helper()
	defer sh.Close()
	defer time.AfterFunc(30*time.Second, func() { _ = sh.Close() }).Stop()
	for {
		out, err := sh.Next()
		switch {
		case err != nil:
			t.Fatalf("after %q and %q: %v", stdout, stderr, err)
		case out.Exit != nil:
			return stdout, stderr, *out.Exit
		case out.Stderr:
			stderr += string(out.Data)
		default:
			stdout += string(out.Data)
		}
	}
}

// until reads a shell until its output holds text.
func until(t *testing.T, sh vitrine.Shell, text string) {
	t.Helper()
	defer time.AfterFunc(30*time.Second, func() { _ = sh.Close() }).Stop()
	got := ""
	for !strings.Contains(got, text) {
		out, err := sh.Next()
		if err != nil || out.Exit != nil {
			t.Fatalf("after %q: %v, %+v", got, err, out.Exit)
		}
		got += string(out.Data)
	}
}

func TestShells(t *testing.T) {
	r := start(t, agentproto.Config{Kind: "terminal"})
	r.ready()
	open := func(req vitrine.ShellRequest) vitrine.Shell {
		t.Helper()
		sh, err := r.OpenShell(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return sh
	}

	t.Run("a command's outputs and code come apart", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{Command: "echo $A; id -u; echo no >&2; exit 3", Env: map[string]string{"A": "b c"}})
		if out, errs, exit := collect(t, sh); out != "b c\n1000\n" || errs != "no\n" || exit != (vitrine.ShellExit{Code: 3}) {
			t.Errorf("%q %q %+v", out, errs, exit)
		}
	})
	t.Run("as root", func(t *testing.T) {
		if out, _, _ := collect(t, open(vitrine.ShellRequest{Command: "id -u", User: "root"})); out != "0\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("a killed command says by what", func(t *testing.T) {
		if _, _, exit := collect(t, open(vitrine.ShellRequest{Command: "kill -9 $$"})); exit.Signal != "KILL" || exit.Code != 137 {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("a request out of bounds is told", func(t *testing.T) {
		for _, req := range []vitrine.ShellRequest{{User: "daemon"}, {Env: map[string]string{"A=B": "c"}}, {PTY: &vitrine.PTY{Term: "a/b"}}, {Command: "a\x00b"}} {
			if _, _, exit := collect(t, open(req)); exit.Message == "" || exit.Code == 0 {
				t.Errorf("%+v: %+v", req, exit)
			}
		}
	})
	t.Run("a terminal has its size, and a new one when told", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{PTY: &vitrine.PTY{Term: "xterm", Cols: 91, Rows: 31}})
		_, _ = io.WriteString(sh, "stty -echo; stty size; echo $TERM\n")
		until(t, sh, "31 91\r\nxterm")
		if err := sh.Resize(100, 40); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(sh, "stty size; exit 4\n")
		if out, _, exit := collect(t, sh); !strings.Contains(out, "40 100") || exit.Code != 4 {
			t.Errorf("%q %+v", out, exit)
		}
	})
	t.Run("Ctrl-C ends what runs in front, not the shell", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{PTY: &vitrine.PTY{Term: "xterm", Cols: 80, Rows: 24}})
		_, _ = io.WriteString(sh, "stty -echo; sh -c 'echo be''gun; exec sleep 1000'\n")
		until(t, sh, "begun")
		_, _ = sh.Write([]byte{3})
		_, _ = io.WriteString(sh, "exit 6\n")
		if _, _, exit := collect(t, sh); exit.Code != 6 {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("a signal reaches a command that reads nothing of what it is sent", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{Command: "trap 'exit 9' TERM; echo begun; while :; do sleep 0.05; done"})
		until(t, sh, "begun")
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			_, _ = sh.Write(make([]byte, 1<<20)) // more than every buffer on the way
		}()
		if err := sh.Signal("TERM"); err != nil {
			t.Fatal(err)
		}
		if _, _, exit := collect(t, sh); exit.Code != 9 {
			t.Errorf("%+v", exit)
		}
		<-wrote
	})
	t.Run("much goes through, and whole", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{Command: "cat"})
		sent := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
		go func() { _, _ = sh.Write(sent); _ = sh.CloseWrite() }()
		if out, _, exit := collect(t, sh); out != string(sent) || exit.Code != 0 {
			t.Errorf("%d bytes of %d, %+v", len(out), len(sent), exit)
		}
	})
	t.Run("output that is read late is not lost", func(t *testing.T) {
		sh := open(vitrine.ShellRequest{Command: "head -c 500000 /dev/zero; echo end"})
		out, err := sh.Next()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond) // longer than the grace after a command's end
		rest, _, _ := collect(t, sh)
		if n := len(out.Data) + len(rest); n != 500_004 {
			t.Errorf("%d bytes", n)
		}
	})
	t.Run("who hangs up leaves nothing running", func(t *testing.T) {
		for _, term := range []*vitrine.PTY{nil, {Term: "xterm", Cols: 80, Rows: 24}} {
			sh := open(vitrine.ShellRequest{Command: "trap '' HUP; echo begun; sleep 4711; sleep 4711", PTY: term})
			until(t, sh, "begun")
			_ = sh.Close()
			r.gone(t, "sleep 4711")
		}
	})
	t.Run("files as the user", func(t *testing.T) {
		pipe, err := r.OpenSFTP(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := sftp.NewClientPipe(pipe, pipe)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := c.Create("made")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("text")); err != nil || f.Close() != nil {
			t.Error(err)
		}
		out, _, _ := collect(t, open(vitrine.ShellRequest{Command: "cat made; stat -c ' %u' made"}))
		if out != "text 1000\n" {
			t.Errorf("%q", out)
		}
		if _, err := c.Create("/etc/made"); err == nil {
			t.Error("the user made a file in /etc")
		}
	})
	t.Run("ports of the machine, and no others", func(t *testing.T) { forwards(t, r) })
}

// gone waits until nothing of this agent runs a command line any more.
func (r *rig) gone(t *testing.T, words string) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := r.Exec(t.Context(), vitrine.ExecRequest{Command: []string{"sh", "-c", `for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' <$f 2>/dev/null | grep -x "` + words + ` *"; done; true`}, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Stdout) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still there: %s", res.Stdout)
		}
	}
}

func forwards(t *testing.T, r *rig) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c) // to the caller's end, before the reply
		_, _ = c.Write(bytes.ToUpper(b))
	}()
	port := l.Addr().(*net.TCPAddr).Port
	p, err := r.OpenTCP(t.Context(), "localhost", port)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, _ = io.WriteString(p, "words")
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(p); err != nil || string(b) != "WORDS" {
		t.Errorf("%q, %v", b, err)
	}
	_ = l.Close()
	for name, tt := range map[string]struct {
		host  string
		class vitrine.Class
	}{
		"nothing listens":    {"127.0.0.1", vitrine.ClassUnavailable},
		"a public address":   {"192.0.2.1", vitrine.ClassInvalid},
		"a name":             {"example.com", vitrine.ClassInvalid},
		"every address":      {"0.0.0.0", vitrine.ClassInvalid},
		"an address in zone": {"::1%lo", vitrine.ClassInvalid},
		"nothing":            {"", vitrine.ClassInvalid},
	} {
		if _, err := r.OpenTCP(context.WithoutCancel(t.Context()), tt.host, port); vitrine.ClassOf(err) != tt.class || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
