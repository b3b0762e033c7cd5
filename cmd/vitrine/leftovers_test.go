package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/image"
)

// try runs vitrine and wants an exit code.
func (b *box) try(code int, args ...string) string {
	b.t.Helper()
	out, err := b.command(nil, args...).CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		b.t.Fatal(err)
	}
	if got != code {
		b.t.Errorf("vitrine %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// TestANightOfZombies: thirty half-made machines beside one that lives, with
// the daemon, without it, and with the wrong database.
func TestANightOfZombies(t *testing.T) {
	for _, p := range []string{"crun", "nft"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("needs " + p)
		}
	}
	b := newBox(t, "container")
	b.env = append(b.env, "VITRINE_BRIDGE=vtleft0", "VITRINE_SUBNET=192.168.196.0/24")
	data := filepath.Join(b.dir, "data")
	d := b.start()
	s := b.session()
	alive := func(when string) {
		t.Helper()
		if got := b.do(s.ID, "echo", "here"); got != "here" {
			t.Errorf("%s the session says %q", when, got)
		}
	}
	if out := b.try(0, "audit"); !strings.Contains(out, "nothing is left over") {
		t.Errorf("beside one live session: %s", out)
	}

	zombies := func() {
		t.Helper()
		for range 30 {
			dir := filepath.Join(data, "machines/container", vitrine.NewID(vitrine.PrefixMachine, time.Now().Add(-time.Hour)))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func() int {
		list, _ := filepath.Glob(filepath.Join(data, "machines/container/mch_*"))
		return len(list)
	}
	zombies()
	var found api.Collection
	if err := json.Unmarshal([]byte(b.try(1, "audit", "--json")), &found); err != nil || len(found.Leftovers) != 30 {
		t.Errorf("the audit by the daemon: %d, %v", len(found.Leftovers), err)
	}
	if out := b.try(0, "gc", "--dry-run"); !strings.Contains(out, "dry run: 20 deeds would be done") || count() != 31 {
		t.Errorf("the dry run says %s, and %d directories are there", out, count())
	}
	if out := b.try(2, "gc"); !strings.Contains(out, "no terminal to ask") || !strings.Contains(out, "vitrine gc --yes") || count() != 31 {
		t.Errorf("without a word it says %s, and %d directories are there", out, count())
	}
	if out := b.try(0, "gc", "--yes", "--budget=100"); !strings.Contains(out, "0 failed") || count() != 1 {
		t.Errorf("gc says %s, and %d directories are there", out, count())
	}
	b.try(0, "audit")
	alive("after gc")

	// The daemon is killed: what it ran lives on and is no leftover.
	_ = d.cmd.Process.Kill()
	d.end(stopLimit)
	hour := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(data, socketName), hour, hour); err != nil {
		t.Fatal(err)
	}
	zombies()
	out := b.try(1, "audit")
	if strings.Count(out, "delete the machine") != 30 || strings.Count(out, "remove the socket") != 1 || strings.Contains(out, s.ID) {
		t.Errorf("without a daemon: %s", out)
	}

	// Somebody puts an empty database there, or none: nobody's machine is touched.
	db := filepath.Join(data, "vitrine.db")
	aside := func(from, to string) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	aside(db, db+".aside")
	if out := b.try(0, "gc", "--yes"); !strings.Contains(out, "there is no database") || count() != 31 {
		t.Errorf("without a database gc says %s, and %d directories are there", out, count())
	}
	aside(db+".aside", db)

	if out := b.try(0, "gc", "--yes", "--budget=100", "--json"); count() != 1 {
		t.Errorf("gc by itself says %s, and %d directories are there", out, count())
	}
	b.try(0, "audit")
	b.start()
	alive("after the next daemon's start")
	b.try(0, "audit")

	// The same list by the tool and by the daemon.
	report, err := b.api.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var byTool []vitrine.Finding
	stdout, _ := b.command(nil, "doctor", "--json").Output()
	if err := json.Unmarshal(stdout, &byTool); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	for i := range max(len(byTool), len(report.Findings)) {
		if i >= len(byTool) || i >= len(report.Findings) || byTool[i].Check != report.Findings[i].Check {
			t.Fatalf("the tool's checks differ from the daemon's: %v and %v", names(byTool), names(report.Findings))
		}
		if f := byTool[i]; f.Check == "leftovers" && f.Result != vitrine.VerdictPass || f.Check == "TURN" && f.Result == vitrine.VerdictFail {
			t.Errorf("%+v", f)
		}
	}
}

func names(list []vitrine.Finding) (out []string) {
	for _, f := range list {
		out = append(out, f.Check)
	}
	return out
}

// TestADiskThatIsNearlyFull: creates are refused under the low watermark, with
// what to type.
func TestADiskThatIsNearlyFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32M"); err != nil {
		t.Skip(err)
	}
	defer func() { _ = unix.Unmount(dir, 0) }()
	set := settings{DataDir: dir, DiskLowMB: 16, DiskStopMB: 8}
	if err := admitDisk(set); err != nil {
		t.Errorf("with room: %v", err)
	}
	machine := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	at := filepath.Join(dir, "machines/gvisor", machine)
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "disk"), make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	err := admitDisk(set)
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != string(vitrine.FailHostDiskFull) || !strings.Contains(e.Remedy, "vitrine gc") || !strings.Contains(e.Message, "16 MB") {
		t.Errorf("with 12 MB left: %v", err)
	}
	if mb := writtenMB(dir, machine); mb != 20 {
		t.Errorf("the machine has written %d MB", mb)
	}
	if free, err := freeMB(dir); err != nil || free != 12 {
		t.Errorf("%d MB free, %v", free, err)
	}
}

func TestADamagedImageShowsInTheReport(t *testing.T) {
	dir := t.TempDir()
	hex := strings.Repeat("ab", 32)
	if err := os.MkdirAll(filepath.Join(dir, hex), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, hex, "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if bad, err := image.NewStore(dir).Damaged(t.Context()); err != nil || len(bad) != 1 {
		t.Fatalf("%v, %v", bad, err)
	}
	report := checkImages(t.Context(), settings{ImageDir: dir})
	if len(report) != 2 || report[0].Check != "image desktop" || report[0].Remedy != "vitrine image build desktop" || report[1].Result != vitrine.VerdictFail {
		t.Errorf("%+v", report)
	}
}
