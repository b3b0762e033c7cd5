package stream

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// TestARealBrowserDecodes runs Debian's Chromium against the node: the SDP, ICE
// and RTP that browsers really speak.
func TestARealBrowserDecodes(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium here: apt-get install chromium")
	}
	page, err := os.ReadFile("testdata/viewer.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, codec string }{
		{"udp", "video/VP8"}, {"udp", "video/H264"}, {"tcp", "video/VP8"}, {"turn-udp", "video/VP8"}, {"turn-tcp", "video/H264"},
	} {
		t.Run(tt.path+" "+tt.codec, func(t *testing.T) {
			agent := newFakeAgent()
			agent.loop = true
			n := start(t, agent)
			results := make(chan map[string]any, 8)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/":
					_, _ = w.Write(page)
				case "/result":
					var m map[string]any
					_ = json.NewDecoder(r.Body).Decode(&m)
					results <- m
				default:
					n.serve(w, r)
				}
			}))
			defer web.Close()
			cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
				"--user-data-dir="+t.TempDir(), "--autoplay-policy=no-user-gesture-required",
				web.URL+"/?path="+tt.path+"&codec="+tt.codec)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			select {
			case m := <-results:
				t.Logf("%v", m)
				if m["error"] != nil || m["width"] != 320.0 || m["codec"] != tt.codec {
					t.Errorf("the page reports %v", m)
				}
			case <-time.After(60 * time.Second):
				t.Fatal("the page reported nothing")
			}
			n.got("the key typed in the page", func(in vitrine.Input) bool { return in.Type == vitrine.InputKey && in.Key == "a" })
			want := map[string]string{"turn-udp": "turn", "turn-tcp": "turn"}[tt.path]
			if want == "" {
				want = tt.path
			}
			if got := n.s.StreamFigures().ViewersByPath; got[want] != 1 {
				t.Errorf("the node counts %v, want one by %s", got, want)
			}
		})
	}
}
