package flight

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// picture is a PNG with text in it, as a machine could make one.
func picture(t testing.TB, size int, comment string) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = byte(noise.Uint32())
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	text := append([]byte{0, 0, 0, byte(len(comment))}, "tEXt"+comment+"\x00\x00\x00\x00"...) // nobody checks its CRC
	ihdr := len(pngMagic) + 25
	return slices.Concat(b.Bytes()[:ihdr], text, b.Bytes()[ihdr:])
}

// the secrets that a record is full of.
const (
	machineSecret = "61ab30c7bd2049e816e1663da9d8b8104f2470c5461e8f6fbcadb47dc9621e2c"
	userPassword  = "hunter2-correct-horse"
	userToken     = "sk-ant-api03-AAAAbbbbCCCCdddd"
)

// failed is a record with a secret at every place where there could be one.
func failed(t testing.TB) vitrine.FlightRecord {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	f := vitrine.NewFailure(vitrine.FailBrowserCrashed, []string{"exit status 1", "key " + userToken, "-----BEGIN PRIVATE KEY-----", "QUJDREVGR0hJSktM", "-----END PRIVATE KEY-----"}, "chromium: said %s", userToken)
	return vitrine.FlightRecord{
		Session: vitrine.Session{
			ID: vitrine.NewID(vitrine.PrefixSession, now), MachineID: vitrine.NewID(vitrine.PrefixMachine, now), CreatedAt: now, EndedAt: now.Add(time.Minute),
			Kind: vitrine.KindDesktop, State: vitrine.StateFailed, Runtime: "container", UserID: "ada", MemoryMB: 512, Failure: f,
			StartURL: "https://ada:" + userPassword + "@example.com/?token=" + userPassword, Address: netip.MustParseAddr("192.168.100.7"),
			Metadata: map[string]string{"password": userPassword, "purpose": "test", "note": "use " + userToken, userToken: "as a name"},
		},
		Ledger:  vitrine.Ledger{Phases: []vitrine.Phase{{Name: vitrine.PhaseBrowser, StartedAt: now, Duration: time.Second, Outcome: vitrine.OutcomeFailed, Detail: "browser_crashed: " + userToken}}},
		Console: []byte("booting\nsecret " + machineSecret + "\nPASSWORD=" + userPassword + "\n\x1b[31m" + userToken[:12] + "\x1b[0m" + userToken[12:] + "\nlast words\n"),
		Status:  &vitrine.MachineStatus{State: vitrine.MachineExited, ExitCode: 137, OOMKills: 2, Memory: vitrine.MemoryUse{Limit: 512 << 20}},
		Health: &vitrine.AgentHealth{Version: "1", Step: vitrine.AgentStepDisplay, Problem: &vitrine.AgentProblem{Program: "chromium", Message: "gave up",
			Log: []string{"opening https://ada:" + userPassword + "@example.com", "-----BEGIN PRIVATE KEY-----", "QUJDREVGR0hJSktM", "-----END PRIVATE KEY-----"}}},
		HeardAt: now, Screenshot: picture(t, 16, "k\x00"+userToken),
		Logs:    []vitrine.MachineLog{{Name: "runtime.log", Data: []byte("started with " + machineSecret + "\n")}},
		Missing: []string{"something: " + userToken},
	}
}

