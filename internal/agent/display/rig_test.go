package display

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb/xproto"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agent/codec/codectest"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The test's own binary is the child, as the agent's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "display" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second // a busy host is no failure

// xvnc starts an X server of w x h that listens on its unix socket alone, and
// returns its display. It ends with the test.
func xvnc(t *testing.T, w, h int) string {
	t.Helper()
	exe, err := exec.LookPath("Xvnc")
	if err != nil {
		t.Skip("no Xvnc (Debian: tigervnc-standalone-server)")
	}
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir, err := os.MkdirTemp("", "display") // t.TempDir's parent is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	log, err := os.Create(filepath.Join(dir, "xvnc.log"))
	if err != nil {
		t.Fatal(err)
	}
	auth := filepath.Join(dir, "auth")
	if err := os.WriteFile(auth, cookie(), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(auth, desktopUID, desktopUID); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XAUTHORITY", auth) // for newApp; one server a test
	cmd := exec.Command(exe, "-displayfd", "3", "-auth", auth, "-rfbport", "-1", "-rfbunixpath", filepath.Join(dir, "rfb"),
		"-SecurityTypes", "None", "-nolisten", "tcp", "-geometry", fmt.Sprintf("%dx%d", w, h), "-depth", "24")
	cmd.ExtraFiles = []*os.File{wr}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // as in a machine: the desktop's user
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: desktopUID, Gid: desktopUID}
		if err := os.Chown(dir, desktopUID, desktopUID); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	log.Close()
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it removes its socket and lock
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvnc gave no display: %v", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	display := fmt.Sprintf(":%d", n)
	servers.Store(display, end)
	return display
}

// cookie is an authority file with one entry, for any host and display. Other
// programs of this machine must not draw on a test's screen.
func cookie() []byte {
	b := []byte{0xff, 0xff, 0, 0, 0, 0}
	for _, s := range []string{"MIT-MAGIC-COOKIE-1", rand.Text()[:16]} {
		b = append(b, 0, byte(len(s)))
		b = append(b, s...)
	}
	return b
}

// servers ends the X server of a display before its test does.
var servers sync.Map

func endServer(display string) {
	end, _ := servers.Load(display)
	end.(func())()
}

// desktopUID is who server and child run as when the test is root.
const desktopUID = 1000

