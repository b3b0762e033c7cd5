package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Fixed, because everything is inside a namespace of the test's own.
const (
	netns  = "vt-e2e"
	bridge = "vte2e0"
	listen = "127.0.0.1:4000"
)

// control is the program that Playwright calls for what a page cannot do:
// killing and starting the daemon, closing the media ports, and listing what is
// left on the host. %[1]s binary, %[2]s directory, %[3]s netns, %[4]s bridge.
const control = `#!/bin/bash
set -eu
dir=%[2]s
inside() { nsenter --net=/run/netns/%[3]s "$@"; }
case "$1" in
start)
	rm -f "$dir/ready"
	# Not by the function: $! must be the daemon itself, not a shell around it.
	nsenter --net=/run/netns/%[3]s setsid %[1]s serve --listen=` + listen + ` --data-dir="$dir/data" --bridge=%[4]s --subnet=192.168.201.0/24 \
		--runtime="${VITRINE_E2E_RUNTIME:-auto}" --dns=203.0.113.53 --ready-file="$dir/ready" >>"$dir/daemon.log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	for _ in $(seq 600); do
		[ -s "$dir/ready" ] && exit 0
		kill -0 "$(cat "$dir/pid")" 2>/dev/null || { tail -20 "$dir/daemon.log" >&2; exit 1; }
		sleep 0.1
	done
	echo "the daemon did not answer within 60 s" >&2; exit 1 ;;
kill) kill -9 "$(cat "$dir/pid")"; while kill -0 "$(cat "$dir/pid")" 2>/dev/null; do sleep 0.02; done ;;
stop) kill "$(cat "$dir/pid")" 2>/dev/null || true; for _ in $(seq 150); do kill -0 "$(cat "$dir/pid")" 2>/dev/null || exit 0; sleep 0.1; done; exit 1 ;;
block)
	inside nft -f - <<-'N'
	table inet e2e_block {
		chain in { type filter hook input priority -10; udp dport { 4001, 3478 } drop; tcp dport { 4001, 3478 } reject with tcp reset; }
	}
	N
	;;
unblock) inside nft delete table inet e2e_block ;;
left)
	ls "$dir/data/machines"/* 2>/dev/null | grep -o 'mch_[0-9a-z]*' | sort -u || true
	inside ip -o link show 2>/dev/null | grep -o '%[4]s\|vt[0-9a-f]\{6,\}[^@: ]*' || true
	inside nft list tables | grep -v e2e_block || true
	grep -l 'vitrine-%[4]s/mch_' /proc/[0-9]*/cgroup 2>/dev/null || true
	find /sys/fs/cgroup -type d -name 'mch_*' 2>/dev/null | grep -F '%[4]s' || true
	grep -o "$dir[^ ]*mch_[^ ]*" /proc/mounts || true ;;
*) echo "unknown: $1" >&2; exit 2 ;;
esac
`

func TestBrowser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces and machines: run it as root (make test-e2e)")
	}
	binary, err := filepath.Abs("../bin/vitrine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	dir := t.TempDir()
	run(t, "ip", "netns", "add", netns)
	t.Cleanup(func() { run(t, "ip", "netns", "del", netns) })
	run(t, "ip", "-n", netns, "link", "set", "lo", "up")

	ctl := filepath.Join(dir, "ctl")
	if err := os.WriteFile(ctl, fmt.Appendf(nil, control, binary, dir, netns, bridge), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, ctl, "start")
	t.Cleanup(func() {
		run(t, ctl, "stop")
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "daemon.log"))
			t.Logf("the daemon's log:\n%s", tail(string(log), 200))
		}
	})
	var ready struct{ URL, Key, Login string }
	b, err := os.ReadFile(filepath.Join(dir, "ready"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ready); err != nil {
		t.Fatal(err)
	}

	args := []string{"--net=/run/netns/" + netns, "npx", "playwright", "test"}
	filter, emulated := os.Getenv("VITRINE_E2E_GREP"), os.Getenv("VITRINE_E2E_RUNTIME") == "qemu"
	switch {
	case filter != "":
		args = append(args, "--grep", filter)
	case emulated:
		args = append(args, "--grep", "@emulated")
	default:
		args = append(args, "--grep-invert", "@emulated")
	}
	cmd := exec.Command("nsenter", args...)
	cmd.Env = append(os.Environ(), "VITRINE_E2E_URL="+ready.URL, "VITRINE_E2E_LOGIN="+ready.Login,
		"VITRINE_E2E_KEY="+ready.Key, "VITRINE_E2E_CTL="+ctl, "FORCE_COLOR=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Errorf("playwright: %v after %s", err, time.Since(start).Round(time.Second))
	}
	// Playwright has ended every session it made: nothing may be left.
	out, err := exec.Command(ctl, "left").CombinedOutput()
	if err != nil {
		t.Errorf("listing what is left: %v\n%s", err, out)
	}
	if left := strings.TrimSpace(string(out)); left != "" {
		t.Errorf("left on the host:\n%s", left)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
