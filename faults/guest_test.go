package faults

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is a session's, as the host sees it.
type machine struct {
	id  string
	dir string
}

// machineOf finds a session's machine by its directory; false when it has none.
func (w *world) machineOf(session string) (machine, bool) {
	specs, _ := filepath.Glob(filepath.Join(w.data(), "machines/*/mch_*/spec.json"))
	for _, path := range specs {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(`"`+session+`"`)) {
			dir := filepath.Dir(path)
			return machine{filepath.Base(dir), dir}, true
		}
	}
	return machine{}, false
}

// theMachine is that of a session which must have one.
func (w *world) theMachine(session string) (m machine) {
	w.t.Helper()
	within(w.t, 10*time.Second, "session "+session+" has a machine", func() (ok bool) {
		m, ok = w.machineOf(session)
		return ok
	})
	return m
}

// processOf reads a state file of a machine's directory; 0 when it names none.
func (m machine) processOf(file string) int {
	var p struct {
		PID int `json:"pid"`
	}
	b, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil || json.Unmarshal(b, &p) != nil {
		return 0
	}
	return p.PID
}

// outermost is the machine's first process on the host, once it runs.
func (w *world) outermost(m machine) (pid int) {
	w.t.Helper()
	within(w.t, 20*time.Second, "machine "+m.id+" runs", func() bool {
		pid = m.processOf("machine.json")
		return pid > 0
	})
	return pid
}

// processes are those of the machine's cgroup, by command line.
func (w *world) processes(m machine) map[int]string {
	found := map[int]string{}
	all, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte(w.instance()+"/"+m.id)) {
			continue
		}
		dir := filepath.Dir(path)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		found[pid] = strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))
	}
	return found
}

// signal sends a signal to each of the machine's processes whose command line
// contains a word ("" for all), and says how many there were.
func (w *world) signal(m machine, word string, sig syscall.Signal) (n int) {
	for pid, cmdline := range w.processes(m) {
		if strings.Contains(cmdline, word) && syscall.Kill(pid, sig) == nil {
			n++
		}
	}
	return n
}

// netnsOf is the machine's network namespace by its name.
func (w *world) netnsOf(m machine) string { return "vt-" + w.bridge + "-" + m.id }
