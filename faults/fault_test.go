package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// The runtimes of the rows. host stands for faults that are there before any
// runtime has its say; such a row runs on containers.
const (
	host      = "host"
	container = "container"
	gvisor    = "gvisor"
	qemu      = "qemu"
)

// fault is one row: what goes wrong, what it must be called, what cures it.
type fault struct {
	name string // in a user's words
	code vitrine.FailureCode
	on   []string
	// quick rows run in `make test` on the first of their runtimes.
	quick    bool
	settings []string // of the daemon, besides the world's
	// before prepares the world; the daemon does not run yet.
	before func(w *world)
	// make makes the fault and gives what the user was told.
	make func(w *world) told
	// cure does what the remedy says; nil where it is to start again.
	cure func(w *world, remedy string)
	// works proves that it is cured; nil starts a terminal and has it answer.
	works func(w *world)
	// bare: the code has no evidence beyond its message, which holds the numbers.
	bare bool
	// noBundle: the flight recorder has no room for one.
	noBundle bool
}

// told is what the user of a session was told of its end, or of why there is none.
type told struct {
	failure *vitrine.Failure
	session string // "" when the call was refused and nothing was made
}

// runtime is where w's machines run.
func (w *world) runtime() string { return w.env["VITRINE_RUNTIME"] }

// TestFaults makes every fault of the catalogue.
func TestFaults(t *testing.T) {
	for _, f := range allFaults() {
		for i, rt := range f.on {
			if !full && (!f.quick || i > 0) {
				continue
			}
			t.Run(f.name+"/"+rt, func(t *testing.T) { f.run(t, rt) })
		}
	}
}

// allFaults are the rows.
func allFaults() []fault {
	return slices.Concat(hostFaults(), imageFaults(), startFaults(), guestFaults(), desktopFaults())
}

// TestEveryCodeHasAFault holds the rows to the catalogue.
func TestEveryCodeHasAFault(t *testing.T) {
	for _, info := range vitrine.FailureCatalogue {
		if !slices.ContainsFunc(allFaults(), func(f fault) bool { return f.code == info.Code }) {
			t.Errorf("nothing here makes %s happen", info.Code)
		}
	}
}

func (f fault) run(t *testing.T, rt string) {
	r := row{fault: f.name, runtime: rt, code: f.code}
	defer func() { record(r) }()
	if rt == host {
		rt = container
	}
	needs(t, rt, &r)
	w := newWorld(t, rt, f.settings...)
	if f.before != nil {
		f.before(w)
	}
	w.start()
	got := f.make(w)
	if r.named = f.check(w, got); t.Failed() {
		return
	}
	if f.cure != nil {
		f.cure(w, got.failure.Remedy)
	}
	if f.works != nil {
		f.works(w)
	} else {
		w.works(client.CreateSession{Kind: vitrine.KindTerminal, Image: "tiny"})
	}
	if r.cured = !t.Failed(); !r.cured {
		return
	}
	w.endAll()
	if err := w.audit(); err != nil {
		t.Error(err)
	}
	w.stop()
	if left := w.left(); len(left) > 0 {
		r.left = len(left)
		t.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
	if w.silent != nil {
		t.Errorf("the API did not answer meanwhile: %v", w.silent)
	}
	if w.slow > askLimit {
		t.Errorf("the API took %s meanwhile", w.slow)
	}
	r.api, r.clean = w.slow, !t.Failed()
}

// check holds what the user was told to the catalogue.
func (f fault) check(w *world, got told) bool {
	w.t.Helper()
	if got.failure == nil {
		w.t.Error("nothing was said")
		return false
	}
	w.t.Logf("%s in %s: %s\n  remedy: %s\n  evidence:\n    %s", got.failure.Code, got.failure.Phase, got.failure.Message, got.failure.Remedy, strings.Join(got.failure.Evidence, "\n    "))
	named := got.failure.Code == f.code
	if !named {
		w.t.Errorf("it is called %s, want %s", got.failure.Code, f.code)
	}
	if got.failure.Remedy == "" || got.failure.Message == "" {
		w.t.Error("there is no remedy, or no message")
	}
	if len(got.failure.Evidence) == 0 && !f.bare {
		w.t.Error("there is no evidence")
	}
	if got.session != "" {
		w.kept(got, !f.noBundle)
	}
	return named && !w.t.Failed()
}

// releaseLimit is how long a failed session may keep anything (failures.md).
const releaseLimit = 5 * time.Second

// kept wants a failed session's machine gone and its story there.
func (w *world) kept(got told, bundle bool) {
	w.t.Helper()
	began := time.Now()
	within(w.t, 2*releaseLimit, "everything of session "+got.session+" is released", func() bool {
		s, err := w.api.Session(w.t.Context(), got.session)
		return err == nil && s.Released
	})
	if took := time.Since(began); took > releaseLimit {
		w.t.Errorf("the failed session was released after %s, want %s", took.Round(time.Millisecond), releaseLimit)
	}
	b, err := w.api.Boot(w.t.Context(), got.session)
	if err != nil || len(b.Phases) == 0 || b.Failure == nil || b.Failure.Code != got.failure.Code {
		w.t.Errorf("the boot ledger afterwards: %+v, %v", b, err)
	}
	if !bundle {
		return
	}
	body, _, err := w.api.Bundle(w.t.Context(), got.session)
	if err != nil {
		w.t.Errorf("the bundle afterwards: %v", err)
		return
	}
	_ = body.Close()
}

// create starts a session and wants it ready.
func (w *world) create(in client.CreateSession) client.Session {
	w.t.Helper()
	s, err := w.api.CreateSession(w.t.Context(), in, client.CreateOptions{Wait: true})
	if err != nil {
		w.t.Fatalf("a %s on %s: %s", in.Kind, w.runtime(), explain(err))
	}
	return s
}

func explain(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return e.String()
	}
	return err.Error()
}

