package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

const testSecret = "a secret of the machine"

// serveTerminal runs the server of a terminal machine and gives its socket.
func serveTerminal(t *testing.T) string {
	t.Helper()
	p := asUser(t)
	l, err := listen(p.dir, make(chan struct{}, maxConns))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cfg := agentproto.Config{Secret: testSecret, Kind: kindTerminal}
	ended := make(chan error, 1)
	go func() {
		ended <- newServer(ctx, cancel, cfg, p, nil, time.Now(), slog.New(slog.DiscardHandler)).serve(l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(p.dir, agentproto.SocketFile)
}

// ask sends raw bytes and gives the reply's head and body.
func ask(t *testing.T, socket, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c, request) // one that is too large is not read to its end
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestOnlyTheWholeSecretOpens(t *testing.T) {
	socket := serveTerminal(t)
	for _, tt := range []struct {
		name, header string
		status       int
	}{
		{"the secret", "Authorization: Bearer " + testSecret, 200},
		{"none", "X-Other: 1", 401},
		{"an empty one", "Authorization: Bearer ", 401},
		{"without its scheme", "Authorization: " + testSecret, 401},
		{"in another scheme", "Authorization: Basic " + testSecret, 401},
		{"a beginning of it", "Authorization: Bearer " + testSecret[:len(testSecret)-1], 401},
		{"more than it", "Authorization: Bearer " + testSecret + "x", 401},
		{"in capitals", "Authorization: Bearer " + strings.ToUpper(testSecret), 401},
		{"in another header", "Cookie: secret=" + testSecret, 401},
	} {
		for _, path := range []string{"GET /health", "POST /exec", "GET /screenshot", "GET /video?codec=vp8", "GET /control", "GET /vnc", "GET /cdp", "POST /resize", "GET /none"} {
			if tt.status == 200 && path != "GET /health" {
				continue
			}
			resp, body := ask(t, socket, path+" HTTP/1.1\r\nHost: a\r\n"+tt.header+"\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != tt.status {
				t.Errorf("%s, %s: %d %s", tt.name, path, resp.StatusCode, body)
			}
			if resp.Header.Get(agentproto.HeaderProtocol) != agentproto.Version {
				t.Errorf("%s, %s: no protocol in the reply", tt.name, path)
			}
			if strings.Contains(body, testSecret) {
				t.Errorf("%s, %s: the reply tells the secret", tt.name, path)
			}
		}
	}
}

func TestTheSocketIsRootsAlone(t *testing.T) {
	socket := serveTerminal(t)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if os.Getuid() != 0 {
		t.Skip("the rest needs root")
	}
	// Even where the mode would let it in, and with the secret.
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl")
	}
	cmd := exec.Command(curl, "-s", "--unix-socket", socket, "-H", "Authorization: Bearer "+testSecret, "http://a/health")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: defaultUser, Gid: defaultUser}}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "may not speak") {
		t.Errorf("the desktop's user got %q, %v", out, err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	socket := serveTerminal(t)
	auth := "Host: a\r\nAuthorization: Bearer " + testSecret + "\r\nConnection: close\r\n"
	post := func(body string) string {
		return fmt.Sprintf("POST /exec HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", auth, len(body), body)
	}
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"exec without a body", post(""), 400},
		{"exec of nothing", post(`{}`), 422},
		{"exec as somebody else", post(`{"command":["id"],"user":"daemon"}`), 422},
		{"a body of five megabytes", post(`{"command":["` + strings.Repeat("x", 5<<20) + `"]}`), 413},
		{"a screenshot of a terminal", "GET /screenshot HTTP/1.1\r\n" + auth + "\r\n", 404},
		{"exec by GET", "GET /exec HTTP/1.1\r\n" + auth + "\r\n", 405},
		{"a path that is none", "GET /../etc HTTP/1.1\r\n" + auth + "\r\n", 307},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if resp, body := ask(t, socket, tt.request); resp.StatusCode != tt.status {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

func TestTheThirtyThirdCommandIsRefused(t *testing.T) {
	socket := serveTerminal(t)
	dir := filepath.Join(filepath.Dir(socket), "home")
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	body := `{"command":["sh","-c","echo up; read x <` + fifo + `"],"timeout_ms":60000}`
	request := fmt.Sprintf("POST /exec HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", testSecret, len(body), body)
	statuses := make(chan int, maxExecs+1)
	var all sync.WaitGroup
	for range maxExecs + 1 {
		all.Go(func() {
			resp, _ := ask(t, socket, request)
			statuses <- resp.StatusCode
		})
	}
	if first := <-statuses; first != http.StatusTooManyRequests {
		t.Errorf("the first to be answered got %d", first)
	}
	gate, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	_, _ = gate.WriteString(strings.Repeat("go\n", maxExecs))
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for { // what one shell reads ahead, another misses
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
			_, _ = gate.WriteString("go\n")
			continue
		}
		break
	}
	for range maxExecs {
		if status := <-statuses; status != 200 {
			t.Errorf("one that ran got %d", status)
		}
	}
}

func TestASocketOfAnEarlierAgentIsReplaced(t *testing.T) {
	dir := t.TempDir()
	first, err := listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.(*door).Listener.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed one leaves it
	_ = first.Close()
	second, err := listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}
