// Package packaging holds the systemd unit and the recipe of the Debian package;
// what is tested here is the package, installed, upgraded and removed by the real
// dpkg in a copy-on-write view of this host.
package packaging

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// program is a vitrine as `make build` makes it, and a small Go program that
// stands for runsc, whose eighty megabytes take long to pack.
func programs(t *testing.T) (vitrine, runsc string) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "dpkg", "git", "node", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if _, err := os.Stat("../web/node_modules"); err != nil {
		t.Skip("the page's packages, whose licences go in, are not installed (make web)")
	}
	dir := t.TempDir()
	vitrine, runsc = filepath.Join(dir, "vitrine"), filepath.Join(dir, "runsc")
	for to, what := range map[string]string{vitrine: "../cmd/vitrine", runsc: "../cmd/vitrine-init"} {
		if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -X main.version=packed", "-o", to, what).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", what, err, out)
		}
	}
	return vitrine, runsc
}

func build(t *testing.T, vitrine, runsc, version string) string {
	t.Helper()
	cmd := exec.Command("./build-deb.sh", vitrine, runsc, t.TempDir())
	cmd.Env = append(os.Environ(), "DEB_VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "DEB_LEVEL=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func field(t *testing.T, deb, name string) string {
	t.Helper()
	out, err := exec.Command("dpkg-deb", "--field", deb, name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// essential are packages that every Debian has; depending on them is a mistake.
var essential = []string{"util-linux"}

func TestThePackage(t *testing.T) {
	vitrine, runsc := programs(t)
	one := build(t, vitrine, runsc, "1.0")

	// Twice the same, also from a place and a umask of another kind.
	old := unix.Umask(0o077)
	again := build(t, vitrine, runsc, "1.0")
	unix.Umask(old)
	a, err := os.ReadFile(one)
	b, errB := os.ReadFile(again)
	if err != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("two builds differ (%v, %v)", err, errB)
	}

	// What the set-up installs to run machines, the package depends on.
	script, err := os.ReadFile("../scripts/deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^run="(.*)"$`).FindSubmatch(script)
	if m == nil {
		t.Fatal("scripts/deps.sh has no list run")
	}
	depends := regexp.MustCompile(`[a-z0-9.+-]+`).FindAllString(field(t, one, "Depends")+" "+field(t, one, "Recommends")+" "+field(t, one, "Suggests"), -1)
	for _, p := range strings.Fields(string(m[1])) {
		if !slices.Contains(depends, p) && !slices.Contains(essential, p) {
			t.Errorf("the package does not depend on %s, which running machines needs", p)
		}
	}
	if lintian, err := exec.LookPath("lintian"); err == nil {
		if out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error,warning", "--suppress-tags", "hardening-no-pie,hardening-no-relro", one).CombinedOutput(); err != nil {
			t.Errorf("lintian: %v\n%s", err, out)
		}
	}
	t.Run("installed", func(t *testing.T) { life(t, one, build(t, vitrine, runsc, "1.1")) })
}

// host is a copy-on-write view of this host in a mount and a network namespace,
// with a systemctl that notes what it is asked. Of this host's own Vitrine it
// shows nothing.
type host struct {
	t   *testing.T
	dir string
}

func newHost(t *testing.T) *host {
	if os.Geteuid() != 0 {
		t.Skip("dpkg must be root")
	}
	h := &host{t, t.TempDir()}
	for _, d := range []string{"upper/run/systemd/system", "upper/usr/local/bin", "work", "all"} {
		if err := os.MkdirAll(filepath.Join(h.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"var/lib/vitrine", "var/cache/vitrine", "etc/vitrine", "run/systemd"} { // as if they were not there below
		path := filepath.Join(h.dir, "upper", d)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(path, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			t.Skipf("no overlay of this host can be made: %v", err)
		}
	}
	for name, text := range map[string]string{
		"systemctl":          "#!/bin/sh\necho systemctl \"$@\" >>/calls\ncase \"$*\" in *is-active*) test -e /active ;; esac\n",
		"deb-systemd-invoke": "#!/bin/sh\necho invoke \"$@\" >>/calls\n",
	} {
		if err := os.WriteFile(filepath.Join(h.dir, "upper/usr/local/bin", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// run runs a shell line there, and gives what it said.
func (h *host) run(line string) string {
	h.t.Helper()
	script := `mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/all" && mount --bind /dev "$1/all/dev" && mount -t proc proc "$1/all/proc" && exec chroot "$1/all" sh -ec "$2"`
	cmd := exec.Command("unshare", "--mount", "--net", "--propagation=private", "sh", "-c", script, "sh", h.dir, line)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// calls gives what systemd was asked since the last time, but for reloads and
// questions.
func (h *host) calls() string {
	h.t.Helper()
	var did []string
	for _, c := range strings.Split(strings.TrimSpace(h.run("cat /calls 2>/dev/null || true; rm -f /calls")), "\n") {
		if c != "" && !strings.Contains(c, "daemon-reload") && !strings.Contains(c, "is-active") {
			did = append(did, c)
		}
	}
	return strings.Join(did, "; ")
}

// life installs, upgrades, removes and purges the package.
func life(t *testing.T, first, second string) {
	h := newHost(t)
	for i, deb := range []string{first, second} {
		if out, err := exec.Command("cp", deb, filepath.Join(h.dir, fmt.Sprintf("upper/v%d.deb", i+1))).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	install := func(n int) { h.run(fmt.Sprintf("dpkg --force-depends --install /v%d.deb </dev/null", n)) }
	want := func(when, want string) {
		t.Helper()
		if got := h.calls(); got != want {
			t.Errorf("%s, systemd was asked: %q; want %q", when, got, want)
		}
	}
	install(1)
	want("at an installation", "")
	if got := h.run("vitrine version; stat -c %a /etc/vitrine/vitrine.env; /usr/lib/vitrine/runsc </dev/null >/dev/null 2>&1 || true; vitrine config >/dev/null"); got != "vitrine packed\n600\n" {
		t.Errorf("the installed program says %q", got)
	}
	h.run("echo VITRINE_LISTEN=:4444 >>/etc/vitrine/vitrine.env; echo kept >/var/lib/vitrine/vitrine.db")

	install(2)
	want("at an upgrade of a daemon that does not run", "")
	h.run("touch /active")
	install(1)
	want("at a change of version of a daemon that runs", "invoke restart vitrine.service")
	if got := h.run("tail -n1 /etc/vitrine/vitrine.env; cat /var/lib/vitrine/vitrine.db; vitrine config | grep -c 4444"); got != "VITRINE_LISTEN=:4444\nkept\n1\n" {
		t.Errorf("after two changes of version the settings and data are %q", got)
	}

	h.run("mkdir -p /var/lib/vitrine/machines/gvisor/mch_1")
	if said := h.run("dpkg --remove vitrine </dev/null"); !strings.Contains(said, "some machines could not be ended") {
		t.Errorf("a removal that leaves a machine says nothing of it:\n%s", said)
	}
	want("at a removal while a machine runs", "systemctl start vitrine.service; invoke stop vitrine.service")
	if got := h.run("cat /var/lib/vitrine/vitrine.db; ls /etc/vitrine; ls /usr/bin/vitrine 2>&1 || true"); !strings.HasPrefix(got, "kept\nvitrine.env\n") || !strings.Contains(got, "No such file") {
		t.Errorf("after a removal there is %q", got)
	}
	h.run("rm -r /var/lib/vitrine/machines; dpkg --purge vitrine </dev/null")
	if got := h.run("ls -d /var/lib/vitrine /var/cache/vitrine /etc/vitrine /usr/lib/vitrine /usr/share/doc/vitrine 2>/dev/null || true; dpkg -l vitrine 2>/dev/null | grep ^.i || true"); got != "" {
		t.Errorf("a purge leaves %q", got)
	}
}
