package supervised

import (
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
	if errors.Is(err, fs.ErrNotExist) {
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
	switch {
	case st.State == vitrine.MachineRunning:
		return nil
	case st.State == vitrine.MachineExited:
		return vitrine.ErrMachineExited
	case d.Supervised(): // a start that was given up on, or whose daemon was killed
		return r.join(ctx, id, d)
	}
	var rec record
	if err := d.Read(machinedir.SpecFile, &rec); err != nil {
		return err
	}
	group, host, err := r.group(id)
	if err != nil {
		return err
	}
	stage, err := shim.Stage(rec.Spec.RootFS, string(d), r.cfg.AgentPath, r.cfg.ShimCommand[0], r.driver.Program())
	if err != nil {
		return err
	}
	plan, err := r.driver.Plan(rec.Spec, Machine{Dir: d, Group: group, Host: host, Stage: stage, Args: rec.Args})
	if err != nil {
		return err
	}
	plan.MachineID, plan.CgroupParent, plan.Stage = id, r.cfg.CgroupParent, stage
	plan.AgentPath, plan.DiskBytes, plan.TmpfsBytes = r.cfg.AgentPath, r.cfg.DiskBytes, rec.Spec.MemoryBytes/4
	if err := d.Write(machinedir.PlanFile, plan); err != nil {
		return err
	}
	if err := r.driver.Prepare(ctx, rec.Spec); err != nil {
		return err
	}
	err = r.launch(ctx, d, host, false)
	if errors.Is(err, machinedir.ErrSupervised) {
		return r.join(ctx, id, d) // that of a killed daemon was not up yet when we looked
	}
	return err
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

// join waits for a start that another call began.
func (r *Runtime) join(ctx context.Context, id string, d machinedir.Dir) error {
	for {
		st, err := r.inspect(ctx, id, d)
		if err != nil {
			return err
		}
		switch {
		case st.State == vitrine.MachineRunning:
			return nil
		case st.State == vitrine.MachineExited:
			return vitrine.ErrMachineExited
		case !d.Supervised():
			return errors.New("its supervisor left before the machine ran")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
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
	var sup, machine machinedir.Process
	_ = d.Read(machinedir.MachineFile, &machine)
	if d.Read(machinedir.SupervisorFile, &sup) != nil || sup.Signal(syscall.SIGTERM) != nil {
		_ = machine.Signal(syscall.SIGTERM)
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_ = machine.Wait(ctx)
}
