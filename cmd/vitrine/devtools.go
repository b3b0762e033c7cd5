package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// tab is one page of a headless Chromium that bench drives as its viewer. It
// speaks the two DevTools calls that bench needs; a whole DevTools library
// would double the binary for them.
type tab struct {
	cmd  *exec.Cmd
	dir  string
	conn *websocket.Conn
	next int
}

// viewerFlags keep the viewer from talking to anybody but the daemon, and from
// throttling a page that no window shows.
var viewerFlags = []string{
	"--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu",
	"--disable-background-networking", "--disable-component-update", "--disable-sync",
	"--disable-default-apps", "--disable-extensions", "--disable-quic", "--metrics-recording-only",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding",
	"--disable-backgrounding-occluded-windows", "--autoplay-policy=no-user-gesture-required",
	"--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints",
	"--remote-debugging-port=0", "--remote-allow-origins=*",
}

// openTab starts Chromium on about:blank with a window of the given size.
func openTab(ctx context.Context, chromium string, size vitrine.Viewport) (*tab, error) {
	dir, err := os.MkdirTemp("", "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("making the viewer's profile: %w", err)
	}
	args := append([]string{"--user-data-dir=" + dir, fmt.Sprintf("--window-size=%d,%d", size.Width, size.Height)}, viewerFlags...)
	cmd := exec.Command(chromium, append(args, "about:blank")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t := &tab{cmd: cmd, dir: dir}
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, vitrine.Errorf(vitrine.ClassUnavailable, "no_viewer", "the viewer %s did not start", chromium).
			WithRemedy("apt-get install chromium, or name another with --chromium").WithCause(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := t.attach(ctx); err != nil {
		t.close()
		return nil, fmt.Errorf("attaching to the viewer: %w", err)
	}
	return t, nil
}

func (t *tab) attach(ctx context.Context) error {
	port := ""
	for port == "" {
		b, err := os.ReadFile(filepath.Join(t.dir, "DevToolsActivePort"))
		if line, _, ok := strings.Cut(string(b), "\n"); err == nil && ok {
			port = line
			break
		}
		select {
		case <-ctx.Done():
			return errors.New("Chromium did not open its DevTools port")
		case <-time.After(20 * time.Millisecond):
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/json/list", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var targets []struct {
		Type string `json:"type"`
		URL  string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&targets); err != nil {
		return err
	}
	for _, target := range targets {
		if target.Type == "page" {
			t.conn, _, err = websocket.Dial(ctx, target.URL, nil)
			if err == nil {
				t.conn.SetReadLimit(16 << 20)
			}
			return err
		}
	}
	return errors.New("Chromium has no page")
}

// call sends one command and waits for its result, passing over events.
func (t *tab) call(ctx context.Context, method string, params, result any) error {
	t.next++
	id := t.next
	msg, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return err
	}
	if err := t.conn.Write(ctx, websocket.MessageText, msg); err != nil {
		return err
	}
	for {
		_, data, err := t.conn.Read(ctx)
		if err != nil {
			return err
		}
		var reply struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal(data, &reply); err != nil {
			return err
		}
		if reply.ID != id {
			continue
		}
		if reply.Error != nil {
			return fmt.Errorf("%s: %s", method, reply.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(reply.Result, result)
	}
}

// open goes to a URL.
func (t *tab) open(ctx context.Context, url string) error {
	return t.call(ctx, "Page.navigate", map[string]any{"url": url}, nil)
}

// eval runs an async function body in the page and decodes what it returns.
func (t *tab) eval(ctx context.Context, body string, result any) error {
	var reply struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	params := map[string]any{"expression": "(async () => {" + body + "})()", "awaitPromise": true, "returnByValue": true}
	if err := t.call(ctx, "Runtime.evaluate", params, &reply); err != nil {
		return err
	}
	if reply.Exception != nil {
		return fmt.Errorf("in the viewer: %s", reply.Exception.Exception.Description)
	}
	if result == nil || len(bytes.TrimSpace(reply.Result.Value)) == 0 {
		return nil
	}
	return json.Unmarshal(reply.Result.Value, result)
}

func (t *tab) close() {
	if t.conn != nil {
		t.conn.CloseNow()
	}
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	_ = t.cmd.Wait()
	// Chromium's children let go of the profile a moment after they are killed.
	for range 20 {
		if os.RemoveAll(t.dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
