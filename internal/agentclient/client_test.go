package agentclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

const headOK = "HTTP/1.1 200 OK\r\n" + agentproto.HeaderProtocol + ": " + agentproto.Version + "\r\n"
const headUpgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + agentproto.UpgradeStream + "\r\n" + agentproto.HeaderProtocol + ": " + agentproto.Version + "\r\n\r\n"

// hostile is an agent that answers every request with the same bytes, and then
// hangs up, or when hang is set says nothing more.
func hostile(t testing.TB, reply []byte, hang bool) *Client {
	return New(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		go func() {
			buf := make([]byte, 64<<10)
			_, _ = theirs.Read(buf)
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, _ = theirs.Write(reply)
			if !hang {
				_ = theirs.Close()
			}
		}()
		return ours, nil
	}, "secret")
}

func whole(body string) []byte {
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", headOK, len(body), body)
}

const goodHealth = `{"protocol":"1","step":"ready","address":"192.168.100.7/24","route":true,"memory":{"total_bytes":1000,"available_bytes":500,"some_avg10":1.5,"full_avg10":-1,"oom_kills":2},"programs":[{"name":"chromium","pid":7,"running":true,"restarts":1,"last_exit":"exit status 1"}],"uptime_ms":5}`

func TestHealth(t *testing.T) {
	h, err := hostile(t, whole(goodHealth), false).Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.Step != vitrine.AgentStepReady || h.Network != (vitrine.AgentNetwork{Address: "192.168.100.7/24", Route: true}) || h.Memory.OOMKills != 2 ||
		h.Memory.FullAvg10 != -1 || len(h.Programs) != 1 || h.Programs[0].Restarts != 1 || h.Problem != nil {
		t.Errorf("%+v", h)
	}
}

func TestAHealthReportThatLies(t *testing.T) {
	for _, tt := range []struct {
		name, body, code string
		holds            func(vitrine.AgentHealth) bool
	}{
		{"another protocol in the body", strings.Replace(goodHealth, `"1"`, `"2"`, 1), "agent_version_mismatch", nil},
		{"a step that is none", strings.Replace(goodHealth, "ready", "paradise", 1), "agent_misbehaved", nil},
		{"not JSON", "<html>", "agent_misbehaved", nil},
		{"memory below nothing", strings.Replace(goodHealth, `"total_bytes":1000`, `"total_bytes":-5`, 1), "",
			func(h vitrine.AgentHealth) bool { return h.Memory.TotalBytes == 0 }},
		{"pressure of a million percent", strings.Replace(goodHealth, `1.5`, `1e6`, 1), "",
			func(h vitrine.AgentHealth) bool { return h.Memory.SomeAvg10 == 100 }},
		{"an address that is a script", strings.Replace(goodHealth, `192.168.100.7/24`, `<script>`, 1), "",
			func(h vitrine.AgentHealth) bool { return h.Network.Address == "" }},
		{"a name with escapes", strings.Replace(goodHealth, `chromium`, `\u001b[31m`+strings.Repeat("x", 900), 1), "",
			func(h vitrine.AgentHealth) bool {
				return len(h.Programs[0].Name) <= maxName && !strings.ContainsRune(h.Programs[0].Name, 0x1b)
			}},
		{"a thousand programs", strings.Replace(goodHealth, `"programs":[`, `"programs":[`+strings.Repeat(`{"name":"x"},`, 1000), 1), "",
			func(h vitrine.AgentHealth) bool { return len(h.Programs) == maxPrograms }},
		{"a log of a thousand lines", strings.Replace(goodHealth, `"uptime_ms"`, `"problem":{"program":"xvnc","message":"m","log":[`+strings.Repeat(`"l",`, 999)+`"last"]},"uptime_ms"`, 1), "",
			func(h vitrine.AgentHealth) bool {
				return len(h.Problem.Log) == maxLines && h.Problem.Log[maxLines-1] == "last"
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := hostile(t, whole(tt.body), false).Health(t.Context())
			if tt.code != "" {
				wantCode(t, err, tt.code)
			} else if err != nil || !tt.holds(h) {
				t.Errorf("%+v %v", h, err)
			}
		})
	}
}

