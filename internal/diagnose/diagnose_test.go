package diagnose

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
)

func health(step vitrine.AgentStep, change ...func(*vitrine.AgentHealth)) *vitrine.AgentHealth {
	h := &vitrine.AgentHealth{Version: "1", Step: step, Network: vitrine.AgentNetwork{Address: "192.168.100.2", Route: true}}
	h.Memory = vitrine.AgentMemory{TotalBytes: 2 << 30, AvailableBytes: 1 << 30, SomeAvg10: -1, FullAvg10: -1}
	for _, c := range change {
		c(h)
	}
	return h
}

func gaveUp(program, message string, log ...string) func(*vitrine.AgentHealth) {
	return func(h *vitrine.AgentHealth) {
		h.Problem = &vitrine.AgentProblem{Program: program, Message: message, Log: log}
	}
}

func exited(code, oom int) *vitrine.MachineStatus {
	return &vitrine.MachineStatus{State: vitrine.MachineExited, ExitCode: code, OOMKills: oom}
}

func TestDiagnose(t *testing.T) {
	chromium := func(h *vitrine.AgentHealth) {
		h.Programs = []vitrine.AgentProgram{{Name: "xvnc", Running: true}, {Name: "chromium", Running: true}}
	}
	thrashing := func(h *vitrine.AgentHealth) {
		h.Memory = vitrine.AgentMemory{TotalBytes: 256 << 20, AvailableBytes: 20 << 20, SomeAvg10: 90, FullAvg10: 70}
	}
	for _, c := range []struct {
		name  string
		signs Signs
		want  vitrine.FailureCode // "" for no failure
		says  string
		shows string
	}{
		{"all is well while it starts", Signs{Phase: vitrine.PhaseAgent}, "", "", ""},
		{"all is well when ready", Signs{Health: health(vitrine.AgentStepReady), Silent: 10 * time.Second}, "", "", ""},
		{"one tab was killed for memory and the desktop lives", Signs{Health: health(vitrine.AgentStepReady), Status: &vitrine.MachineStatus{OOMKills: 1}}, "", "", ""},
		{"the 256 MiB machine that deadlocks while booting", Signs{Phase: vitrine.PhaseAgent, MemoryMB: 256,
			Console: []byte("[  1.0] Run /init\n[    2.5] Out of memory and no killable processes...\n[    2.6] Kernel panic - not syncing: System is deadlocked on memory\n[  2.7] Rebooting in 1 seconds..\n")},
			vitrine.FailGuestOOM, "256 MiB", "no killable processes"},
		{"a kernel told to panic when memory runs out", Signs{Phase: vitrine.PhaseAgent, Console: []byte("Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled")},
			vitrine.FailGuestOOM, "memory", "panic_on_oom"},
		{"it thrashes and never paints", Signs{Phase: vitrine.PhaseBrowser, MemoryMB: 256, Deadline: time.Minute, Health: health(vitrine.AgentStepBrowser, chromium, thrashing)},
			vitrine.FailGuestOOM, "256 MiB", "full 70.0"},
		{"it thrashes long before the deadline", Signs{Phase: vitrine.PhaseBrowser, Thrash: 16 * time.Second, Health: health(vitrine.AgentStepBrowser, thrashing)},
			vitrine.FailGuestOOM, "16s", ""},
		{"a short stall is no failure", Signs{Phase: vitrine.PhaseBrowser, Thrash: 5 * time.Second, Health: health(vitrine.AgentStepBrowser, thrashing)}, "", "", ""},
		{"the browser was the victim of the limit", Signs{MemoryMB: 512, Status: &vitrine.MachineStatus{OOMKills: 3}, Health: health(vitrine.AgentStepBrowser, gaveUp("chromium", "signal: killed"))},
			vitrine.FailGuestOOM, "3 of its processes", ""},
		{"the whole machine was the victim", Signs{Exited: true, Status: exited(137, 1), Health: health(vitrine.AgentStepReady)}, vitrine.FailGuestOOM, "1 of its processes", ""},
		{"the kernel panics", Signs{Phase: vitrine.PhaseAgent, Console: []byte("BUG: unable to handle page fault\nKernel panic - not syncing: Fatal exception\n")},
			vitrine.FailGuestKernelPanic, "", "Fatal exception"},
		{"there is no root filesystem", Signs{Phase: vitrine.PhaseAgent, Console: []byte("VFS: Unable to mount root fs on unknown-block(0,0)\nKernel panic - not syncing: VFS")},
			vitrine.FailGuestNoRoot, "", "Unable to mount"},
		{"there is no init", Signs{Phase: vitrine.PhaseAgent, Console: []byte("Kernel panic - not syncing: No working init found.")}, vitrine.FailGuestNoRoot, "", "init found"},
		{"it boots again and again", Signs{Phase: vitrine.PhaseAgent, Console: []byte(strings.Repeat("Linux version 6.12\nhello\n", 3))}, vitrine.FailGuestBootLoop, "3 times", ""},
		{"a VM restarts before its agent answers", Signs{Phase: vitrine.PhaseAgent, VM: true, Exited: true, Status: exited(0, 0), Console: []byte("vitrine-init: finding the drives: no base\nreboot: Restarting system\n")},
			vitrine.FailGuestBootLoop, "second time", "no base"},
		{"a VM panics, and restarts for it", Signs{Phase: vitrine.PhaseAgent, VM: true, Exited: true, Status: exited(0, 0), Console: []byte("Kernel panic - not syncing: Fatal exception\nRebooting in 1 seconds..\n")},
			vitrine.FailGuestKernelPanic, "", "Fatal exception"},
		{"a VM's monitor is killed", Signs{Phase: vitrine.PhaseAgent, VM: true, Exited: true, Status: exited(137, 0)}, vitrine.FailVMMFailed, "137", ""},
		{"a container leaves with status 0 before its agent answers", Signs{Phase: vitrine.PhaseAgent, Exited: true, Status: exited(0, 0)}, vitrine.FailVMMFailed, "status 0", ""},
		{"the machine leaves at once", Signs{Phase: vitrine.PhaseAgent, Exited: true, Status: exited(1, 0), Console: []byte("exec /agent: no such file\n")},
			vitrine.FailVMMFailed, "exit status 1", "no such file"},
		{"somebody removed the machine", Signs{Gone: true, Health: health(vitrine.AgentStepReady)}, vitrine.FailVMMFailed, "gone", ""},
		{"the agent dies on a ready desktop", Signs{Exited: true, Status: exited(2, 0), Health: health(vitrine.AgentStepReady), Console: []byte("panic: nil map\n")},
			vitrine.FailAgentCrashed, "exit status 2", "nil map"},
		{"a ready machine left and the daemon had just come back", Signs{Exited: true, Status: exited(0, 0)}, vitrine.FailAgentCrashed, "exit status 0", ""},
		{"the agent never answers", Signs{Phase: vitrine.PhaseAgent, Deadline: 30 * time.Second, Console: []byte("starting\n")}, vitrine.FailAgentTimeout, "30s", "starting"},
		{"the agent hangs on a ready desktop", Signs{Silent: 61 * time.Second, Health: health(vitrine.AgentStepReady)}, vitrine.FailAgentTimeout, "1m1s", ""},
		{"the agent is of another version", Signs{Phase: vitrine.PhaseAgent, Protocol: "2", Health: health(vitrine.AgentStepAgent)}, vitrine.FailAgentVersionMismatch, `"1"`, ""},
		{"the machine has no address", Signs{Phase: vitrine.PhaseBrowser, Attached: true, Offline: 6 * time.Second,
			Health: health(vitrine.AgentStepReady, func(h *vitrine.AgentHealth) { h.Network = vitrine.AgentNetwork{} })}, vitrine.FailGuestNetworkDown, "no address", ""},
		{"the X server does not come up", Signs{Phase: vitrine.PhaseDisplay, Health: health(vitrine.AgentStepAgent, gaveUp("xvnc", "exit status 1", "Fatal server error:", "no fonts"))},
			vitrine.FailDisplayFailed, "xvnc: exit status 1", "no fonts"},
		{"Chromium does not come up", Signs{Phase: vitrine.PhaseBrowser, Health: health(vitrine.AgentStepDisplay, gaveUp("chromium", "exit status 127", "libnss3.so: cannot open"))},
			vitrine.FailBrowserCrashed, "127", "libnss3"},
		{"Chromium leaves again and again on a ready desktop", Signs{Health: health(vitrine.AgentStepReady, gaveUp("chromium", "signal: trap"))}, vitrine.FailBrowserCrashed, "trap", ""},
		{"Chromium runs and paints nothing", Signs{Phase: vitrine.PhaseBrowser, Deadline: time.Minute, Health: health(vitrine.AgentStepBrowser, chromium)}, vitrine.FailBrowserUnresponsive, "1m0s", ""},
		{"the display takes for ever", Signs{Phase: vitrine.PhaseDisplay, Deadline: time.Minute, Silent: 40 * time.Millisecond, Health: health(vitrine.AgentStepAgent)},
			vitrine.FailStartTimeout, "40ms ago", ""},
		{"the runtime takes for ever", Signs{Phase: vitrine.PhaseMachine, Deadline: time.Minute}, vitrine.FailStartTimeout, "machine was not done within 1m0s", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Diagnose(c.signs)
			if f == nil {
				if c.want != "" {
					t.Fatalf("nothing, want %s", c.want)
				}
				return
			}
			if f.Code != c.want || !strings.Contains(f.Message, c.says) || !strings.Contains(strings.Join(f.Evidence, "\n"), c.shows) {
				t.Errorf("got %s %q %q\nwant %s %q %q", f.Code, f.Message, f.Evidence, c.want, c.says, c.shows)
			}
			if f.Remedy == "" {
				t.Error("no remedy")
			}
			if c.signs.Phase != "" && f.Phase != c.signs.Phase {
				t.Errorf("phase %s, want %s", f.Phase, c.signs.Phase)
			}
		})
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct {
		code  vitrine.FailureCode
		ready bool
		want  vitrine.EndedReason
	}{
		{vitrine.FailGuestOOM, false, vitrine.EndedFailedToStart}, {vitrine.FailGuestOOM, true, vitrine.EndedGuestOOM},
		{vitrine.FailBrowserCrashed, true, vitrine.EndedBrowserCrashed}, {vitrine.FailAgentCrashed, true, vitrine.EndedMachineExited},
		{vitrine.FailNodeLost, false, vitrine.EndedNodeLost}, {vitrine.FailNodeLost, true, vitrine.EndedNodeLost},
	} {
		if got := Reason(vitrine.NewFailure(c.code, nil, "x"), c.ready); got != c.want {
			t.Errorf("%s, ready %v: %s, want %s", c.code, c.ready, got, c.want)
		}
	}
}

