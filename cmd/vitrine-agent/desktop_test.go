package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// One desktop with the programs that are really installed, asked everything.
func TestDesktop(t *testing.T) {
	needDesktop(t)
	r := start(t, agentproto.Config{Kind: "desktop", StartURL: "data:text/html,<title>first</title><body style='background:lime'>"})
	h := r.ready()
	t.Logf("ready %d ms after its start", time.Since(r.began).Milliseconds())

	t.Run("every program runs", func(t *testing.T) {
		for _, name := range []string{"xvnc", "openbox", "chromium", "display", "dbus"} {
			if p := program(h, name); !p.Running || p.PID == 0 || p.Restarts != 0 {
				t.Errorf("%s: %+v", name, p)
			}
		}
		r.await("the sound server", func(h vitrine.AgentHealth) bool { return program(h, "pulseaudio").Running })
	})
	t.Run("a command sees the desktop", func(t *testing.T) {
		out := r.sh(`id -u; xdotool getdisplaygeometry; test -S "${DBUS_SESSION_BUS_ADDRESS#unix:path=}" && echo bus`)
		if string(out.Stdout) != "1000\n1280 720\nbus\n" {
			t.Errorf("%q %q", out.Stdout, out.Stderr)
		}
	})
	t.Run("Chromium's own sandbox is on", func(t *testing.T) {
		for pid, args := range r.processes() {
			if strings.Contains(args, "no-sandbox") && !strings.Contains(args, "--type=zygote --no-zygote-sandbox") {
				t.Errorf("%d: %s", pid, args)
			}
			if strings.Contains(args, "--type=renderer") {
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				if !bytes.Contains(status, []byte("Seccomp:\t2")) {
					t.Errorf("renderer %d has no seccomp filter", pid)
				}
			}
		}
	})
	t.Run("nothing listens on the network", func(t *testing.T) {
		listening := listeners(t)
		for pid, args := range r.processes() {
			fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			for _, fd := range fds {
				target, _ := os.Readlink(fd)
				if listening[target] {
					t.Errorf("%s listens (%s)", args, target)
				}
			}
		}
	})
	t.Run("the secret is in no process list and no environment", func(t *testing.T) {
		for pid, args := range r.processes() {
			env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if strings.Contains(args, secret) || bytes.Contains(env, []byte(secret)) {
				t.Errorf("%d has it", pid)
			}
		}
	})
	t.Run("the sockets are their owners' alone", func(t *testing.T) {
		for name, owner := range map[string]uint32{agentproto.SocketFile: 0, "user/vnc.sock": 1000, "user/xauthority": 1000} {
			info, err := os.Stat(filepath.Join(r.dir, name))
			if err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != owner {
				t.Errorf("%s: %v %v", name, info, err)
			}
		}
	})
	t.Run("screenshot", func(t *testing.T) {
		data, err := r.Screenshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil || img.Bounds().Dx() != 1280 || img.Bounds().Dy() != 720 {
			t.Fatalf("%v %v", img, err)
		}
		if cr, cg, cb, _ := img.At(640, 600).RGBA(); cr>>8 > 60 || cg>>8 < 200 || cb>>8 > 60 {
			t.Errorf("the page is %d,%d,%d and not lime", cr>>8, cg>>8, cb>>8)
		}
	})
	t.Run("VNC", r.testVNC)
	t.Run("video", r.testVideo)
	t.Run("DevTools of two clients", r.testDevTools)
	t.Run("resize keeps Chromium maximised", r.testResize)
}

func (r *rig) testVNC(t *testing.T) {
	s, err := r.OpenVNC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	br := bufio.NewReader(s)
	version, err := br.ReadString('\n')
	if err != nil || version != "RFB 003.008\n" {
		t.Fatalf("%q %v", version, err)
	}
	_, _ = io.WriteString(s, version)
	types := make([]byte, 2)
	if _, err := io.ReadFull(br, types); err != nil || types[1] != 1 {
		t.Fatalf("security types %v %v", types, err)
	}
	_, _ = s.Write([]byte{1})
	head := make([]byte, 4+4)
	if _, err := io.ReadFull(br, head[:4]); err != nil || binary.BigEndian.Uint32(head) != 0 {
		t.Fatalf("security result %v %v", head, err)
	}
	_, _ = s.Write([]byte{1})
	if _, err := io.ReadFull(br, head[:4]); err != nil || binary.BigEndian.Uint16(head) != 1280 || binary.BigEndian.Uint16(head[2:]) != 720 {
		t.Fatalf("size %v %v", head, err)
	}
}