func recorder(t testing.TB, change ...func(*Config)) *Recorder {
	t.Helper()
	cfg := Config{
		Dir: filepath.Join(t.TempDir(), "bundles"), MinFree: -1,
		Daemon: Daemon{Version: "1.2.3", Settings: []Setting{
			{"VITRINE_LISTEN", ":4000", "default"}, {"VITRINE_WEB_DEV", "http://ada:" + userPassword + "@x", "environment"}}},
		Secrets: func(vitrine.Session) []string { return []string{machineSecret} },
	}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// unpack reads a bundle to its last byte and gives its files by name.
func unpack(t testing.TB, r io.Reader) map[string][]byte {
	t.Helper()
	zip, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(zip); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, name, _ := strings.Cut(h.Name, "/")
		if !strings.HasPrefix(dir, "vitrine-ses_") || h.Mode != 0o600 || h.Typeflag != tar.TypeReg {
			t.Errorf("an odd file: %+v", h)
		}
		if files[name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, zip); err != nil { // the checksum
		t.Fatal(err)
	}
	return files
}

func kept(t testing.TB, r *Recorder, id string) map[string][]byte {
	t.Helper()
	f, b, err := r.OpenBundle(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil || int64(len(raw)) != b.SizeBytes {
		t.Fatalf("%d bytes of %d, %v", len(raw), b.SizeBytes, err)
	}
	return unpack(t, bytes.NewReader(raw))
}

func TestABundleIsWholeAndHoldsNoSecret(t *testing.T) {
	r, rec := recorder(t), failed(t)
	if err := r.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	files := kept(t, r, rec.Session.ID)
	for name, want := range map[string]string{
		"summary.txt": "browser_crashed in browser", "failure.json": `"code": "browser_crashed"`, "session.json": `"memory_mb": 512`, "ledger.json": `"name": "browser"`,
		"agent.json": "gave up", "machine.json": `"exit_code": 137`, "host.json": `"MemAvailable"`, "daemon.json": `"value": ":4000"`,
		"console.log": "last words", "logs/runtime.log": "started with", "screenshot.png": "PNG",
	} {
		if !bytes.Contains(files[name], []byte(want)) {
			t.Errorf("%s lacks %q:\n%.600s", name, want, files[name])
		}
		if strings.HasSuffix(name, ".json") && !json.Valid(files[name]) {
			t.Errorf("%s is no JSON", name)
		}
	}
	for name, data := range files {
		for _, secret := range []string{machineSecret, userPassword, userToken, userToken[14:], "QUJDREVG"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
		if !bytes.Contains(files["summary.txt"], []byte(name)) && name != "summary.txt" {
			t.Errorf("the summary does not name %s", name)
		}
	}
	if _, err := png.DecodeConfig(bytes.NewReader(files["screenshot.png"])); err != nil {
		t.Errorf("the screenshot is none any more: %v", err)
	}
	info, err := os.Stat(r.path(rec.Session.ID))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info, err)
	}
}

// A machine that prints, logs and paints noise, as much as it may and more.
func TestABundleIsBounded(t *testing.T) {
	noise := make([]byte, 3<<20)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	r, rec := recorder(t), failed(t)
	rec.Console, rec.Screenshot = noise, picture(t, 700, "")
	rec.Health.Problem.Log = make([]string, 100_000)
	rec.Logs = nil
	for i := range 9 {
		rec.Logs = append(rec.Logs, vitrine.MachineLog{Name: "log" + string(rune('a'+i)), Data: noise})
	}
	began := time.Now()
	if err := r.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	b, _ := r.Bundle(rec.Session.ID)
	t.Logf("%d bytes, %s", b.SizeBytes, time.Since(began).Round(time.Millisecond))
	if b.SizeBytes > MaxBundle {
		t.Errorf("a bundle of %d bytes", b.SizeBytes)
	}
	files := kept(t, r, rec.Session.ID)
	if files["agent.json"] != nil || !bytes.Contains(files["summary.txt"], []byte("agent.json: it has")) || !bytes.Contains(files["summary.txt"], []byte("logs: 3 more")) {
		t.Errorf("what did not fit is not named:\n%.2000s", files["summary.txt"])
	}
	if files["screenshot.png"] == nil {
		t.Error("the screenshot, which fits, is not there")
	}
}

func TestNothingButTheFailureIsKnown(t *testing.T) {
	r := recorder(t)
	rec := vitrine.FlightRecord{Session: failed(t).Session, Missing: []string{"console: the machine is gone"}}
	rec.Session.Failure = vitrine.NewFailure(vitrine.FailNodeLost, nil, "the host has restarted")
	if err := r.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	files := kept(t, r, rec.Session.ID)
	if !bytes.Contains(files["summary.txt"], []byte("the machine is gone")) || files["agent.json"] != nil || files["machine.json"] != nil || files["host.json"] == nil {
		t.Errorf("%s", files["summary.txt"])
	}
}

func TestAScreenshotIsOnlyAPicture(t *testing.T) {
	good := picture(t, 8, "k\x00hidden")
	b, err := bare(good)
	if err != nil || bytes.Contains(b, []byte("hidden")) {
		t.Errorf("%v, %q", err, b)
	}
	for n := range good {
		if _, err := bare(good[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for a picture", n, len(good))
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add(picture(f, 4, "k\x00v"))
	f.Add(append(bytes.Clone(pngMagic), 0xff, 0xff, 0xff, 0xff, 'I', 'H', 'D', 'R', 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := bare(b)
		if err == nil && (len(out) > len(b) || !bytes.HasPrefix(out, pngMagic)) {
			t.Errorf("%d bytes became %d", len(b), len(out))
		}
	})
}