// Whatever a machine prints, the evidence is bounded and safe to show.
func FuzzDiagnose(f *testing.F) {
	for _, seed := range []string{
		"Kernel panic - not syncing: VFS: Unable to mount root fs\n", "\x1b[2J\x1b]0;title\x07Linux version 6\n", strings.Repeat("x", 5000),
		"\xff\xfe\x00\r\n\n", "Out of memory: Killed process 7 (chromium)\u202egnp.exe", "\x1b", "\x1b[",
	} {
		f.Add([]byte(seed), seed, "chromium", true)
	}
	f.Fuzz(func(t *testing.T, console []byte, message, program string, gone bool) {
		s := Signs{Phase: vitrine.PhaseBrowser, Console: console, Exited: gone, Deadline: time.Second, Health: &vitrine.AgentHealth{
			Version: program, Step: vitrine.AgentStep(message), Problem: &vitrine.AgentProblem{Program: program, Message: message, Log: strings.Split(message, "\n")},
		}}
		got := Diagnose(s)
		if got == nil {
			t.Fatal("a deadline passed and nothing was named")
		}
		if len(got.Evidence) > vitrine.MaxEvidence {
			t.Fatalf("%d lines of evidence", len(got.Evidence))
		}
		for _, l := range append(got.Evidence, got.Message) {
			if len(l) > 2*maxLine || !utf8.ValidString(l) || strings.ContainsFunc(l, unicode.IsControl) {
				t.Fatalf("a line that may not be shown: %q", l)
			}
		}
	})
}
