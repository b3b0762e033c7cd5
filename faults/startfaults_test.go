package faults

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// startFaults are those of machines that do not come up.
func startFaults() []fault {
	return []fault{
		{
			name: "the runtime's program leaves at once", code: vitrine.FailVMMFailed, on: []string{container, gvisor, qemu}, quick: true,
			before: func(w *world) { w.breakable() },
			make: func(w *world) told {
				w.probed()
				w.breakIt()
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "vitrine doctor")
				w.doctorNames(brokenWords)
				w.mendIt()
			},
		},
		{
			name: "the machine is killed while it starts", code: vitrine.FailVMMFailed, on: []string{qemu},
			make: func(w *world) told {
				s := w.begin(tiny(0))
				m := w.theMachine(s.ID)
				w.kill9(w.outermost(m))
				return w.fails(s.ID)
			},
		},
		{
			name: "far too little memory to start", code: vitrine.FailGuestOOM, on: []string{container, gvisor, qemu},
			settings: []string{"VITRINE_ADMIT_BELOW_MINIMUM=true"},
			make: func(w *world) told {
				return w.refused(tiny(map[string]int{container: 2, gvisor: 12, qemu: 72}[w.runtime()]))
			},
			cure: func(w *world, remedy string) { w.says(remedy, "memory_mb") },
		},
		{
			name: "the guest restarts before its agent answers", code: vitrine.FailGuestBootLoop, on: []string{qemu},
			make: func(w *world) told {
				s := w.begin(tiny(0))
				m := w.theMachine(s.ID)
				w.qmp(w.outermost(m), "system_reset")
				return w.fails(s.ID)
			},
		},
		{
			name: "the guest kernel lacks what its root is read with", code: vitrine.FailGuestNoRoot, on: []string{qemu},
			before: func(w *world) {
				w.ownImages("tiny")
				w.rootlessKernel()
			},
			make: func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "vitrine image build")
				w.must("rm", "-rf", w.copied("kernel"))
				w.show("kernel") // as the build of the shipped recipe leaves it
			},
		},
		{
			name: "the agent never answers", code: vitrine.FailAgentTimeout, on: []string{container, gvisor, qemu}, quick: true,
			settings: []string{"VITRINE_AGENT_TIMEOUT_MS=2000"},
			make: func(w *world) told {
				for range 5 { // it may answer before it is stopped
					s := w.begin(tiny(0))
					m := w.theMachine(s.ID)
					w.outermost(m)
					if w.runtime() == qemu { // QEMU is to answer, its guest not
						within(w.t, 20*time.Second, "the guest runs", func() bool { _, err := os.Stat(m.dir + "/booted"); return err == nil })
					}
					for range 20 {
						w.signal(m, "", syscall.SIGSTOP)
						time.Sleep(5 * time.Millisecond) // processes that are being born cannot be waited for
					}
					if now, err := w.api.Session(w.t.Context(), s.ID); err == nil && now.State != vitrine.StateReady {
						return w.fails(s.ID)
					}
					w.endAll()
				}
				w.t.Fatal("five machines were ready before they could be stopped")
				return told{}
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "vitrine session logs")
				w.set("VITRINE_AGENT_TIMEOUT_MS=")
				w.restart()
			},
		},
		{
			name: "the session was started by a daemon of another protocol", code: vitrine.FailAgentVersionMismatch, on: []string{container}, bare: true,
			make: func(w *world) told {
				w.stop()
				w.program = oldDaemon(w)
				w.start()
				s := w.create(tiny(0))
				w.stop()
				w.program = program
				w.start()
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "start a new one") },
		},
		{
			name: "the host was restarted", code: vitrine.FailNodeLost, on: []string{container, gvisor}, quick: true, bare: true,
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.stop()
				// The one fault that is told rather than made: the store is given
				// another boot's id, as it would hold after a restart.
				w.store("UPDATE sessions SET boot_id = '00000000-0000-0000-0000-000000000000' WHERE id = '" + s.ID + "'")
				w.start()
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "new session") },
		},
	}
}

// brokenWords is what a broken program says.
const brokenWords = "cannot be run on this kernel"