func TestRepliesThatBreakTheProtocol(t *testing.T) {
	for _, tt := range []struct{ name, reply, code string }{
		{"an agent of another protocol", "HTTP/1.1 200 OK\r\n" + agentproto.HeaderProtocol + ": 9\r\n\r\n" + goodHealth, "agent_version_mismatch"},
		{"something that is no agent", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "agent_version_mismatch"},
		{"nothing", "", "agent_unreachable"},
		{"noise", "\x00\xff\x00\xff\r\n\r\n", "agent_unreachable"},
		{"a body that stops", headOK + "Content-Length: 100\r\n\r\n{", "agent_unreachable"},
		{"a head without end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), "agent_misbehaved"},
		{"a body of five megabytes", string(whole(strings.Repeat(" ", 5<<20))), "agent_misbehaved"},
		{"chunks without end", headOK + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 2<<20), "agent_misbehaved"},
		{"a trailer without end", headOK + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + strings.Repeat("x", 6<<20), "agent_unreachable"},
		{"a refusal with a lie of a length", "HTTP/1.1 503 No\r\n" + agentproto.HeaderProtocol + ": 1\r\nContent-Length: 999999999\r\n\r\n" + strings.Repeat("x", 1<<20), "agent_refused"},
		{"the wrong secret", "HTTP/1.1 401 No\r\n" + agentproto.HeaderProtocol + ": 1\r\nContent-Length: 0\r\n\r\n", "agent_refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := hostile(t, []byte(tt.reply), false).Health(t.Context())
			wantCode(t, err, tt.code)
		})
	}
}

