package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// settings are the values in force, parsed and checked.
type settings struct {
	Listen      string
	PublicURL   string
	PublicIP    netip.Addr
	DataDir     string
	CacheDir    string
	ImageDir    string
	Runsc       string
	Firecracker string
	Jailer      string
	QEMU        string
	DatabaseURL string
	AdminKey    string
	Runtime     string
	MediaPort   int
	TURNPort    int
	SSHPort     int
	Bridge      string
	Subnet      netip.Prefix
	DNS         []netip.Addr

	BrowserVCPU, BrowserMemoryMB int
	CLIVCPU, CLIMemoryMB         int
	RateLimit                    int
	RateWindow                   time.Duration
	MaxSessions                  int
	HostReserveMB                int
	DiskLowMB, DiskStopMB        int
	ImageTimeout, NetworkTimeout time.Duration
	MachineTimeout, AgentTimeout time.Duration
	DisplayTimeout               time.Duration
	BrowserTimeout               time.Duration
	KeepEnded                    time.Duration

	inForce []value // all of them, with where each came from

	BelowMinimum bool // admit less memory than an image needs

	Dev      bool
	WebDev   string
	LogLevel string
	LogJSON  bool
}

// setting is one row of the configuration: the only list of what can be set.
// Flags are the names in lower case with dashes, without the VITRINE_ prefix.
type setting struct {
	name    string
	def     string
	help    string
	allowed string // what a good value looks like, for the error
	secret  bool
	set     func(s *settings, v string) error
}

func (d setting) flag() string {
	n := strings.TrimPrefix(d.name, "VITRINE_")
	return strings.ReplaceAll(strings.ToLower(n), "_", "-")
}