func (r *rig) testVideo(t *testing.T) {
	for _, codec := range []vitrine.Codec{vitrine.CodecVP8, vitrine.CodecH264} {
		v, err := r.OpenVideo(t.Context(), codec)
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.ReadFrame()
		if err != nil || !f.Keyframe || f.Viewport != vitrine.DefaultViewport || f.Codec != codec {
			t.Errorf("%s: %v %v %v", codec, f.Keyframe, f.Viewport, err)
		}
		_ = v.Close()
	}
	if _, err := r.OpenVideo(t.Context(), "av1"); vitrine.ClassOf(err) != vitrine.ClassInvalid {
		t.Errorf("a codec that is none: %v", err)
	}
	c, err := r.OpenControl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(vitrine.Input{Type: vitrine.InputPointer, X: 640, Y: 400}); err != nil {
		t.Error(err)
	}
}

func (r *rig) testDevTools(t *testing.T) {
	a, b := r.devtools(), r.devtools()
	if v := a.call("", "Browser.getVersion", "{}").text("product"); !strings.Contains(v, "/") {
		t.Errorf("the browser is %q", v)
	}
	pageA, pageB := a.page("data:text/html,<title>A</title>"), b.page("data:text/html,<title>B</title>")
	if pageA == pageB {
		t.Fatal("the same session")
	}
	if got := a.eval(pageA, "new Promise(r => setTimeout(() => r(6*7), 1))"); got != "42" {
		t.Errorf("a: %s", got)
	}
	if got := b.eval(pageB, "'x'.repeat(3000000).length"); got != "3000000" {
		t.Errorf("b: %s", got)
	}
	if got := b.eval(pageB, "'y'.repeat(3000000)"); len(got) != 3000002 {
		t.Errorf("b: %d bytes", len(got))
	}
	if got := b.call(pageA, "Page.reload", "{}"); !bytes.Contains(got.Error, []byte("-32001")) {
		t.Errorf("b in a's page: %s %s", got.Result, got.Error)
	}
	// What Playwright does first, on both at once.
	for _, d := range []*devtools{a, b} {
		if got := d.call("", "Target.setAutoAttach", `{"autoAttach":true,"waitForDebuggerOnStart":true,"flatten":true}`); got.Error != nil {
			t.Errorf("auto-attach: %s", got.Error)
		}
	}
	if got := a.call("", "Browser.close", "{}"); string(got.Result) != "{}" {
		t.Errorf("close: %s", got.Result)
	}
	if _, err := a.ReadMessage(); err == nil {
		t.Error("a is still in")
	}
	if got := b.eval(pageB, "document.title"); got != `"B"` {
		t.Errorf("b after a left: %s", got)
	}
	if h, err := r.Health(t.Context()); err != nil || program(h, "chromium").Restarts != 0 {
		t.Errorf("Chromium was started again: %v", err)
	}
}

func (r *rig) testResize(t *testing.T) {
	d := r.devtools()
	page := d.page("about:blank")
	for _, v := range []vitrine.Viewport{{Width: 1000, Height: 700}, {Width: 1600, Height: 900}, {Width: 390, Height: 844}, vitrine.DefaultViewport} {
		if err := r.Resize(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if out := r.sh("xdotool getdisplaygeometry"); string(out.Stdout) != fmt.Sprintf("%d %d\n", v.Width, v.Height) {
			t.Errorf("the screen is %q, not %v", out.Stdout, v)
		}
		if v.Width < 500 {
			continue // Chromium's windows have a least width
		}
		wants := fmt.Sprintf("new Promise(r => { const f = () => outerWidth == %d && outerHeight == %d ? r(true) : setTimeout(f, 10); f(); setTimeout(() => r(outerWidth+'x'+outerHeight), 10000) })", v.Width, v.Height)
		if got := d.eval(page, wants); got != "true" {
			t.Errorf("Chromium's window is %s on a screen of %v", got, v)
		}
	}
	if err := r.Resize(t.Context(), vitrine.Viewport{Width: 1, Height: 1}); vitrine.ClassOf(err) != vitrine.ClassInvalid {
		t.Errorf("a screen of one pixel: %v", err)
	}
}

func TestAPageThatNeverLoadsDoesNotKeepTheDesktopFromBeingReady(t *testing.T) {
	needDesktop(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel takes connections; nobody answers
	for name, url := range map[string]string{
		"a server that does not answer": "http://" + l.Addr().String() + "/",
		"a page that spins":             "data:text/html,<script>for(;;);</script>",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, agentproto.Config{Kind: "desktop", StartURL: url})
			r.ready()
			t.Logf("ready %d ms after its start", time.Since(r.began).Milliseconds())
		})
	}
}

