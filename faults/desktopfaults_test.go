package faults

import (
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// desktopFaults are those of display and browser.
func desktopFaults() []fault {
	desktop := client.CreateSession{Kind: vitrine.KindDesktop}
	works := func(w *world) { w.works(desktop) }
	return []fault{
		{
			name: "the X server does not start again", code: vitrine.FailDisplayFailed, on: []string{container, gvisor}, quick: true, works: works,
			make: func(w *world) told {
				s := w.create(desktop)
				w.in(s.ID, "sh", "-c", "rm /usr/bin/Xvnc /usr/bin/Xtigervnc; pkill -9 Xtigervnc; pkill -9 Xvnc")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "look at the evidence") },
		},
		{
			name: "the X server is killed again and again", code: vitrine.FailDisplayFailed, on: []string{container}, works: works,
			make: func(w *world) told {
				s := w.create(desktop)
				w.again(s.ID, "Xvnc")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "look at the evidence") },
		},
		{
			name: "Chromium is killed again and again", code: vitrine.FailBrowserCrashed, on: []string{container}, quick: true, works: works,
			make: func(w *world) told {
				s := w.create(desktop)
				w.again(s.ID, "/chromium")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "memory") },
		},
		{
			name: "Chromium does not start again", code: vitrine.FailBrowserCrashed, on: []string{gvisor}, works: works,
			make: func(w *world) told {
				s := w.create(desktop)
				w.in(s.ID, "sh", "-c", "rm -rf /usr/lib/chromium /usr/bin/chromium; pkill -9 chromium")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "memory") },
		},
		{
			name: "Chromium hangs before it paints", code: vitrine.FailBrowserUnresponsive, on: []string{container}, works: works,
			settings: []string{"VITRINE_BROWSER_TIMEOUT_MS=4000"},
			make: func(w *world) told {
				s := w.begin(desktop)
				w.hold(s.ID, "/chromium")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "try again")
				w.restart("VITRINE_BROWSER_TIMEOUT_MS=")
			},
		},
		{
			name: "the X server hangs before it is up", code: vitrine.FailStartTimeout, on: []string{container}, works: works,
			settings: []string{"VITRINE_DISPLAY_TIMEOUT_MS=2000"},
			make: func(w *world) told {
				s := w.begin(desktop)
				w.hold(s.ID, "Xvnc")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "try again")
				w.restart("VITRINE_DISPLAY_TIMEOUT_MS=")
			},
		},
		{
			name: "a desktop with the memory of a terminal", code: vitrine.FailGuestOOM, on: []string{container, gvisor}, works: works,
			settings: []string{"VITRINE_ADMIT_BELOW_MINIMUM=true"},
			make: func(w *world) told {
				in, mb := desktop, map[string]int{container: 96, gvisor: 160}[w.runtime()]
				in.MemoryMB = &mb
				return w.refused(in)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "memory_mb") },
		},
	}
}

// again kills a program of the machine each time that it is there, until the
// session has failed.
func (w *world) again(session, program string) {
	w.t.Helper()
	m := w.theMachine(session)
	kills := 0
	within(w.t, time.Minute, "the agent gives up on "+program, func() bool {
		kills += w.signal(m, program, syscall.SIGKILL)
		s, err := w.api.Session(w.t.Context(), session)
		return err == nil && s.State == vitrine.StateFailed
	})
	if kills == 0 {
		w.t.Errorf("there was no %s to kill", program)
	}
}

// hold stops a program of a starting machine as soon as it is there, and keeps it
// stopped until the session has failed.
func (w *world) hold(session, program string) {
	w.t.Helper()
	m := w.theMachine(session)
	held := map[int]bool{}
	within(w.t, time.Minute, program+" is there, and the session fails", func() bool {
		for pid, cmdline := range w.processes(m) {
			if strings.Contains(cmdline, program) && syscall.Kill(pid, syscall.SIGSTOP) == nil {
				held[pid] = true
			}
		}
		s, err := w.api.Session(w.t.Context(), session)
		if err == nil && s.State == vitrine.StateReady {
			w.t.Fatalf("the session is ready: %s was not stopped in time", program)
		}
		return err == nil && s.State == vitrine.StateFailed
	})
	if len(held) == 0 {
		w.t.Errorf("there was no %s to stop", program)
	}
}