var definitions = []setting{
	{"VITRINE_LISTEN", ":4000", "address and port of the API and the web page", "HOST:PORT or :PORT", false,
		func(s *settings, v string) error { return checkListen(v, &s.Listen) }},
	{"VITRINE_PUBLIC_URL", "", "how browsers reach the daemon, when not by the address it listens on", "an http or https URL without a path", false,
		func(s *settings, v string) error { return checkURL(v, &s.PublicURL) }},
	{"VITRINE_PUBLIC_IP", "", "address that viewers reach media on, when it is not one of the host's own", "an IP address", false,
		func(s *settings, v string) error { return checkAddr(v, &s.PublicIP) }},
	{"VITRINE_DATA_DIR", "/var/lib/vitrine", "sessions, machines and the database", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.DataDir) }},
	{"VITRINE_CACHE_DIR", "/var/cache/vitrine", "what is dear to make and can be made again: images, runsc", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.CacheDir) }},
	{"VITRINE_IMAGE_DIR", "", "golden images (default: images in the cache directory)", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.ImageDir) }},
	{"VITRINE_RUNSC", "", "gVisor's runsc (default: bin/runsc in the cache directory, else the package's, else the one on PATH)", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.Runsc) }},
	{"VITRINE_FIRECRACKER", "", "Firecracker, 1.16.1 or later (default: bin/firecracker in the cache directory, else the one on PATH)", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.Firecracker) }},
	{"VITRINE_JAILER", "", "Firecracker's jailer, of the same version (default: jailer beside Firecracker, else the one on PATH)", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.Jailer) }},
	{"VITRINE_QEMU", "", "QEMU for x86-64 (default: qemu-system-x86_64 on PATH)", "an absolute path", false,
		func(s *settings, v string) error { return checkPath(v, &s.QEMU) }},
	{"VITRINE_DATABASE_URL", "", "postgres://… (default: an SQLite file in the data directory)", "a postgres:// URL or an absolute path of an SQLite file", true,
		func(s *settings, v string) error { return checkDatabase(v, &s.DatabaseURL) }},
	{"VITRINE_ADMIN_KEY", "", "the first admin's API key (default: made at first start and printed once)", "at least 32 characters", true,
		func(s *settings, v string) error {
			if v != "" && len(v) < 32 {
				return fmt.Errorf("it has %d characters", len(v))
			}
			s.AdminKey = v
			return nil
		}},
	{"VITRINE_RUNTIME", "auto", "what machines run in", "auto, firecracker, gvisor, container, qemu or process", false,
		func(s *settings, v string) error {
			return checkOneOf(v, &s.Runtime, "auto", "firecracker", "gvisor", "container", "qemu", "process")
		}},
	{"VITRINE_MEDIA_PORT", "4001", "WebRTC media, UDP and TCP", "a port, 1 to 65535", false,
		func(s *settings, v string) error { return checkInt(v, 1, 65535, &s.MediaPort) }},
	{"VITRINE_TURN_PORT", "3478", "embedded TURN server, UDP and TCP", "a port, 1 to 65535", false,
		func(s *settings, v string) error { return checkInt(v, 1, 65535, &s.TURNPort) }},
	{"VITRINE_SSH_PORT", "4022", "SSH into sessions, TCP, on the address of VITRINE_LISTEN; 0 turns it off", "a port, 1 to 65535, or 0", false,
		func(s *settings, v string) error { return checkInt(v, 0, 65535, &s.SSHPort) }},
	{"VITRINE_BRIDGE", "fcbr0", "the bridge that machines are on; another name makes a second install possible on one host", "a letter, then letters, digits, dots and underscores, 12 at most", false,
		func(s *settings, v string) error { return checkBridge(v, &s.Bridge) }},
	{"VITRINE_SUBNET", "192.168.100.0/24", "the machines' addresses", "a private IPv4 subnet, /16 to /29", false,
		func(s *settings, v string) error { return checkSubnet(v, &s.Subnet) }},
	{"VITRINE_DNS", "", "resolvers for machines (default: the host's own, else 1.1.1.1 and 9.9.9.9)", "IP addresses, comma-separated", false,
		func(s *settings, v string) error { return checkAddrs(v, &s.DNS) }},
	{"BROWSER_VM_VCPU", "2", "vCPU of a desktop", "1 to 64", false,
		func(s *settings, v string) error { return checkInt(v, 1, 64, &s.BrowserVCPU) }},
	{"BROWSER_VM_MEMORY_MB", "2048", "memory of a desktop, MiB", "64 to 1048576", false,
		func(s *settings, v string) error { return checkInt(v, 64, 1<<20, &s.BrowserMemoryMB) }},
	{"CLI_VM_VCPU", "1", "vCPU of a terminal", "1 to 64", false,
		func(s *settings, v string) error { return checkInt(v, 1, 64, &s.CLIVCPU) }},
	{"CLI_VM_MEMORY_MB", "512", "memory of a terminal, MiB", "64 to 1048576", false,
		func(s *settings, v string) error { return checkInt(v, 64, 1<<20, &s.CLIMemoryMB) }},
	{"RATE_LIMIT_MAX_REQUESTS", "1000", "requests per caller and window; streams and events are not counted", "1 to 1000000", false,
		func(s *settings, v string) error { return checkInt(v, 1, 1_000_000, &s.RateLimit) }},
	{"RATE_LIMIT_WINDOW_MS", "60000", "the window, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.RateWindow) }},
	{"VITRINE_MAX_SESSIONS", "100", "sessions alive at once", "1 to 4094", false,
		func(s *settings, v string) error { return checkInt(v, 1, 4094, &s.MaxSessions) }},
	{"VITRINE_HOST_RESERVE_MB", "1024", "memory never lent to sessions, MiB", "0 to 1048576", false,
		func(s *settings, v string) error { return checkInt(v, 0, 1<<20, &s.HostReserveMB) }},
	{"VITRINE_IMAGE_TIMEOUT_MS", "120000", "how long finding an image and holding it to its digest may take, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.ImageTimeout) }},
	{"VITRINE_NETWORK_TIMEOUT_MS", "15000", "how long a machine's place on the network may take to make, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.NetworkTimeout) }},
	{"VITRINE_MACHINE_TIMEOUT_MS", "30000", "how long a machine may take to be made and started, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.MachineTimeout) }},
	{"VITRINE_DISK_LOW_MB", "2048", "with less free in the data directory no session is started, MiB", "0 to 1048576, not under VITRINE_DISK_STOP_MB", false,
		func(s *settings, v string) error { return checkInt(v, 0, 1<<20, &s.DiskLowMB) }},
	{"VITRINE_DISK_STOP_MB", "512", "with less free running sessions are ended, the greatest writer first, MiB; 0 for never", "0 to 1048576", false,
		func(s *settings, v string) error { return checkInt(v, 0, 1<<20, &s.DiskStopMB) }},
	{"VITRINE_AGENT_TIMEOUT_MS", "30000", "how long a machine's agent may take to answer, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.AgentTimeout) }},
	{"VITRINE_DISPLAY_TIMEOUT_MS", "30000", "how long the X server may take to come up, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.DisplayTimeout) }},
	{"VITRINE_BROWSER_TIMEOUT_MS", "90000", "how long the browser may take to paint, milliseconds", "1000 to 3600000", false,
		func(s *settings, v string) error { return checkMillis(v, 3_600_000, &s.BrowserTimeout) }},
	{"VITRINE_KEEP_ENDED_HOURS", "168", "how long ended sessions, their ledgers and consoles are kept", "1 to 87600", false,
		func(s *settings, v string) error {
			var h int
			err := checkInt(v, 1, 87600, &h)
			s.KeepEnded = time.Duration(h) * time.Hour
			return err
		}},
	{"VITRINE_ADMIT_BELOW_MINIMUM", "false", "admit sessions with less memory than their image needs: for measurements and tests", "true or false", false,
		func(s *settings, v string) error { return checkBool(v, &s.BelowMinimum) }},
	{"VITRINE_DEV", "false", "development: allows the process runtime, which isolates nothing", "true or false", false,
		func(s *settings, v string) error { return checkBool(v, &s.Dev) }},
	{"VITRINE_WEB_DEV", "", "development: serve the page from this Vite server instead of the built one", "an http URL", false,
		func(s *settings, v string) error { return checkURL(v, &s.WebDev) }},
	{"VITRINE_LOG_LEVEL", "info", "how much is logged", "debug, info, warn or error", false,
		func(s *settings, v string) error {
			return checkOneOf(v, &s.LogLevel, "debug", "info", "warn", "error")
		}},
	{"VITRINE_LOG_JSON", "false", "log as JSON lines", "true or false", false,
		func(s *settings, v string) error { return checkBool(v, &s.LogJSON) }},
}

// elsewhere are VITRINE_ names that other programs of ours read: the client
// verbs, the build and the tests. The daemon lets them be.
var elsewhere = map[string]bool{"VITRINE_URL": true, "VITRINE_KEY": true, "VITRINE_REQUIRE_POSTGRES": true}

func isElsewhere(name string) bool {
	return elsewhere[name] || strings.HasPrefix(name, "VITRINE_TEST_") || strings.HasPrefix(name, "VITRINE_E2E_")
}

func findSetting(name string) (setting, bool) {
	for _, d := range definitions {
		if d.name == name {
			return d, true
		}
	}
	return setting{}, false
}

// nearest is the known name most like an unknown one, for a hint.
func nearest(name string) string {
	best, bestScore := "", 0
	for _, d := range definitions {
		score := commonRunes(d.name, name)
		if score > bestScore {
			best, bestScore = d.name, score
		}
	}
	return best
}

func commonRunes(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	m := 0
	for m < len(a)-n && m < len(b)-n && a[len(a)-1-m] == b[len(b)-1-m] {
		m++
	}
	return n + m
}

func checkInt(v string, low, high int, to *int) error {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return fmt.Errorf("it is not a whole number")
	}
	if n < low || n > high {
		return fmt.Errorf("it is out of range")
	}
	*to = n
	return nil
}

// checkMillis reads a duration of a second at least: what is less is a mistake
// in the unit.
func checkMillis(v string, high int, to *time.Duration) error {
	var n int
	if err := checkInt(v, 1000, high, &n); err != nil {
		return err
	}
	*to = time.Duration(n) * time.Millisecond
	return nil
}

func checkBool(v string, to *bool) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("it is neither")
	}
	*to = b
	return nil
}

func checkOneOf(v string, to *string, allowed ...string) error {
	for _, a := range allowed {
		if v == a {
			*to = v
			return nil
		}
	}
	return fmt.Errorf("it is none of them")
}

func checkPath(v string, to *string) error {
	if v != "" && !filepath.IsAbs(v) {
		return fmt.Errorf("it is relative")
	}
	if v != "" {
		v = filepath.Clean(v)
	}
	*to = v
	return nil
}

func checkAddr(v string, to *netip.Addr) error {
	if v == "" {
		return nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return fmt.Errorf("it is not an address")
	}
	*to = a
	return nil
}

func checkAddrs(v string, to *[]netip.Addr) error {
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
		var a netip.Addr
		if err := checkAddr(part, &a); err != nil {
			return fmt.Errorf("%q is not an address", part)
		}
		*to = append(*to, a)
	}
	return nil
}

func checkListen(v string, to *string) error {
	i := strings.LastIndexByte(v, ':')
	if i < 0 {
		return fmt.Errorf("it has no port")
	}
	port, err := strconv.Atoi(v[i+1:])
	if err != nil || port < 0 || port > 65535 {
		return fmt.Errorf("%q is not a port", v[i+1:])
	}
	if host := strings.Trim(v[:i], "[]"); host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an address of this host", host)
		}
	}
	*to = v
	return nil
}

func checkURL(v string, to *string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("it is not such a URL")
	}
	*to = u.Scheme + "://" + u.Host
	return nil
}

func checkDatabase(v string, to *string) error {
	if v != "" && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") && !filepath.IsAbs(v) {
		return fmt.Errorf("it is neither")
	}
	*to = v
	return nil
}

func checkBridge(v string, to *string) error {
	// IFNAMSIZ is 16 with the final zero (linux/if.h); three are kept for suffixes.
	// A dash would have to be quoted in firewall rules.
	if len(v) < 1 || len(v) > 12 {
		return fmt.Errorf("it has %d characters", len(v))
	}
	for i, r := range v {
		letter := (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || ((r < '0' || r > '9') && r != '.' && r != '_')) {
			return fmt.Errorf("%q is not allowed there", r)
		}
	}
	*to = v
	return nil
}

func checkSubnet(v string, to *netip.Prefix) error {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return fmt.Errorf("it is not a subnet")
	}
	if _, err := newPool(p); err != nil {
		return err
	}
	*to = p.Masked()
	return nil
}
