package agent

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestParseStat(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       process
		ok         bool
	}{
		{"plain", "7 (sh) S 3 7 5 0 -1", process{7, 3, 5}, true},
		{"a name with parentheses and blanks", "7 (a) S 9 9 9) R 3 7 5 0", process{7, 3, 5}, true},
		{"a zombie", "7 (sh) Z 3 7 5 0", process{}, false},
		{"cut short", "7 (sh) S 3", process{}, false},
		{"empty", "", process{}, false},
	} {
		if got, ok := parseStat(7, []byte(tt.stat)); ok != tt.ok || got != tt.want {
			t.Errorf("%s: %v, %v", tt.name, got, ok)
		}
	}
}

func TestFamilyFindsGrandchildrenInAnyOrder(t *testing.T) {
	all := []process{{pid: 5, parent: 4}, {pid: 4, parent: 2}, {pid: 3, parent: 1}, {pid: 9, parent: 1, session: 2}}
	got := family(all, func(p process) bool { return p.parent == 2 || p.session == 2 })
	if len(got) != 3 {
		t.Errorf("found %v, want 4, 5 and 9", got)
	}
}

func TestParsePressure(t *testing.T) {
	some, full, ok := parsePressure([]byte("some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=4.25 avg60=0.00 avg300=0.00 total=1\n"))
	if !ok || some != 12.5 || full != 4.25 {
		t.Errorf("%v %v %v", some, full, ok)
	}
	for _, bad := range []string{"", "some", "some avg10=NaN", "some avg10=900", "some avg10=-1", "full avg10=1.0"} {
		if _, _, ok := parsePressure([]byte(bad)); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDefaultRoute(t *testing.T) {
	const head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
	for _, tt := range []struct {
		name, table string
		want        bool
	}{
		{"a gateway", head + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", true},
		{"only the own net", head + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", false},
		{"a gateway that is down", head + "eth0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", false},
		{"an empty table", head, false},
		{"nothing", "", false},
	} {
		if got := hasDefaultRoute([]byte(tt.table)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestMemoryOfThisHost(t *testing.T) {
	m := readMemory()
	if m.TotalBytes <= 0 || m.AvailableBytes <= 0 || m.AvailableBytes > m.TotalBytes || m.SomeAvg10 > 100 {
		t.Errorf("%+v", m)
	}
}

func TestALineWithoutEndIsCutAndTheNextOneIsWhole(t *testing.T) {
	r := newRing(slog.New(slog.DiscardHandler))
	r.read(strings.NewReader("first\r\n" + strings.Repeat("x", 3*maxLine) + "\n\x1b[31mred\n" + strings.Repeat("many\n", 500) + "last"))
	lines := r.last(ringLines)
	if len(lines) != ringLines || lines[len(lines)-1] != "last" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	r = newRing(slog.New(slog.DiscardHandler))
	r.read(strings.NewReader("first\r\n" + strings.Repeat("x", 3*maxLine) + "\n\x1b[31mred\n"))
	lines = r.last(10)
	if len(lines) != 3 || lines[0] != "first" || len(lines[1]) > maxLine || lines[2] != "\ufffd[31mred" {
		t.Errorf("%d lines: %.20q", len(lines), lines)
	}
}

func TestAProgramThatPrintsWithoutEndDoesNotFloodTheConsole(t *testing.T) {
	var console strings.Builder
	r := newRing(slog.New(slog.NewTextHandler(&console, nil)))
	r.read(io.LimitReader(endless("flood\n"), 6*10000))
	if n := strings.Count(console.String(), "flood"); n < consoleBurst || n > 2*consoleBurst {
		t.Errorf("%d lines on the console", n)
	}
}

type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// asUser gives a place in a directory that the desktop's user can reach.
func asUser(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		return place{dir: dir, home: dir, runtime: dir, user: "me", shell: "/bin/sh", uid: os.Getuid(), gid: os.Getgid()}
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	p := place{dir: dir, home: filepath.Join(dir, "home"), runtime: filepath.Join(dir, "user"), user: "user", shell: "/bin/sh", uid: defaultUser, gid: defaultUser}
	for _, d := range []string{p.home, p.runtime} {
		if err := p.own(d); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestALinkOfTheUserDoesNotLeadTheAgentOutOfItsHome(t *testing.T) {
	p := asUser(t)
	prize := filepath.Join(p.dir, "prize")
	if err := os.WriteFile(prize, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"Preferences": prize, "Preferences.new": prize, "up": p.dir} {
		if err := os.Symlink(to, filepath.Join(p.home, link)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.read(filepath.Join(p.home, "Preferences"), 100); err == nil {
		t.Error("a link was read")
	}
	if err := p.write(filepath.Join(p.home, "Preferences"), []byte("theirs")); err != nil {
		t.Error(err)
	}
	if err := p.write(filepath.Join(p.home, "up", "prize"), []byte("theirs")); err == nil {
		t.Error("a linked directory was written to")
	}
	if err := p.write(filepath.Join(p.dir, "prize"), []byte("theirs")); err == nil {
		t.Error("a path outside was written to")
	}
	if got, _ := os.ReadFile(prize); string(got) != "mine" {
		t.Errorf("the file outside now holds %q", got)
	}
	info, err := os.Lstat(filepath.Join(p.home, "Preferences"))
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 || int(info.Sys().(*syscall.Stat_t).Uid) != p.uid {
		t.Errorf("the file itself is %v, %v", info.Mode(), err)
	}
}

func TestPreferencesOfACrashedBrowserSayThatItEndedNormally(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"crashed", `{"b":{"n":12345678901234567890},"profile":{"exit_type":"Crashed","name":"x"}}`, `{"b":{"n":12345678901234567890},"profile":{"exit_type":"Normal","exited_cleanly":true,"name":"x"}}`},
		{"no exit type yet", `{"profile":{}}`, `{"profile":{"exit_type":"Normal","exited_cleanly":true}}`},
		{"normal", `{"profile":{"exit_type":"Normal"}}`, ""},
		{"no profile", `{}`, ""},
		{"a profile that is none", `{"profile":null}`, ""},
		{"broken", `{"profile":{`, ""},
	} {
		got, ok := endedNormally([]byte(tt.in))
		if ok != (tt.want != "") || string(got) != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	_, err := spawn(asUser(t), newRing(slog.New(slog.DiscardHandler)), nil, nil, "no-such-program")
	if err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Error(err)
	}
	if errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}
