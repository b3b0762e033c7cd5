package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func TestBadWishes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		weak := &fakeRuntime{host: w.host, name: "container", isolation: vitrine.IsolationContainer, probe: vitrine.Probe{OK: true}}
		dead := &fakeRuntime{host: w.host, name: "firecracker", isolation: vitrine.IsolationMicroVM, probe: vitrine.Probe{Reason: "no /dev/kvm", Remedy: "modprobe kvm"}}
		d := w.daemon(func(c *Config) {
			c.Runtimes = []vitrine.Runtime{dead, w.gvi, weak}
			c.Capacity = vitrine.Capacity{MemoryMB: 8192}
		})
		many := map[string]string{}
		for i := range 33 {
			many[fmt.Sprint(i)] = ""
		}
		type N = vitrine.NewSession
		for _, c := range []struct {
			name  string
			wish  N
			code  string
			says  string
			class vitrine.Class
		}{
			{"an id of another form", N{ID: "my-session"}, "invalid_id", "my-session", vitrine.ClassInvalid},
			{"an unknown kind", N{Kind: "server"}, "invalid_kind", "desktop", vitrine.ClassInvalid},
			{"a user id with a line break", N{UserID: "a\nb"}, "invalid_user_id", "128", vitrine.ClassInvalid},
			{"an unknown image", N{Image: "windows"}, "unknown_image", "desktop", vitrine.ClassInvalid},
			{"a terminal's image for a desktop", N{Image: "terminal"}, "wrong_image_kind", "desktop", vitrine.ClassInvalid},
			{"an unknown runtime", N{Runtime: "docker"}, "unknown_runtime", "gvisor", vitrine.ClassInvalid},
			{"a runtime that does not work here", N{Runtime: "firecracker"}, "runtime_missing", "no /dev/kvm", vitrine.ClassUnavailable},
			{"an unknown isolation", N{MinIsolation: "strong"}, "invalid_min_isolation", "microvm", vitrine.ClassInvalid},
			{"more isolation than there is", N{MinIsolation: vitrine.IsolationMicroVM}, "isolation_not_available", "gvisor", vitrine.ClassInvalid},
			{"a runtime weaker than the least isolation", N{Runtime: "container", MinIsolation: vitrine.IsolationGVisor}, "isolation_not_available", "container", vitrine.ClassInvalid},
			{"memory under the image's need", N{MemoryMB: 256}, "memory_below_minimum", "512", vitrine.ClassInvalid},
			{"negative memory", N{MemoryMB: -1}, "invalid_memory", "-1", vitrine.ClassInvalid},
			{"absurd memory", N{MemoryMB: 1 << 30}, "invalid_memory", "1048576", vitrine.ClassInvalid},
			{"more memory than the host has", N{MemoryMB: 9000}, "host_no_capacity", "8192", vitrine.ClassNoCapacity},
			{"absurd vCPU", N{VCPU: 1000}, "invalid_vcpu", "64", vitrine.ClassInvalid},
			{"half a viewport", N{Viewport: vitrine.Viewport{Width: 800}}, "invalid_viewport", "800x0", vitrine.ClassInvalid},
			{"a huge viewport", N{Viewport: vitrine.Viewport{Width: 10000, Height: 600}}, "invalid_viewport", "3840", vitrine.ClassInvalid},
			{"a file URL", N{StartURL: "file:///etc/passwd"}, "invalid_start_url", "https", vitrine.ClassInvalid},
			{"a javascript URL", N{StartURL: "javascript:alert(1)"}, "invalid_start_url", "https", vitrine.ClassInvalid},
			{"a flag as a URL", N{StartURL: "--remote-debugging-port=1"}, "invalid_start_url", "https", vitrine.ClassInvalid},
			{"a URL with a blank", N{StartURL: "http://a/ --flag"}, "invalid_start_url", "https", vitrine.ClassInvalid},
			{"a URL without a host", N{StartURL: "http:///x"}, "invalid_start_url", "https", vitrine.ClassInvalid},
			{"a long URL", N{StartURL: "http://a/" + strings.Repeat("x", 9000)}, "invalid_start_url", "8192", vitrine.ClassInvalid},
			{"a URL for a terminal", N{Kind: vitrine.KindTerminal, StartURL: "http://a/"}, "invalid_start_url", "terminal", vitrine.ClassInvalid},
			{"a timeout of no time", N{Timeout: time.Millisecond}, "invalid_timeout", "2592000", vitrine.ClassInvalid},
			{"a timeout of a year", N{Timeout: 365 * 24 * time.Hour}, "invalid_timeout", "2592000", vitrine.ClassInvalid},
			{"a negative idle timeout", N{IdleTimeout: -time.Second}, "invalid_idle_timeout", "idle_timeout_seconds", vitrine.ClassInvalid},
			{"much metadata", N{Metadata: many}, "invalid_metadata", "33", vitrine.ClassInvalid},
			{"a long value", N{Metadata: map[string]string{"k": strings.Repeat("x", 2000)}}, "invalid_metadata", "metadata.k", vitrine.ClassInvalid},
			{"an empty key", N{Metadata: map[string]string{"": "x"}}, "invalid_metadata", "64", vitrine.ClassInvalid},
			{"a long idempotency key", N{IdempotencyKey: strings.Repeat("k", 300)}, "invalid_idempotency_key", "255", vitrine.ClassInvalid},
		} {
			_, created, err := d.Create(context.Background(), c.wish)
			if created || codeOf(err) != c.code || vitrine.ClassOf(err) != c.class {
				t.Errorf("%s: created %v, %v; want %s", c.name, created, err, c.code)
				continue
			}
			if !strings.Contains(err.Error(), c.says) || len(err.Error()) > 600 {
				t.Errorf("%s: %q does not say %q, or says too much", c.name, err, c.says)
			}
		}
		if list, _, err := d.List(context.Background(), vitrine.SessionFilter{}); err != nil || len(list) != 0 {
			t.Errorf("refused wishes made %d sessions, %v", len(list), err)
		}
		// And what is allowed, at its bounds.
		for _, u := range []string{"", "about:blank", "https://example.com/a?b=c#d", "data:text/html,<p>hello", "HTTP://EXAMPLE.com"} {
			s := d.create("", func(n *N) {
				n.StartURL, n.Viewport, n.MemoryMB, n.Runtime, n.MinIsolation = u, vitrine.Viewport{Width: 320, Height: 240}, 512, "container", vitrine.IsolationContainer
			})
			if s.Runtime != "container" || s.StartURL != u {
				t.Errorf("%q: %+v", u, s)
			}
		}
		if s := d.create("", func(n *N) { n.MemoryMB = 512 }); s.Runtime != "gvisor" {
			t.Errorf("auto took %s", s.Runtime)
		}
		st := d.Status(context.Background())
		if st.Runtime != "gvisor" || len(st.Runtimes) != 3 || st.Runtimes[0].Probe.Reason == "" || st.Reserved.Sessions != 6 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestTheImageIsNotBuilt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(func(c *Config) {
			c.Defaults = map[vitrine.Kind]Defaults{vitrine.KindDesktop: {Image: "unbuilt", VCPU: 1, MemoryMB: 512}}
		})
		_, _, err := d.Create(context.Background(), vitrine.NewSession{})
		if codeOf(err) != string(vitrine.FailImageMissing) || vitrine.ClassOf(err) != vitrine.ClassUnavailable {
			t.Errorf("error %v", err)
		}
		if _, _, err = d.Create(context.Background(), vitrine.NewSession{Kind: vitrine.KindTerminal}); codeOf(err) != "invalid_kind" {
			t.Errorf("error %v", err)
		}
	})
}

func TestTheDiskIsFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(func(c *Config) {
			c.Admit = func(context.Context) error {
				return fmt.Errorf("asking the disk: %w", vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "1 MiB free, 512 needed"))
			}
		})
		_, _, err := d.Create(context.Background(), vitrine.NewSession{})
		if codeOf(err) != string(vitrine.FailHostDiskFull) || vitrine.ClassOf(err) != vitrine.ClassNoCapacity {
			t.Errorf("error %v", err)
		}
	})
}

func TestARuntimeIsInstalledLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.gvi.probe = vitrine.Probe{Reason: "no runsc", Remedy: "make runsc"}
		d := w.daemon()
		_, _, err := d.Create(context.Background(), vitrine.NewSession{})
		if codeOf(err) != string(vitrine.FailRuntimeMissing) || !strings.Contains(err.Error(), "no runsc") {
			t.Errorf("error %v", err)
		}
		time.Sleep(probeAgain + time.Second)
		w.gvi.probe = vitrine.Probe{OK: true}
		d.create("")
	})
}

// A runtime that isolates nothing is taken by name only.
func TestAutoNeverTakesNoIsolation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		none := &fakeRuntime{host: w.host, name: "process", isolation: vitrine.IsolationNone, probe: vitrine.Probe{OK: true}}
		only := func(c *Config) { c.Runtimes = []vitrine.Runtime{none} }
		d := w.daemon(only)
		if _, _, err := d.Create(context.Background(), vitrine.NewSession{}); codeOf(err) != string(vitrine.FailRuntimeMissing) {
			t.Errorf("error %v", err)
		}
		s := d.settled(d.create("", func(n *vitrine.NewSession) { n.Runtime = "process" }).ID)
		if names, _ := d.phases(s.ID); s.State != vitrine.StateReady || len(names) != len(desktopPhases)-1 {
			t.Errorf("%s, phases %v", s.State, names)
		}
		if len(w.host.attached) != 0 {
			t.Error("a process was attached to the bridge")
		}
		if _, err := New(func() Config { c := w.config(); c.Runtime = "nonesuch"; return c }()); codeOf(err) != "unknown_runtime" {
			t.Errorf("VITRINE_RUNTIME=nonesuch: %v", err)
		}
	})
}

func FuzzStartURL(f *testing.F) {
	for _, s := range []string{"http://a", "about:blank", "data:,x", "javascript:x", "http://[::1", "\x00", "HTTPS://x/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkStartURL(vitrine.KindDesktop, s) != nil || s == "" {
			return
		}
		low := strings.ToLower(s)
		for _, scheme := range []string{"http://", "https://", "about:", "data:"} {
			if strings.HasPrefix(low, scheme) {
				return
			}
		}
		t.Errorf("%q was let through", s)
	})
}
