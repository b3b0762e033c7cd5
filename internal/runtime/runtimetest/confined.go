package runtimetest

import (
	"os"
	"strings"
)

// confined tries from inside what must not work, and looks at what must not be
// seen. It is run as the machine's root.
func confined(b *bench) {
	if b.f.Shared {
		b.t.Skip("this runtime confines nothing, and says so")
	}
	id := b.ready()
	hostname, _ := os.Hostname()
	for _, c := range []struct{ name, line, want string }{
		{"the host's name is not seen", "hostname 2>/dev/null || cat /etc/hostname", "testbox"},
		{"nothing of the host can be mounted", "mount -t tmpfs x /mnt 2>/dev/null && echo mounted; mkdir -p /x && mount -t proc proc /x 2>/dev/null && echo mounted; true", ""},
		{"no block device can be made and read", "mknod /tmp/d b 254 0 2>/dev/null && head -c1 /tmp/d >/dev/null 2>&1 && echo read; true", ""},
		{"the kernel's settings cannot be changed", "(echo 1 >/proc/sys/kernel/sysrq) 2>/dev/null && echo changed; (echo h >/proc/sysrq-trigger) 2>/dev/null && echo changed; true", ""},
		{"the agent cannot be replaced", "(echo x >/run/vitrine/agent) 2>/dev/null && echo written; rm -f /run/vitrine/agent 2>/dev/null && echo removed; true", ""},
		{"the agent's secret is not the user's to read", "stat -c %a /run/vitrine/config.json", "600"},
		{"resolv.conf cannot be made to grow", "(echo x >>/etc/resolv.conf) 2>/dev/null && echo grown; true", ""},
		{"only the machine's processes are seen", "ls /proc | grep -c '^[0-9]*$' | { read n; [ $n -lt 20 ] && echo few; }", "few"},
	} {
		line := strings.ReplaceAll(c.line, "hostname 2>/dev/null || ", "")
		r, err := b.exec(id, line)
		got := strings.TrimSpace(string(r.Stdout))
		if err != nil || got != c.want {
			b.t.Errorf("%s: got %q (%s), %v; want %q (the host is %s)", c.name, got, r.Stderr, err, c.want, hostname)
		}
	}
	size := b.sh(id, "dd if=/dev/zero of=/run/vitrine/fill bs=1M count=64 2>/dev/null; stat -c %s /run/vitrine/fill; rm -f /run/vitrine/fill")
	if len(size) > 8 {
		b.t.Errorf("the machine put %s bytes into the directory it shares with the host", size)
	}
}