// start runs the child on a display.
func start(t testing.TB, display string) *Process {
	t.Helper()
	p, err := Start(t.Context(), Options{Dir: "/", Display: display, XAuthority: os.Getenv("XAUTHORITY"), Stderr: testLog{t}, UID: desktopUID, GID: desktopUID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// pair is two ends of a unix socket.
func pair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var c [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if c[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	t.Cleanup(func() { c[0].Close() })
	return c[0], c[1]
}

// open hands a stream to the child and returns our end.
func open(t testing.TB, p *Process, path, codec string) net.Conn {
	t.Helper()
	ours, theirs := pair(t)
	if err := p.Stream(theirs, path, url.Values{"codec": {codec}}); err != nil {
		t.Fatal(err)
	}
	return ours
}

// watcher decodes a video stream.
type watcher struct {
	t    testing.TB
	conn net.Conn
	dec  *codectest.Decoder
	last agentproto.Frame
	at   time.Time // when last arrived
}

func watch(t testing.TB, p *Process, codec string) *watcher {
	t.Helper()
	w := &watcher{t: t, conn: open(t, p, agentproto.PathVideo, codec)}
	var err error
	if w.dec, err = codectest.New(codec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dec.Close)
	return w
}

// next is the next frame's picture.
func (w *watcher) next() *image.YCbCr {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(patience))
	f, err := agentproto.ReadFrame(w.conn)
	if err != nil {
		w.t.Fatalf("read a frame: %v", err)
	}
	w.last, w.at = f, time.Now()
	pic, err := w.dec.Decode(f.Payload)
	if err != nil {
		w.t.Fatal(err)
	}
	if b := pic.Bounds(); b.Dx() != int(f.Width) || b.Dy() != int(f.Height) {
		w.t.Fatalf("a frame says %dx%d and is %v", f.Width, f.Height, b)
	}
	return pic
}

// until reads frames until one shows ok.
func (w *watcher) until(what string, ok func(*image.YCbCr) bool) *image.YCbCr {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if pic := w.next(); ok(pic) {
			return pic
		}
	}
	w.t.Fatalf("never saw %s", what)
	return nil
}

func (w *watcher) send(f agentproto.Frame) {
	w.t.Helper()
	if err := agentproto.WriteFrame(w.conn, f); err != nil {
		w.t.Fatal(err)
	}
}

// hand is a control stream.
type hand struct {
	t      testing.TB
	conn   net.Conn
	events chan agentproto.Event
}

func grip(t testing.TB, p *Process) *hand {
	t.Helper()
	h := &hand{t: t, conn: open(t, p, agentproto.PathControl, ""), events: make(chan agentproto.Event, 100)}
	go func() {
		defer close(h.events)
		for {
			f, err := agentproto.ReadFrame(h.conn)
			if err != nil {
				return
			}
			var e agentproto.Event
			if json.Unmarshal(f.Payload, &e) == nil {
				h.events <- e
			}
		}
	}()
	return h
}

func (h *hand) do(in agentproto.Input) {
	h.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := agentproto.WriteFrame(h.conn, agentproto.Frame{Type: agentproto.FrameInput, Payload: b}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) tap(key, code string) {
	h.t.Helper()
	h.do(agentproto.Input{Type: "key", Key: key, Code: code, Down: true})
	h.do(agentproto.Input{Type: "key", Key: key, Code: code})
}

// event waits for an event of a type that ok accepts.
func (h *hand) event(kind string, ok func(agentproto.Event) bool) agentproto.Event {
	h.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, open := <-h.events:
			if !open {
				h.t.Fatalf("the control stream ended before %s", kind)
			}
			if e.Type == kind && (ok == nil || ok(e)) {
				return e
			}
		case <-timeout:
			h.t.Fatalf("no %s event", kind)
		}
	}
}

// app is a tiny X program: a window over all of the screen.
type app struct {
	x   *xserver
	win xproto.Window
	gc  xproto.Gcontext
}

var initX sync.Mutex // xgb's tables; see xserver.again

func newApp(t testing.TB, display string, w, h int) *app {
	t.Helper()
	initX.Lock()
	x, err := connect(display)
	initX.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.conn.Close)
	a := &app{x: x}
	a.win, _ = xproto.NewWindowId(x.conn)
	a.gc, _ = xproto.NewGcontextId(x.conn)
	err = xproto.CreateWindowChecked(x.conn, 24, a.win, x.root, 0, 0, uint16(w), uint16(h), 0,
		xproto.WindowClassInputOutput, 0, xproto.CwBackPixel|xproto.CwEventMask,
		[]uint32{0, xproto.EventMaskKeyPress | xproto.EventMaskKeyRelease | xproto.EventMaskButtonPress |
			xproto.EventMaskButtonRelease | xproto.EventMaskPointerMotion | xproto.EventMaskExposure |
			xproto.EventMaskPropertyChange}).Check()
	if err != nil {
		t.Fatal(err)
	}
	xproto.CreateGC(x.conn, a.gc, xproto.Drawable(a.win), 0, nil)
	if err := xproto.MapWindowChecked(x.conn, a.win).Check(); err != nil {
		t.Fatal(err)
	}
	xproto.SetInputFocus(x.conn, xproto.InputFocusPointerRoot, a.win, xproto.TimeCurrentTime)
	return a
}

// fill paints r in a colour 0xrrggbb.
func (a *app) fill(r image.Rectangle, rgb uint32) {
	xproto.ChangeGC(a.x.conn, a.gc, xproto.GcForeground, []uint32{rgb})
	xproto.PolyFillRectangle(a.x.conn, xproto.Drawable(a.win), a.gc, []xproto.Rectangle{{
		X: int16(r.Min.X), Y: int16(r.Min.Y), Width: uint16(r.Dx()), Height: uint16(r.Dy())}})
}

// paint puts BGRX rows at the window's top, in bands that fit a request.
func (a *app) paint(px []byte, w, h int) {
	band := 240_000 / (w * 4)
	for y := 0; y < h; y += band {
		n := min(band, h-y)
		xproto.PutImage(a.x.conn, xproto.ImageFormatZPixmap, xproto.Drawable(a.win), a.gc,
			uint16(w), uint16(n), 0, int16(y), 0, 24, px[y*w*4:(y+n)*w*4])
	}
}

func (a *app) sync() { _, _ = xproto.GetInputFocus(a.x.conn).Reply() }

// bright says whether the picture's middle is light.
func bright(p *image.YCbCr) bool {
	return p.Y[p.Rect.Dy()/2*p.YStride+p.Rect.Dx()/2] > 128
}

// cpu is what a process has used of the processor.
func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	u, _ := strconv.Atoi(f[11])
	s, _ := strconv.Atoi(f[12])
	return time.Duration(u+s) * 10 * time.Millisecond
}

var discard = slog.New(slog.DiscardHandler)