func TestAnAgentThatNeverAnswersIsLeftWhenTheCallersTimeIsUp(t *testing.T) {
	c := hostile(t, nil, true)
	for name, call := range map[string]func(context.Context) error{
		"health": func(ctx context.Context) error { _, err := c.Health(ctx); return err },
		"exec": func(ctx context.Context) error {
			_, err := c.Exec(ctx, vitrine.ExecRequest{Command: []string{"id"}})
			return err
		},
		"video": func(ctx context.Context) error { _, err := c.OpenVideo(ctx, vitrine.CodecVP8); return err },
		"vnc":   func(ctx context.Context) error { _, err := c.OpenVNC(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		wantCode(t, call(ctx), "agent_timeout")
		cancel()
		_ = name
	}
}

func TestNoAgent(t *testing.T) {
	refused := errors.New("connect: connection refused")
	c := New(func(context.Context) (net.Conn, error) { return nil, refused }, "secret")
	_, err := c.Health(t.Context())
	wantCode(t, err, "agent_unreachable")
	if !errors.Is(err, refused) {
		t.Errorf("the cause is lost: %v", err)
	}
	known := vitrine.Errorf(vitrine.ClassUnavailable, "not_yet", "nothing listens")
	c = New(func(context.Context) (net.Conn, error) { return nil, known }, "secret")
	if _, err := c.OpenCDP(t.Context()); !errors.Is(err, known) {
		t.Errorf("the runtime's own error is lost: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for status, class := range map[int]vitrine.Class{
		400: vitrine.ClassInvalid, 422: vitrine.ClassInvalid, 413: vitrine.ClassTooLarge, 429: vitrine.ClassRateLimited,
		404: vitrine.ClassConflict, 401: vitrine.ClassInternal, 503: vitrine.ClassUnavailable, 302: vitrine.ClassUnavailable, 101: vitrine.ClassUnavailable,
	} {
		reply := fmt.Sprintf("HTTP/1.1 %d X\r\n%s: 1\r\nContent-Length: 32\r\n\r\n%-32s", status, agentproto.HeaderProtocol, `{"message":"no \u001b[2J"}`)
		_, err := hostile(t, []byte(reply), false).Screenshot(t.Context())
		if vitrine.ClassOf(err) != class || strings.ContainsRune(err.Error(), 0x1b) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v (%s)", status, err, vitrine.ClassOf(err))
		}
	}
}

func TestAScreenshotMustBeAPNG(t *testing.T) {
	_, err := hostile(t, whole("<svg onload=alert(1)>"), false).Screenshot(t.Context())
	wantCode(t, err, "agent_misbehaved")
	if data, err := hostile(t, whole(pngMagic+"rest"), false).Screenshot(t.Context()); err != nil || !strings.HasSuffix(string(data), "rest") {
		t.Errorf("%q %v", data, err)
	}
}

func TestExecOutputOverTheBoundIsCut(t *testing.T) {
	body, _ := json.Marshal(agentproto.ExecResult{Stdout: bytes.Repeat([]byte("x"), vitrine.MaxExecOutput+1), Stderr: []byte("e"), ExitCode: 3, DurationMS: -1})
	out, err := hostile(t, whole(string(body)), false).Exec(t.Context(), vitrine.ExecRequest{Command: []string{"x"}, Timeout: time.Second})
	if err != nil || len(out.Stdout) != vitrine.MaxExecOutput || !out.StdoutTruncated || out.StderrTruncated || out.Duration != 0 || out.ExitCode != 3 {
		t.Errorf("%d %v %v", len(out.Stdout), out.StdoutTruncated, err)
	}
	_, err = hostile(t, whole("{}"), false).Exec(t.Context(), vitrine.ExecRequest{Command: []string{"x"}, Stdin: make([]byte, 4<<20)})
	wantCode(t, err, "too_large")
}

func frame(f agentproto.Frame) string {
	var b bytes.Buffer
	if err := agentproto.WriteFrame(&b, f); err != nil {
		panic(err)
	}
	return b.String()
}

func TestVideo(t *testing.T) {
	picture := agentproto.Frame{Type: agentproto.FrameVideo, Flags: agentproto.FlagKeyframe, Width: 1280, Height: 720, PTS: time.Second, Payload: []byte("vp8")}
	v, err := hostile(t, []byte(headUpgraded+frame(picture)), true).OpenVideo(t.Context(), vitrine.CodecVP8)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	f, err := v.ReadFrame()
	if err != nil || !f.Keyframe || f.PTS != time.Second || f.Viewport != vitrine.DefaultViewport || string(f.Data) != "vp8" || f.Codec != vitrine.CodecVP8 {
		t.Errorf("%+v %v", f, err)
	}
	if err := errors.Join(v.RequestKeyframe(), v.SetBitrate(1<<40), v.SetBitrate(-1)); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]agentproto.Frame{
		"a picture of no size":     {Type: agentproto.FrameVideo, Payload: []byte("x")},
		"a picture of 60000 lines": {Type: agentproto.FrameVideo, Width: 1280, Height: 60000, Payload: []byte("x")},
		"a picture of nothing":     {Type: agentproto.FrameVideo, Width: 1280, Height: 720},
		"an event on video":        {Type: agentproto.FrameEvent, Payload: []byte("{}")},
	} {
		v, err := hostile(t, []byte(headUpgraded+frame(bad)), true).OpenVideo(t.Context(), vitrine.CodecVP8)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.ReadFrame()
		if err == nil {
			t.Errorf("%s was taken", name)
		}
		_ = v.Close()
	}
}

func TestControlEvents(t *testing.T) {
	event := func(s string) string { return frame(agentproto.Frame{Type: agentproto.FrameEvent, Payload: []byte(s)}) }
	c, err := hostile(t, []byte(headUpgraded+event(`{"t":"future"}`)+event(`{"t":"clipboard","s":"copied"}`)+event(`{"t":"cursor","hx":-4,"hy":99999}`)), true).OpenControl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if e, err := c.Receive(); err != nil || e.Type != vitrine.DesktopClipboard || e.Text != "copied" {
		t.Errorf("%+v %v", e, err)
	}
	if e, err := c.Receive(); err != nil || e.Type != vitrine.DesktopCursor || e.HotX != 0 || e.HotY != 512 {
		t.Errorf("%+v %v", e, err)
	}
	if err := c.Send(vitrine.Input{Type: vitrine.InputKey, Key: "a", Code: "KeyA", Down: true}); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"a screen of a million pixels": `{"t":"resized","w":1000000,"h":1}`,
		"a cursor that is a page":      `{"t":"cursor","png":"PGh0bWw+PC9odG1sPg=="}`,
		"a cursor of a megabyte":       `{"t":"cursor","png":"` + strings.Repeat("AAAA", 1<<18) + `"}`,
		"a clipboard over the bound":   `{"t":"clipboard","s":"` + strings.Repeat("x", agentproto.MaxClipboard+1) + `"}`,
		"not JSON":                     `{`,
	} {
		c, err := hostile(t, []byte(headUpgraded+event(bad)), true).OpenControl(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(); err == nil {
			t.Errorf("%s was taken", name)
		}
		_ = c.Close()
	}
}

func TestAMachineThatDoesNotReadHoldsAWriterOnlyUntilItsDeadline(t *testing.T) {
	c := New(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		go func() {
			buf := make([]byte, 4096)
			_, _ = theirs.Read(buf)
			_, _ = io.WriteString(theirs, headUpgraded) // and never reads again
		}()
		return deadlined{ours}, nil
	}, "secret")
	s, err := c.OpenCDP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteMessage([]byte("{}")); err == nil {
		t.Error("the write was taken by nobody")
	}
	if err := s.WriteMessage([]byte("{}")); err == nil {
		t.Error("a stream with half a message in it was used again")
	}
}

// deadlined brings every deadline of a write near.
type deadlined struct{ net.Conn }

func (d deadlined) SetWriteDeadline(at time.Time) error {
	if until := time.Until(at); until <= 0 || until > streamWriteTime {
		return errors.New("a write without its bound")
	}
	return d.Conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("the error is %v, not %s", err, code)
	}
	if err != nil && len(err.Error()) > 4096 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// Whatever an agent sends: no panic, no wait past its hanging up, and what is
