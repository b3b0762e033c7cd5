package supervised

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

// Start implements vitrine.Runtime.
func (r *Runtime) Start(ctx context.Context, id string) error {
	err := r.locked(ctx, id, func(d machinedir.Dir) error { return r.start(ctx, id, d) })
	if r.absent(id, err) {
		return vitrine.NotFound("machine", id)
	}
	var failed *shim.StartError
	if errors.As(err, &failed) {
		return vitrine.NewFailure(vitrine.FailVMMFailed, failed.Lines, "the machine did not start: %s", failed.Message).AsError().WithCause(err)
	}
	if err != nil && !errors.Is(err, vitrine.ErrMachineExited) {
		return fmt.Errorf("starting machine %s: %w", id, err)
	}
	return err
}

func (r *Runtime) start(ctx context.Context, id string, d machinedir.Dir) error {
	st, err := r.inspect(ctx, id, d)
	if err != nil {
		return err
	}
	if st.State == vitrine.MachineCreated && d.Supervised() { // a start that was given up on, or whose daemon was killed
		if st.State, err = r.join(ctx, id, d); err != nil {
			return err
		}
	}
	switch {
	case st.State == vitrine.MachineExited:
		return vitrine.ErrMachineExited
	case st.State == vitrine.MachineRunning && r.booted(d):
		return nil
	case st.State == vitrine.MachineRunning:
		if err := r.afresh(ctx, id, d); err != nil {
			return err
		}
	}
	var rec record
	if err := d.Read(machinedir.SpecFile, &rec); err != nil {
		return err
	}
	m, err := r.machine(id, d)
	if err != nil {
		return err
	}
	m.Args = rec.Args
	m.Stage, err = shim.Stage(rec.Spec.RootFS, string(d), r.cfg.AgentPath, r.cfg.ShimCommand[0], r.driver.Program())
	if err != nil {
		return err
	}
	plan, err := r.driver.Plan(ctx, rec.Spec, m)
	if err != nil {
		return err
	}
	plan.MachineID, plan.CgroupParent, plan.Stage = id, r.cfg.CgroupParent, cmp.Or(plan.Stage, m.Stage)
	plan.AgentPath, plan.DiskBytes, plan.TmpfsBytes = r.cfg.AgentPath, r.cfg.DiskBytes, rec.Spec.MemoryBytes/4
	if err := d.Write(machinedir.PlanFile, plan); err != nil {
		return err
	}
	if err := r.driver.Prepare(ctx, rec.Spec); err != nil {
		return err
	}
	err = r.launch(ctx, d, m.Host, false)
	if errors.Is(err, machinedir.ErrSupervised) {
		return r.start(ctx, id, d) // that of a killed daemon was not up yet when we looked
	}
	if err != nil {
		return err
	}
	return r.boot(ctx, rec.Spec, m)
}

// supervisors is the group that supervisors live in: beside the machines', so
// that a service manager that empties the daemon's group spares them.
const supervisors = "supervisors"

func (r *Runtime) launch(ctx context.Context, d machinedir.Dir, host *cgroup.Host, watch bool) error {
	group := host.Group(r.cfg.CgroupParent, supervisors)
	for try := 0; ; try++ {
		if err := group.Create(cgroup.Limits{}); err != nil {
			return err
		}
		err := shim.Launch(ctx, r.cfg.ShimCommand, d, group, watch)
		// Another machine's Delete may take the empty group away in between.
		vanished := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
		if !vanished || try == 5 {
			return err
		}
	}
}

// join waits for a start that another call began, and gives what came of it.
func (r *Runtime) join(ctx context.Context, id string, d machinedir.Dir) (vitrine.MachineState, error) {
	for {
		st, err := r.inspect(ctx, id, d)
		if err != nil || st.State != vitrine.MachineCreated {
			return st.State, err
		}
		if !d.Supervised() {
			return st.State, errors.New("its supervisor left before the machine ran")
		}
		select {
		case <-ctx.Done():
			return st.State, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop implements vitrine.Runtime.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	err := r.locked(ctx, id, func(d machinedir.Dir) error {
		st, err := r.inspect(ctx, id, d)
		if err != nil || st.State == vitrine.MachineExited {
			return err
		}
		if st.State == vitrine.MachineRunning && grace > 0 {
			r.ask(ctx, id, d, grace)
		}
		return r.kill(ctx, id, d)
	})
	if errors.Is(err, fs.ErrNotExist) || vitrine.ClassOf(err) == vitrine.ClassNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stopping machine %s: %w", id, err)
	}
	return nil
}

// ask asks the machine to end and waits for it, grace at most.
func (r *Runtime) ask(ctx context.Context, id string, d machinedir.Dir, grace time.Duration) {
	if group, _, err := r.group(id); err == nil {
		_ = group.Freeze(ctx, false) // a frozen machine could not answer
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var sup, machine machinedir.Process
	_ = d.Read(machinedir.MachineFile, &machine)
	if a, ok := r.driver.(Asker); ok {
		if err := r.askGuest(ctx, a, id, d); err != nil {
			r.log.Warn("the machine could not be asked to end and is killed", "machine", id, "error", err)
			return
		}
	} else if d.Read(machinedir.SupervisorFile, &sup) != nil || sup.Signal(syscall.SIGTERM) != nil {
		_ = machine.Signal(syscall.SIGTERM)
	}
	_ = machine.Wait(ctx)
}
