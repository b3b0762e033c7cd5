package firecracker_test

import (
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
)

func TestProbeBootsAGuest(t *testing.T) {
	b := newBench(t, "idle")
	p := b.rt.Probe(b.ctx())
	if !p.OK || p.Version == "" || p.Took <= 0 {
		t.Fatalf("the probe says %+v", p)
	}
	t.Logf("%s", p.Reason)
}

func TestAMachineComesUpAndGoes(t *testing.T) {
	b := newBench(t, "idle")
	s := b.attached()
	id := b.up(s)
	t.Log(b.console(id))
	st := b.inspect(id)
	if st.State != vitrine.MachineRunning || st.PID == 0 {
		t.Errorf("it is %+v", st)
	}
	must(t, b.rt.Stop(b.ctx(), id, 0))
	b.exited(id)
	must(t, b.rt.Delete(b.ctx(), id))
	if !strings.Contains(tiny.Up, "up") {
		t.Error()
	}
}