// given on keeps the domain's bounds.
func TestAShellThatLies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame agentproto.Frame
	}{
		{"it gives back more of the window than it was given", agentproto.Frame{Type: agentproto.FrameAck, Payload: []byte{0, 0, 0, 1}}},
		{"an acknowledgement of three bytes", agentproto.Frame{Type: agentproto.FrameAck, Payload: []byte{0, 0, 1}}},
		{"an exit status that is not JSON", agentproto.Frame{Type: agentproto.FrameExit, Payload: []byte("7")}},
		{"a picture", agentproto.Frame{Type: agentproto.FrameVideo, Payload: []byte("x")}},
	} {
		sh, err := hostile(t, []byte(headUpgraded+frame(tt.frame)), true).OpenShell(t.Context(), vitrine.ShellRequest{Command: "true"})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := sh.Next(); err == nil || !strings.Contains(err.Error(), "agent_misbehaved") {
			t.Errorf("%s: %+v, %v", tt.name, out, err)
		}
		if _, err := sh.Write([]byte("x")); err == nil {
			t.Errorf("%s: it is still written to", tt.name)
		}
	}
}

func TestWritingToAMachineThatTakesNothingEndsWithTheShell(t *testing.T) {
	sh, err := hostile(t, []byte(headUpgraded), true).OpenShell(t.Context(), vitrine.ShellRequest{Command: "sleep"})
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { _, err := sh.Write(make([]byte, 1<<20)); wrote <- err }()
	select {
	case err := <-wrote:
		t.Fatalf("a megabyte went into a window of %d bytes: %v", agentproto.PipeWindow, err)
	case <-time.After(100 * time.Millisecond):
	}
	_ = sh.Close()
	select {
	case err := <-wrote:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the writer waits on")
	}
}

func FuzzReply(f *testing.F) {
	f.Add(whole(goodHealth), uint8(0))
	f.Add(whole(`{"exit_code":1,"stdout":"eA=="}`), uint8(1))
	f.Add(whole(pngMagic), uint8(2))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameVideo, Width: 640, Height: 480, Payload: []byte("x")})), uint8(3))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameEvent, Payload: []byte(`{"t":"resized","w":640,"h":480}`)})), uint8(4))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameMessage, Payload: []byte(`{}`)})), uint8(5))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameExit, Payload: []byte(`{"code":3}`)})), uint8(6))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameAck, Payload: []byte{0xff, 0xff, 0xff, 0xff}})), uint8(6))
	f.Add([]byte(headUpgraded+frame(agentproto.Frame{Type: agentproto.FrameStdout, Payload: []byte("x")})+frame(agentproto.Frame{Type: agentproto.FrameEOF})), uint8(7))
	f.Add([]byte(headOK+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":"), uint8(0))
	f.Fuzz(func(t *testing.T, reply []byte, which uint8) {
		c := hostile(t, reply, false)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		switch which % 8 {
		case 0:
			if h, err := c.Health(ctx); err == nil && (len(h.Programs) > maxPrograms || h.Memory.TotalBytes < 0) {
				t.Fatalf("%+v", h)
			}
		case 1:
			if r, err := c.Exec(ctx, vitrine.ExecRequest{Command: []string{"x"}}); err == nil && (len(r.Stdout) > vitrine.MaxExecOutput || r.Duration < 0) {
				t.Fatalf("%+v", r)
			}
		case 2:
			_, _ = c.Screenshot(ctx)
		case 6:
			if sh, err := c.OpenShell(ctx, vitrine.ShellRequest{}); err == nil {
				for out, err := sh.Next(); err == nil && out.Exit == nil; out, err = sh.Next() {
					if len(out.Data) > agentproto.MaxChunk {
						t.Fatalf("%d bytes at once", len(out.Data))
					}
				}
				_ = sh.Close()
			}
		case 7:
			if p, err := c.OpenTCP(ctx, "localhost", 80); err == nil {
				_, _ = io.Copy(io.Discard, p)
				_ = p.Close()
			}
		case 3:
			if v, err := c.OpenVideo(ctx, vitrine.CodecVP8); err == nil {
				for fr, err := v.ReadFrame(); err == nil; fr, err = v.ReadFrame() {
					if len(fr.Data) == 0 || fr.Viewport.Width > vitrine.MaxViewportWidth || fr.Viewport.Width <= 0 {
						t.Fatalf("%+v", fr)
					}
				}
				_ = v.Close()
			}
		case 4:
			if s, err := c.OpenControl(ctx); err == nil {
				for e, err := s.Receive(); err == nil; e, err = s.Receive() {
					if len(e.PNG) > agentproto.MaxCursorPNG || e.Width < 0 || e.HotX < 0 {
						t.Fatalf("%+v", e)
					}
				}
				_ = s.Close()
			}
		case 5:
			if s, err := c.OpenCDP(ctx); err == nil {
				for _, err := s.ReadMessage(); err == nil; _, err = s.ReadMessage() {
				}
				_ = s.Close()
			}
		}
		if ctx.Err() != nil {
			t.Fatal("it waited for an agent that had hung up")
		}
	})
}
