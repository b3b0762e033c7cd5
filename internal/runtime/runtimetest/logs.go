package runtimetest

import (
	"bytes"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// logs holds what a runtime gives to the flight recorder: it is there while the
// machine runs and after, it is bounded, and the machine's secret is not in it.
func logs(b *bench) {
	rt, ok := b.rt.(vitrine.LogReader)
	if !ok {
		b.t.Fatal("the runtime gives no logs")
	}
	id := b.ready()
	read := func(when string) map[string][]byte {
		b.t.Helper()
		all, err := rt.Logs(b.ctx(), id)
		must(b.t, err)
		by := map[string][]byte{}
		for _, l := range all {
			by[l.Name] = l.Data
			b.t.Logf("%s: %s, %d bytes", when, l.Name, len(l.Data))
			if len(l.Data) > vitrine.MaxMachineLog {
				b.t.Errorf("%s: %s has %d bytes", when, l.Name, len(l.Data))
			}
			if bytes.Contains(l.Data, []byte(secret)) {
				b.t.Errorf("%s: the machine's secret stands in %s", when, l.Name)
			}
		}
		return by
	}
	running := read("while it runs")
	if !bytes.Contains(running["cgroup.txt"], []byte("pids.current")) || running["machine.json"] == nil || running["exit.json"] != nil {
		b.t.Errorf("while it runs: %s", running["cgroup.txt"])
	}
	must(b.t, b.rt.Stop(b.ctx(), id, time.Second))
	b.wantState(id, vitrine.MachineExited)
	if exited := read("after it exited"); exited["exit.json"] == nil {
		b.t.Error("after it exited nothing says how")
	}
	must(b.t, b.rt.Delete(b.ctx(), id))
	if _, err := rt.Logs(b.ctx(), id); vitrine.ClassOf(err) != vitrine.ClassNotFound {
		b.t.Errorf("of a machine that is deleted: %v; want not found", err)
	}
}
