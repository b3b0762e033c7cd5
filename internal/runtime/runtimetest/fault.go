package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Fault is one thing that stands in a machine's way.
type Fault struct {
	Name    string
	Factory Factory
	// Env breaks the environment; nil changes nothing.
	Env func(t *testing.T, e *Env)
	// Net places the machine; nil for none.
	Net func(t *testing.T) vitrine.Attachment
	// Code is the failure that Start must answer with; Says is part of its
	// message, Evidence of its evidence when not "".
	Code     vitrine.FailureCode
	Says     string
	Evidence string
}

// Faults makes each fault happen: a start must fail with its code and a remedy,
// and after Delete nothing is left.
func Faults(t *testing.T, faults []Fault) {
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, f.Factory)
			if f.Env != nil {
				f.Env(t, &b.env)
				b.reopen()
				t.Cleanup(b.deleteAll) // before what Env made is gone
			}
			at := vitrine.Attachment{}
			if f.Net != nil {
				at = f.Net(t)
			}
			s := b.specOn(at)
			must(t, b.rt.Create(b.ctx(), s))
			began := time.Now()
			err := b.rt.Start(b.ctx(), s.ID)
			var e *vitrine.Error
			if !errors.As(err, &e) || e.Failure == nil || e.Failure.Code != f.Code {
				t.Fatalf("Start says %v (%+v), want a failure %s", err, e, f.Code)
			}
			if e.Remedy == "" || !strings.Contains(e.Message, f.Says) {
				t.Errorf("the failure says %q with the remedy %q; want %q", e.Message, e.Remedy, f.Says)
			}
			if evidence := strings.Join(e.Failure.Evidence, "\n"); !strings.Contains(evidence, f.Evidence) || strings.Contains(evidence+e.Message, secret) {
				t.Errorf("its evidence is %q, want %q", evidence, f.Evidence)
			}
			t.Logf("after %s: %s (%s)", time.Since(began).Round(time.Millisecond), e.Message, e.Remedy)
			if st := b.inspect(s.ID); st.State == vitrine.MachineRunning {
				t.Errorf("after it the machine is %+v", st)
			}
			must(t, b.rt.Delete(b.ctx(), s.ID))
			if left := snapshot(s.ID); len(left) > 0 {
				t.Errorf("after Delete this is left:\n%s", strings.Join(left, "\n"))
			}
		})
	}
}

// CutShort gives up on a start while the VMM hangs, and starts the machine again
// once heal was called: it must come up as if nothing had been.
func CutShort(t *testing.T, f Factory, heal func()) {
	b := newBench(t, f)
	id := b.created()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := b.rt.Start(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a start that was given up on says %v", err)
	}
	b.wantState(id, vitrine.MachineCreated)
	heal()
	b.start(id)
	b.awaitAgent(id)
	if n := boots(b.console(id)); n != 1 {
		t.Errorf("the console shows %d boots", n)
	}
}
