package supervised

import (
	"context"
	"errors"
	"io/fs"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// With calls f with a machine whose lock is held, and the state it is in: for what
// only one runtime can do. Nothing else is done to the machine meanwhile, so f
// bounds its own time. Machine's Stage and Args are empty. A NotFound error when
// there is no such machine.
func (r *Runtime) With(ctx context.Context, id string, f func(vitrine.MachineSpec, Machine, vitrine.MachineState) error) error {
	err := r.locked(ctx, id, func(d machinedir.Dir) error {
		st, err := r.inspect(ctx, id, d)
		if err != nil {
			return err
		}
		var rec record
		if err := d.Read(machinedir.SpecFile, &rec); err != nil {
			return err
		}
		m, err := r.machine(id, d)
		if err != nil {
			return err
		}
		return f(rec.Spec, m, st.State)
	})
	if r.absent(id, err) {
		return vitrine.NotFound("machine", id)
	}
	return err
}

// absent says whether err came of there being no such machine, and not of some
// other file that a step did not find.
func (r *Runtime) absent(id string, err error) bool {
	d, bad := r.dir(id)
	return errors.Is(err, fs.ErrNotExist) && bad == nil && !d.Has("")
}