func TestWhatIsKilledComesBack(t *testing.T) {
	needDesktop(t)
	r := start(t, agentproto.Config{Kind: "desktop"})
	for _, name := range []string{"chromium", "xvnc"} {
		h := r.ready()
		before := program(h, name)
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.await(name+" again", func(h vitrine.AgentHealth) bool {
			p := program(h, name)
			return h.Step == vitrine.AgentStepReady && p.Running && p.PID != before.PID && p.Restarts == 1 &&
				strings.Contains(p.LastExit, "killed")
		})
	}
	if _, err := r.Screenshot(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAProfileIsSavedAndOpensWithoutAQuestion(t *testing.T) {
	needDesktop(t)
	r := start(t, agentproto.Config{Kind: "desktop"})
	r.ready()
	profile := filepath.Join(r.dir, "home", ".config", "vitrine-chromium")
	d := r.devtools()
	page := d.page("about:blank")
	if got := d.call(page, "Network.setCookie", `{"name":"kept","value":"yes","domain":"example.com","path":"/","expires":4102444800}`); got.Error != nil {
		t.Fatal(string(got.Error))
	}
	r.stop()
	prefs, err := os.ReadFile(filepath.Join(profile, "Default", "Preferences"))
	if err != nil || !bytes.Contains(prefs, []byte(`"exit_type":"Normal"`)) {
		t.Errorf("Chromium did not end normally: %v", err)
	}
	if cookies, err := os.ReadFile(filepath.Join(profile, "Default", "Cookies")); err != nil || !bytes.Contains(cookies, []byte("kept")) {
		t.Errorf("the cookie was not saved: %v", err)
	}
}

func TestAKilledAgentLeavesNothing(t *testing.T) {
	needDesktop(t)
	r := start(t, agentproto.Config{Kind: "desktop"})
	r.ready()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.left
	deadline := time.Now().Add(10 * time.Second)
	for len(r.processes()) > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond) // nobody tells when a stranger's child has gone
	}
}

func TestTerminal(t *testing.T) {
	r := start(t, agentproto.Config{Kind: "terminal"})
	r.ready()
	if out := r.sh("echo $HOME; cat; exit 4"); out.ExitCode != 4 || string(out.Stdout) != filepath.Join(r.dir, "home")+"\n" {
		t.Errorf("%d %q", out.ExitCode, out.Stdout)
	}
	out, err := r.Exec(t.Context(), vitrine.ExecRequest{Command: []string{"sleep", "66"}, Timeout: 300 * time.Millisecond})
	if err != nil || !out.TimedOut {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := r.Screenshot(t.Context()); vitrine.ClassOf(err) != vitrine.ClassConflict {
		t.Errorf("a screenshot of a terminal: %v", err)
	}
	if _, err := r.Exec(t.Context(), vitrine.ExecRequest{}); vitrine.ClassOf(err) != vitrine.ClassInvalid {
		t.Errorf("a command of nothing: %v", err)
	}
	// An orphan is adopted by init and reaped: it does not stay a zombie.
	out = r.sh("(sh -c 'echo $$; exec sleep 0.2' &)")
	pid, err := strconv.Atoi(strings.TrimSpace(string(out.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	gone := time.Now().Add(10 * time.Second)
	for time.Now().Before(gone) && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		time.Sleep(20 * time.Millisecond)
	}
	if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		t.Errorf("orphan %d was not reaped", pid)
	}
}

func TestABadConfigEndsTheMachineWithAReason(t *testing.T) {
	r := start(t, agentproto.Config{Kind: "desktop", StartURL: "file:///etc/passwd"})
	<-r.left
	if code := r.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(r.log.String(), "start_url") {
		t.Errorf("%d %s", code, r.log)
	}
	if strings.Contains(r.log.String(), secret) {
		t.Error("the console tells the secret")
	}
}

// listeners are the TCP and UDP sockets that take what comes, as /proc/pid/fd
// names them.
func listeners(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" { // TCP_LISTEN
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}