// breakable puts a script in the place of the runtime's program, which runs it
// until it is told to break.
func (w *world) breakable() {
	w.t.Helper()
	name := map[string]string{container: "crun", gvisor: "runsc", qemu: "qemu-system-x86_64"}[w.runtime()]
	real, err := exec.LookPath(name)
	if at := filepath.Join(imageStore(), "../bin", name); err != nil || w.runtime() == gvisor {
		if real, err = filepath.EvalSymlinks(at); err != nil {
			w.t.Skip("needs " + name)
		}
	}
	dir := filepath.Join(w.dir, "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %s ]; then case \"$*\" in *version*) ;; *) echo %s: %s >&2; exit 1;; esac; fi\nexec %s \"$@\"\n", w.broken(), name, brokenWords, real)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.set("PATH="+dir+":"+os.Getenv("PATH"), map[string]string{
		container: "X=", gvisor: "VITRINE_RUNSC=" + filepath.Join(dir, name), qemu: "VITRINE_QEMU=" + filepath.Join(dir, name),
	}[w.runtime()])
}

func (w *world) broken() string { return filepath.Join(w.dir, "broken") }

func (w *world) breakIt() {
	w.t.Helper()
	if err := os.WriteFile(w.broken(), nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mendIt() {
	w.t.Helper()
	if err := os.Remove(w.broken()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) kill9(pid int) {
	w.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatalf("killing process %d: %v", pid, err)
	}
}

// qmp gives QEMU one command by its monitor's socket, which lies in its root.
func (w *world) qmp(pid int, command string) {
	w.t.Helper()
	var conn net.Conn
	within(w.t, 20*time.Second, "QEMU's monitor answers", func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", fmt.Sprintf("/proc/%d/root/qmp.sock", pid))
		return err == nil
	})
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewScanner(conn)
	for _, c := range []string{"", "qmp_capabilities", "query-status", command} {
		if c != "" {
			fmt.Fprintf(conn, "{\"execute\": %q}\n", c)
		}
		if !in.Scan() {
			w.t.Fatalf("QEMU's monitor after %q: %v", c, in.Err())
		}
		if strings.Contains(in.Text(), `"error"`) {
			w.t.Fatalf("QEMU refuses %s: %s", c, in.Text())
		}
	}
}

// rootlessKernel builds a guest kernel from a recipe that forgot squashfs.
func (w *world) rootlessKernel() {
	w.t.Helper()
	recipe, err := os.ReadFile("../images/kernel/recipe.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	dir := filepath.Join(w.dir, "recipes/kernel")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	short := strings.Replace(string(recipe), "  - squashfs\n", "", 1)
	if short == string(recipe) {
		w.t.Fatal("the kernel's recipe names no squashfs any more")
	}
	if err := os.WriteFile(filepath.Join(dir, "recipe.yaml"), []byte(short), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.follow("vitrine image build kernel --recipes recipes", "vitrine image build kernel --recipes recipes")
}

// oldDaemon builds this daemon and its agent with another version of the
// protocol, once.
func oldDaemon(w *world) string {
	w.t.Helper()
	const version = `const Version = "1"`
	root, err := filepath.Abs("..")
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(root, "internal/agentproto/agentproto.go")
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), version) {
		w.t.Fatalf("the protocol's version is not where it was: %v", err)
	}
	dir := filepath.Dir(program)
	changed, agent, overlay := filepath.Join(dir, "agentproto.go"), filepath.Join(dir, "vitrine-agent"), filepath.Join(dir, "overlay.json")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	write(changed, strings.Replace(string(text), version, `const Version = "0"`, 1))
	write(overlay, fmt.Sprintf(`{"Replace": {%q: %q, %q: %q}}`, file, changed, filepath.Join(root, "internal/agentbin/dist/vitrine-agent"), agent))
	build := func(out, from string, flags ...string) string {
		out = filepath.Join(dir, out)
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-overlay", overlay, "-o", out}, flags...), from)...)
		cmd.Dir = root
		if text, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("building %s: %v\n%s", from, err, text)
		}
		return out
	}
	build("vitrine-agent", "./cmd/vitrine-agent", "-tags", "netgo,osusergo", "-ldflags", "-s -w -extldflags=-static")
	return build("vitrine-old", "./cmd/vitrine")
}

// store changes the database while no daemon runs.
func (w *world) store(statement string) {
	w.t.Helper()
	db := w.database()
	defer db.Close()
	if _, err := db.ExecContext(w.t.Context(), statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}
