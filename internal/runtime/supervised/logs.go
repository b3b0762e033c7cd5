package supervised

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

var _ vitrine.LogReader = (*Runtime)(nil)

// Logs implements vitrine.LogReader: what the OCI runtime or the VMM logged, how
// the machine ended, and what the kernel counts for its cgroup. It takes no
// lock, like Console. Specification and plan, which hold the machine's secret,
// are not among them.
func (r *Runtime) Logs(_ context.Context, id string) ([]vitrine.MachineLog, error) {
	d, err := r.dir(id)
	if err != nil {
		return nil, err
	}
	if !d.Has("") {
		return nil, vitrine.NotFound("machine", id)
	}
	var all []vitrine.MachineLog
	add := func(name string, data []byte) {
		if len(data) > 0 {
			all = append(all, vitrine.MachineLog{Name: name, Data: data[max(0, len(data)-vitrine.MaxMachineLog):]})
		}
	}
	add(machinedir.RuntimeLog, r.runtimeLog(d))
	for _, name := range []string{machinedir.ExitFile, machinedir.MachineFile, machinedir.SupervisorFile} {
		b, err := os.ReadFile(d.Join(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return all, fmt.Errorf("reading the logs of machine %s: %w", id, err)
		}
		add(name, b)
	}
	if group, _, err := r.group(id); err == nil {
		add("cgroup.txt", group.Report())
	}
	return all, nil
}

// runtimeLog is the log as the supervisor left it, or where it still grows.
func (r *Runtime) runtimeLog(d machinedir.Dir) []byte {
	if b, err := os.ReadFile(d.Join(machinedir.RuntimeLog)); err == nil {
		return b
	}
	var plan shim.Plan
	var sup machinedir.Process
	if d.Read(machinedir.PlanFile, &plan) != nil || d.Read(machinedir.SupervisorFile, &sup) != nil || !sup.Alive() {
		return nil
	}
	return []byte(strings.Join(plan.Log("/proc/"+strconv.Itoa(sup.PID)), "\n"))
}
