package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// script is what each of several Playwright clients does at the same time: a
// page of its own in a context of its own, a load, a click, a screenshot.
const script = `
const { chromium } = require(process.argv[1]);
(async () => {
  const one = async (n) => {
    const browser = await chromium.connectOverCDP(process.argv[2]);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto('data:text/html,<title>' + n + '</title><button onclick="document.title+=1">x</button>');
    for (let i = 0; i < 5; i++) await page.click('button');
    const png = await page.screenshot();
    const title = await page.title();
    const contexts = browser.contexts().length;
    await context.close();
    await browser.close();
    return [title, png.length > 1000, contexts].join();
  };
  console.log((await Promise.all(['a', 'b', 'c'].map(one))).join(' '));
  console.log(await one('d'));
})().catch(e => { console.error(e); process.exit(1); });
`

func TestSeveralPlaywrightClientsAtOnce(t *testing.T) {
	needDesktop(t)
	library, err := filepath.Abs("../../e2e/node_modules/playwright-core")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	if exec.Command(node, "-e", "require(process.argv[1])", library).Run() != nil {
		t.Skip("needs e2e's node_modules (cd e2e && npm ci)")
	}
	r := start(t, agentproto.Config{Kind: "desktop"})
	before := program(r.ready(), "chromium")

	bridge := httptest.NewServer(http.HandlerFunc(r.bridge))
	defer bridge.Close()
	out, err := exec.CommandContext(t.Context(), node, "-e", script, library, "ws"+strings.TrimPrefix(bridge.URL, "http")).CombinedOutput()
	if got, want := string(out), "a11111,true,2 b11111,true,2 c11111,true,2\nd11111,true,2\n"; err != nil || got != want {
		t.Errorf("%v, said %q, want %q", err, tail(got, 30), want)
	}
	if after := program(r.ready(), "chromium"); after.PID != before.PID {
		t.Errorf("Chromium was %+v, is %+v", before, after)
	}
}

// bridge is what the node does for a DevTools client, without its rules.
func (r *rig) bridge(w http.ResponseWriter, req *http.Request) {
	ws, err := websocket.Accept(w, req, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(64 << 20)
	s, err := r.OpenCDP(req.Context())
	if err != nil {
		r.t.Error(fmt.Errorf("open DevTools: %w", err))
		return
	}
	defer s.Close()
	go func() {
		defer ws.CloseNow()
		for {
			data, err := s.ReadMessage()
			if err != nil || ws.Write(req.Context(), websocket.MessageText, data) != nil {
				return
			}
		}
	}()
	for {
		_, data, err := ws.Read(req.Context())
		if err != nil || s.WriteMessage(data) != nil {
			return
		}
	}
}
