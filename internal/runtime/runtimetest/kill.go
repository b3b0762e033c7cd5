package runtimetest

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

func reopened(b *bench) {
	id := b.ready()
	b.sh(id, "echo here >/tmp/mark")
	pid := b.inspect(id).PID
	b.reopen()
	list, err := b.rt.List(b.ctx())
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].PID != pid {
		b.t.Fatalf("a new runtime over the directory lists %v, %v", list, err)
	}
	b.start(id)
	if got := b.sh(id, "cat /tmp/mark"); got != "here" {
		b.t.Errorf("it is not the same machine: %q", got)
	}
}

// maker starts a process that makes a machine as a daemon would, and gives its
// lines.
func (b *bench) maker() (id string, cmd *exec.Cmd, lines *bufio.Scanner) {
	b.t.Helper()
	spec := b.spec()
	env, err := json.Marshal(b.env)
	must(b.t, err)
	s, err := json.Marshal(spec)
	must(b.t, err)
	cmd = exec.CommandContext(b.t.Context(), "/proc/self/exe", "make-and-hang", string(env), string(s))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	must(b.t, err)
	out, err := cmd.StdoutPipe()
	must(b.t, err)
	must(b.t, cmd.Start())
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return spec.ID, cmd, bufio.NewScanner(out)
}

func daemonKilled(b *bench) {
	id, cmd, lines := b.maker()
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "started") {
	}
	if lines.Text() != "started <nil>" {
		b.t.Fatalf("the other process says %q", lines.Text())
	}
	b.awaitAgent(id)
	before := b.inspect(id)
	must(b.t, cmd.Process.Kill())
	_ = cmd.Wait()
	b.reopen()
	if after := b.wantState(id, vitrine.MachineRunning); after.PID != before.PID || !after.StartedAt.Equal(before.StartedAt) {
		b.t.Errorf("the machine was %+v and is %+v", before, after)
	}
	if got := b.sh(id, "echo still here"); got != "still here" {
		b.t.Errorf("it printed %q", got)
	}
}

func daemonKilledEarly(b *bench) {
	for _, wait := range []time.Duration{0, 5 * time.Millisecond, 40 * time.Millisecond} {
		id, cmd, lines := b.maker()
		for lines.Scan() && lines.Text() != "created" {
		}
		<-time.After(wait) // there is no event inside a start; three moments of it
		must(b.t, cmd.Process.Kill())
		_ = cmd.Wait()
		b.reopen()
		if err := b.rt.Start(b.ctx(), id); err != nil {
			b.t.Errorf("a machine whose daemon was killed %s into its start does not start: %v", wait, err)
			continue
		}
		b.awaitAgent(id)
		must(b.t, b.rt.Delete(b.ctx(), id))
		if left := snapshot(id); len(left) > 0 {
			b.t.Errorf("after Delete this is left:\n%s", strings.Join(left, "\n"))
		}
	}
}

func (b *bench) supervisor(id string) machinedir.Process {
	b.t.Helper()
	var p machinedir.Process
	must(b.t, machinedir.Dir(b.file(id, "")).Read(machinedir.SupervisorFile, &p))
	return p
}

func supervisorKilled(b *bench) {
	id := b.ready()
	b.t.Logf("the supervisor's memory: %s", rss(b.supervisor(id).PID))
	first := b.supervisor(id)
	must(b.t, first.Signal(syscall.SIGKILL))
	must(b.t, first.Wait(b.ctx()))
	b.await("the machine is running, with a supervisor again", func() bool {
		b.wantState(id, vitrine.MachineRunning)
		return b.supervisor(id).PID != first.PID
	})
	if got := b.sh(id, "echo still here"); got != "still here" {
		b.t.Errorf("it printed %q", got)
	}
	// Its console goes on: the machine's output did not break.
	_, _ = b.exec(id, "echo after the kill >/proc/1/fd/1")
	if !b.f.Shared {
		b.await("the console holds what was printed since", func() bool { return strings.Contains(b.console(id), "after the kill") })
	}
	must(b.t, b.rt.Stop(b.ctx(), id, 5*time.Second))
	if st := b.wantState(id, vitrine.MachineExited); st.ExitCode != -1 {
		b.t.Errorf("the exit code is said to be %d, but nobody saw it; want -1", st.ExitCode)
	}

	// And with nobody to take over: the truth is still told.
	id = b.ready()
	sup := b.supervisor(id)
	must(b.t, sup.Signal(syscall.SIGKILL))
	must(b.t, sup.Wait(b.ctx()))
	must(b.t, b.rt.Delete(b.ctx(), id))
	if left := snapshot(id); len(left) > 0 {
		b.t.Errorf("after Delete this is left:\n%s", strings.Join(left, "\n"))
	}
}

// rss is a process's resident memory and what of it is its own.
func rss(pid int) string {
	f, err := os.Open("/proc/" + itoa(pid) + "/smaps_rollup")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, _ := io.ReadAll(f)
	var out []string
	for _, l := range strings.Split(string(b), "\n") {
		for _, k := range []string{"Rss:", "Pss:", "Private_Dirty:"} {
			if strings.HasPrefix(l, k) {
				out = append(out, strings.Join(strings.Fields(l), " "))
			}
		}
	}
	return strings.Join(out, ", ")
}

func rebooted(b *bench) {
	id := b.ready()
	must(b.t, b.rt.Stop(b.ctx(), id, 0))
	// As a boot leaves it: the files, but nothing that runs, and another boot id.
	d := machinedir.Dir(b.file(id, ""))
	must(b.t, os.Remove(d.Join(machinedir.ExitFile)))
	for _, name := range []string{machinedir.SpecFile, machinedir.MachineFile, machinedir.SupervisorFile} {
		text, err := os.ReadFile(d.Join(name))
		must(b.t, err)
		earlier := strings.ReplaceAll(string(text), machinedir.BootID(), "an-earlier-boot")
		// The pid is somebody's now: ours, who must not be signalled.
		must(b.t, os.WriteFile(d.Join(name), []byte(earlier), 0o600))
	}
	var m machinedir.Process
	must(b.t, d.Read(machinedir.MachineFile, &m))
	self, err := machinedir.ProcessOf(os.Getpid())
	must(b.t, err)
	m.PID, m.Start = self.PID, self.Start
	must(b.t, d.Write(machinedir.MachineFile, m))
	b.reopen()
	b.wantState(id, vitrine.MachineExited)
	must(b.t, b.rt.Stop(b.ctx(), id, time.Second))
	must(b.t, b.rt.Delete(b.ctx(), id))
}

func halfMade(b *bench) {
	// The directory alone: a crash right after mkdir.
	bare := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	must(b.t, os.Mkdir(b.file(bare, ""), 0o700))
	// A Delete that was interrupted before its last step.
	dying := b.ready()
	must(b.t, os.WriteFile(b.file(dying, machinedir.DeletingFile), nil, 0o600))
	must(b.t, b.rt.Stop(b.ctx(), dying, 0))
	must(b.t, os.Remove(b.file(dying, machinedir.SpecFile)))
	b.reopen()
	list, err := b.rt.List(b.ctx())
	if err != nil || len(list) != 2 {
		b.t.Fatalf("List gives %v, %v; want both", list, err)
	}
	if err := b.rt.Start(b.ctx(), dying); !errorsIs(err, vitrine.ErrMachineExited) {
		b.t.Errorf("a half-deleted machine can be started: %v", err)
	}
	for _, st := range list {
		must(b.t, b.rt.Delete(b.ctx(), st.ID))
	}
}
