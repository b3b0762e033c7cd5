package image

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The public mirror, and the keys that Debian signs with.
const (
	debianMirror   = "http://deb.debian.org/debian"
	securityMirror = "http://deb.debian.org/debian-security"
	debianKeyring  = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// source is one archive of a suite.
type source struct {
	uri   string
	suite string
	key   string // path of a keyring, "" for apt's own
}

func (s source) String() string {
	option := ""
	if s.key != "" {
		option = "[signed-by=" + s.key + "] "
	}
	return fmt.Sprintf("deb %s%s %s main", option, s.uri, s.suite)
}

// publicSources are the archives that an image's own apt is left with, whatever
// it was built from: a mirror's address is the host's business, and may hold a
// password.
func publicSources(suite string) []source {
	return []source{
		{uri: debianMirror, suite: suite},
		{uri: debianMirror, suite: suite + "-updates"},
		{uri: securityMirror, suite: suite + "-security"},
	}
}

// buildSources are the archives to build from: the host's own choice of mirror
// where it has this suite, the public ones otherwise. etcApt is /etc/apt.
func buildSources(etcApt, keyring, suite string) []source {
	var hosts []source
	lists, _ := filepath.Glob(filepath.Join(etcApt, "sources.list.d", "*.list"))
	for _, name := range append([]string{filepath.Join(etcApt, "sources.list")}, lists...) {
		if text, err := readBounded(name, 1<<20); err == nil {
			hosts = append(hosts, parseOneLine(string(text))...)
		}
	}
	deb822, _ := filepath.Glob(filepath.Join(etcApt, "sources.list.d", "*.sources"))
	for _, name := range deb822 {
		if text, err := readBounded(name, 1<<20); err == nil {
			hosts = append(hosts, parseDeb822(string(text))...)
		}
	}
	picked := publicSources(suite)
	for i := range picked {
		want := &picked[i]
		at := slices.IndexFunc(hosts, func(h source) bool { return h.suite == want.suite })
		if at >= 0 {
			*want = hosts[at]
		}
		if want.key == "" && exists(keyring) {
			want.key = keyring
		}
	}
	return picked
}

// usable says whether a build in mount and PID namespaces may fetch from uri,
// and whether it can be written into a one-line source.
func usable(uri string) bool {
	return (strings.HasPrefix(uri, "http://") || strings.HasPrefix(uri, "https://")) && !strings.ContainsAny(uri, " \t\"'\\")
}

var oneLineForm = regexp.MustCompile(`^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$`)

// parseOneLine reads sources.list(5)'s one-line form: entries that have main.
func parseOneLine(text string) []source {
	var list []source
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		m := oneLineForm.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || !usable(m[2]) || !slices.Contains(strings.Fields(m[4]), "main") {
			continue
		}
		s := source{uri: m[2], suite: m[3]}
		for _, option := range strings.Fields(m[1]) {
			if key, ok := strings.CutPrefix(option, "signed-by="); ok && filepath.IsAbs(key) {
				s.key = key
			}
		}
		list = append(list, s)
	}
	return list
}

// parseDeb822 reads the paragraph form: binary archives that are on and have main.
func parseDeb822(text string) []source {
	var list []source
	for _, paragraph := range regexp.MustCompile(`\n[ \t]*\n`).Split(text, -1) {
		fields := map[string]string{}
		for _, line := range strings.Split(paragraph, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
				fields[strings.ToLower(key)] = strings.TrimSpace(value)
			}
		}
		if fields["enabled"] == "no" || !slices.Contains(strings.Fields(fields["types"]), "deb") ||
			!slices.Contains(strings.Fields(fields["components"]), "main") {
			continue
		}
		for _, uri := range strings.Fields(fields["uris"]) {
			for _, suite := range strings.Fields(fields["suites"]) {
				s := source{uri: uri, suite: suite}
				if key := fields["signed-by"]; filepath.IsAbs(key) && !strings.Contains(key, " ") {
					s.key = key
				}
				if usable(uri) {
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// aptOptions gives what the host's apt is told about fetching (proxies,
// certificates, clocks), so that a build gets through where `apt install` does.
// The result may hold a proxy's password: it goes into a file of mode 0600.
func aptOptions() string {
	options := "Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
	cmd := exec.Command("apt-config", "dump")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return options
	}
	keep := regexp.MustCompile(`^Acquire::(https?(::[^ ]*)?|Check-[A-Za-z-]+) ".+";$`)
	for _, line := range strings.Split(string(out), "\n") {
		if keep.MatchString(line) {
			options += line + "\n"
		}
	}
	return options
}

var credentialForm = regexp.MustCompile(`://[^/@\s]+@`)

// redact takes user names and passwords out of the addresses in a line.
func redact(line string) string { return credentialForm.ReplaceAllString(line, "://***@") }