// tiny asks for the small terminal with so much memory; 0 for the default.
func tiny(memoryMB int) client.CreateSession {
	in := client.CreateSession{Kind: vitrine.KindTerminal, Image: "tiny"}
	if memoryMB > 0 {
		in.MemoryMB = &memoryMB
	}
	return in
}

// works wants a session that starts, answers and ends.
func (w *world) works(in client.CreateSession) {
	w.t.Helper()
	s := w.create(in)
	if res, err := w.api.Exec(w.t.Context(), s.ID, client.Exec{Command: []string{"echo", "here"}}); err != nil || res.Stdout != "here\n" {
		w.t.Errorf("the session afterwards says %q, %v", res.Stdout, err)
	}
	if _, err := w.api.DeleteSession(w.t.Context(), s.ID, true); err != nil {
		w.t.Errorf("ending it: %v", err)
	}
}

// refused wants a create that does not come to a ready session, and gives why.
func (w *world) refused(in client.CreateSession) told {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), startLimit)
	defer cancel()
	s, err := w.api.CreateSession(ctx, in, client.CreateOptions{Wait: true})
	if err == nil {
		w.t.Fatalf("session %s is %s", s.ID, s.State)
	}
	return w.toldBy(err)
}

// startLimit bounds a start that fails; the daemon's own deadlines are shorter
// in the rows that wait for one.
const startLimit = 2 * time.Minute

func (w *world) toldBy(err error) told {
	w.t.Helper()
	var e *client.Error
	if !errors.As(err, &e) {
		w.t.Fatal(err)
	}
	if e.Failure == nil {
		w.t.Fatalf("refused without a failure: %s", e)
	}
	return told{e.Failure, e.SessionID}
}

// begin asks for a session and gives it at once, pending.
func (w *world) begin(in client.CreateSession) client.Session {
	w.t.Helper()
	s, err := w.api.CreateSession(w.t.Context(), in, client.CreateOptions{})
	if err != nil {
		w.t.Fatalf("a %s on %s: %s", in.Kind, w.runtime(), explain(err))
	}
	return s
}

// fails waits for a session's failure.
func (w *world) fails(id string) told {
	w.t.Helper()
	var s client.Session
	within(w.t, startLimit, "session "+id+" fails", func() (over bool) {
		var err error
		s, err = w.api.Session(w.t.Context(), id)
		if err == nil && s.State == vitrine.StateEnded {
			w.t.Fatalf("session %s ended: %v", id, s.EndedReason)
		}
		return err == nil && s.State == vitrine.StateFailed
	})
	return told{s.Failure, id}
}

// in runs a command as root in a session; it need not come back.
func (w *world) in(id string, command ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	res, err := w.api.Exec(ctx, id, client.Exec{Command: command, User: "root"})
	w.t.Logf("%v in %s: exit code %d, %s %s, %v", command, id, res.ExitCode, res.Stdout, res.Stderr, err)
}

// follow types what a remedy says, which must be so, in the world.
func (w *world) follow(remedy, command string) {
	w.t.Helper()
	if !strings.Contains(remedy, command) {
		w.t.Fatalf("the remedy is %q and does not say %q", remedy, command)
	}
	cmd := w.command("sh", "-ec", fmt.Sprintf("vitrine() { %s \"$@\"; }\n%s", program, command))
	if strings.Contains(command, "image build") { // it fetches packages, by the host's network and proxies
		cmd.Path, cmd.Args = "/bin/sh", cmd.Args[2:]
		cmd.Env = append(os.Environ(), cmd.Env...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// says wants a remedy to name something.
func (w *world) says(remedy, what string) {
	w.t.Helper()
	if !strings.Contains(remedy, what) {
		w.t.Errorf("the remedy is %q and does not say %q", remedy, what)
	}
}
