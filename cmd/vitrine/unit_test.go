package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unit is packaging/vitrine.service: settings by name, in their order.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../packaging/vitrine.service")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			out[name] = append(out[name], value)
		}
	}
	return out
}

// wouldCost are settings of systemd.exec(5) that look harmless and would cost
// sessions or machines something.
var wouldCost = map[string][]string{
	"it gives the unit a mount namespace, in which the machines' network namespaces would be lost at a restart": {
		"BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "InaccessiblePaths", "LoadCredential", "LoadCredentialEncrypted", "MountAPIVFS",
		"MountImages", "NoExecPaths", "PrivateDevices", "PrivateMounts", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectClock",
		"ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc",
		"ProtectSystem", "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage", "SetCredential", "TemporaryFileSystem",
	},
	"machines inherit it": {
		"AppArmorProfile", "LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "OOMScoreAdjust", "RestrictAddressFamilies",
		"RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "UMask",
	},
	"it bounds the daemon's group by something that belongs to machines": {"Delegate", "DeviceAllow", "DevicePolicy", "MemoryMax", "Slice"},
	"it puts secrets into an environment":                                {"Environment", "EnvironmentFile", "PassEnvironment"},
}

func TestTheUnitCostsNoSession(t *testing.T) {
	u := unit(t)
	for why, names := range wouldCost {
		for _, name := range names {
			if _, set := u[name]; set {
				t.Errorf("the unit sets %s: %s", name, why)
			}
		}
	}
	for name, want := range map[string]string{
		"Type": "notify", "KillMode": "process", "OOMPolicy": "continue", "Restart": "on-failure", "StateDirectory": "vitrine", "CacheDirectory": "vitrine",
		"RestartPreventExitStatus": strconv.Itoa(exitUsage), "ExecStart": "/usr/bin/vitrine serve",
	} {
		if got := u[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	stop, err := strconv.Atoi(strings.Join(u["TimeoutStopSec"], ""))
	if err != nil || time.Duration(stop)*time.Second <= stopLimit {
		t.Errorf("systemd kills after %d s (%v) a daemon that may take %s to leave", stop, err, stopLimit)
	}
	if sum := max(drainTime+time.Second, 15*time.Second) + shutdownTime + sessionsTime; sum > stopLimit {
		t.Errorf("the steps of the end may take %s, all of it %s", sum, stopLimit)
	}
	for _, dir := range []struct{ setting, unit string }{{"VITRINE_DATA_DIR", "/var/lib/" + u["StateDirectory"][0]}, {"VITRINE_CACHE_DIR", "/var/cache/" + u["CacheDirectory"][0]}} {
		if d, ok := findSetting(dir.setting); !ok || d.def != dir.unit {
			t.Errorf("%s is %q by default, the unit makes %s", dir.setting, d.def, dir.unit)
		}
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		b, err := os.ReadFile("../../packaging/vitrine.service")
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(t.TempDir(), "vitrine.service")
		there := strings.Replace(string(b), "/usr/bin/vitrine serve", "/bin/true serve", 1) // verify wants a program that exists
		if err := os.WriteFile(at, []byte(there), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", at).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
}

// TestTheUnitTakesNothingThatMachinesNeed: a daemon with the unit's capabilities
// and limits, in a network of its own, starts a real machine on a real bridge,
// loses it not at a restart, and removes it whole.
func TestTheUnitTakesNothingThatMachinesNeed(t *testing.T) {
	t.Run("container", func(t *testing.T) { machineUnderUnit(t, "container", "crun") })
	t.Run("gvisor", func(t *testing.T) { machineUnderUnit(t, "gvisor", filepath.Join(cacheDir(), "bin", "runsc")) })
}

func machineUnderUnit(t *testing.T, runtime, program string) {
	t.Helper()
	for _, program := range []string{"setpriv", "prlimit", "unshare", program, "nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	u := unit(t)
	caps := strings.Join(u["CapabilityBoundingSet"], " ")
	if !strings.HasPrefix(caps, "~CAP_") {
		t.Fatalf("CapabilityBoundingSet is %q", caps)
	}
	drop := strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(caps, "~"), "CAP_", "-")), " ", ",")
	netns := newNetwork(t) // goes after the box, whose daemons live in it
	b := newBox(t, runtime)
	// The inherited limit stays where the host does not let it be raised.
	files := "$(h=$(ulimit -Hn); if [ \"$h\" = unlimited ] || [ \"$h\" -ge " + u["LimitNOFILE"][0] + " ]; then echo " + u["LimitNOFILE"][0] + "; else echo $h; fi)"
	b.prefix = []string{"nsenter", "--net=" + netns, "sh", "-c",
		`exec prlimit --nofile=` + files + ` setpriv --bounding-set=` + drop + ` "$0" "$@"`}
	d := b.start()
	s := b.session()
	if got := b.do(s.ID, "sh", "-c", "id -u; grep -c eth0 /proc/net/dev"); got != "1000\n1" {
		t.Errorf("the machine says %q", got)
	}
	if bound := bounding(t, d); strings.Contains(bound, "cap_sys_boot") || !strings.Contains(bound, "cap_net_admin") {
		t.Errorf("the daemon's capabilities are %q", bound)
	}
	d.signal(os.Interrupt)
	d.end(stopLimit)
	b.start()
	b.do(s.ID, "true")
	b.run("session", "rm", s.ID)
	if left, err := filepath.Glob("/run/netns/vt-vtsrv0-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// newNetwork makes a network namespace for daemons, bound to a file.
func newNetwork(t *testing.T) (at string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network can only be made by root")
	}
	at = filepath.Join(t.TempDir(), "net")
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unshare", "--net="+at, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("making a network: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return at
}

// bounding is the bounding set of a daemon, by name.
func bounding(t *testing.T, d *daemon) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^CapBnd:\s+([0-9a-f]+)$`).FindSubmatch(b)
	set, err := strconv.ParseUint(string(m[1]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for bit, name := range map[uint]string{12: "cap_net_admin", 21: "cap_sys_admin", 22: "cap_sys_boot", 25: "cap_sys_time"} { // linux/capability.h
		if set&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// TestTheManualNamesEveryVerb: and no other.
func TestTheManualNamesEveryVerb(t *testing.T) {
	b, err := os.ReadFile("../../packaging/vitrine.1")
	if err != nil {
		t.Fatal(err)
	}
	_, verbs, ok := strings.Cut(string(b), ".SH VERBS\n")
	verbs, _, ok2 := strings.Cut(verbs, ".SH ")
	if !ok || !ok2 {
		t.Fatal("the manual has no list of verbs")
	}
	var told, have []string
	for _, m := range regexp.MustCompile(`(?m)^\.B (.+)$`).FindAllStringSubmatch(verbs, -1) {
		told = append(told, strings.ReplaceAll(m[1], `\-`, "-"))
	}
	root := rootCommand()
	root.InitDefaultCompletionCmd("completion")
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			have = append(have, c.Name())
		}
	}
	slices.Sort(told)
	slices.Sort(have)
	if !slices.Equal(told, have) {
		t.Errorf("the manual names %v; the program has %v", told, have)
	}
}
