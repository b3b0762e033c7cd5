package runtimetest

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// desktopLimit is how long a desktop may take here, on a host busy with tests;
// desktopVMLimit where its processor is emulated.
const (
	desktopLimit   = 90 * time.Second
	desktopVMLimit = 20 * time.Minute
)

// desktopRoot is the desktop image that VITRINE_TEST_DESKTOP_ROOTFS names, or
// the one that `vitrine image build desktop` left in the cache.
func desktopRoot(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("VITRINE_TEST_DESKTOP_ROOTFS"); p != "" {
		return p
	}
	if root := imageRoot("desktop"); root != "" {
		return root
	}
	t.Skip("there is no desktop image: vitrine image build desktop")
	return ""
}

// Desktop starts the golden image with the default memory and waits until
// Chromium has painted, with its own sandbox on.
func Desktop(t *testing.T, f Factory) {
	root := desktopRoot(t)
	b := newBench(t, f)
	s := b.spec()
	var config agentproto.Config
	must(t, json.Unmarshal(s.AgentConfig, &config))
	config.Kind, config.StartURL = "desktop", "data:text/html,<h1>Hello from a machine</h1>"
	text, err := json.Marshal(config)
	must(t, err)
	s.Kind, s.RootFS, s.AgentConfig = vitrine.KindDesktop, root, text
	s.VCPU, s.MemoryBytes, s.MaxPIDs = 2, 2048<<20, 1024
	must(t, b.rt.Create(b.ctx(), s))
	began := time.Now()
	b.start(s.ID)

	patience := desktopLimit
	if f.VM != nil {
		patience = desktopVMLimit
	}
	var h agentproto.Health
	step := ""
	for h.Step != "ready" {
		if err := b.call(s.ID, http.MethodGet, agentproto.PathHealth, nil, &h); err == nil && h.Step != step {
			step = h.Step
			t.Logf("%-8s %5d ms", step, time.Since(began).Milliseconds())
		}
		if h.Problem != nil || time.Since(began) > patience {
			t.Fatalf("the desktop is at step %q: %+v\nconsole:\n%s", h.Step, h.Problem, b.console(s.ID))
		}
		time.Sleep(20 * time.Millisecond)
	}
	st := b.inspect(s.ID)
	t.Logf("memory: %d MiB of %d in use; in the machine's own words %+v", st.Memory.Current>>20, st.Memory.Limit>>20, h.Memory)
	if h.Memory.TotalBytes > 2048<<20 {
		t.Errorf("the machine believes it has %d MiB", h.Memory.TotalBytes>>20)
	}
	args := b.sh(s.ID, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
	if !strings.Contains(args, "--type=renderer") || strings.Contains(args, "no-sandbox") || strings.Contains(args, "disable-setuid-sandbox --disable-n") {
		t.Errorf("Chromium does not run with its own sandbox on: %s", args)
	}
	// Each renderer has put a seccomp filter of its own on itself: where the
	// machine has one already, two are counted. The shell that looks is no renderer.
	look := `for p in /proc/[0-9]*; do if grep -q chrom $p/comm && tr '\0' ' ' <$p/cmdline | grep -q -e --type=renderer; then grep Seccomp $p/status | tr -d '\t' | tr '\n' ' '; echo; fi; done 2>/dev/null | sort -u`
	first, renderers := b.sh(s.ID, `grep Seccomp /proc/1/status | tr -d '\t' | tr '\n' ' '`), b.sh(s.ID, look)
	t.Logf("seccomp of the first process: %s, of renderers: %s", first, renderers)
	if !strings.HasPrefix(renderers, "Seccomp:2") || renderers == first || strings.Contains(renderers, "\n") {
		t.Errorf("renderers have %q and the first process has %q: no filter of Chromium's own", renderers, first)
	}
	stop := time.Now()
	must(t, b.rt.Stop(b.ctx(), s.ID, 10*time.Second))
	gone := time.Now()
	must(t, b.rt.Delete(b.ctx(), s.ID))
	t.Logf("stop %s, delete %s", gone.Sub(stop).Round(time.Millisecond), time.Since(gone).Round(time.Millisecond))
}
