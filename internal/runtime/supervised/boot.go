package supervised

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// machine gives what a Driver may know of a machine's place; Stage and Args are
// the caller's to add.
func (r *Runtime) machine(id string, d machinedir.Dir) (Machine, error) {
	group, host, err := r.group(id)
	if err != nil {
		return Machine{}, err
	}
	return Machine{ID: id, Dir: d, Group: group, Host: host, Socket: func(ctx context.Context, name string) (net.Conn, error) {
		return r.socket(ctx, id, d, name)
	}}, nil
}

// bootLimit bounds Boot when the caller does not: a VMM answers in milliseconds,
// on a busy host in seconds. Drivers that can say more of it have a shorter one.
const bootLimit = 30 * time.Second

// boot lets a Booter start the guest, and kills the VMM when that fails: it
// then has exited, and its console says why. When only ctx ended the machine is
// as it was before the start.
func (r *Runtime) boot(ctx context.Context, spec vitrine.MachineSpec, m Machine) error {
	b, ok := r.driver.(Booter)
	if !ok {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(r.cfg.BootLimit, bootLimit))
	err := b.Boot(limited, spec, m)
	cancel()
	if err == nil {
		err = os.WriteFile(m.Dir.Join(machinedir.BootedFile), nil, 0o600)
	}
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), r.afresh(clean, m.ID, m.Dir))
	}
	killed := r.kill(clean, m.ID, m.Dir)
	var known *vitrine.Error
	if errors.As(err, &known) && known.Failure != nil {
		return errors.Join(err, killed)
	}
	lines := machinedir.Tail(m.Dir.Join(machinedir.ConsoleFile), vitrine.MaxEvidence)
	return vitrine.NewFailure(vitrine.FailVMMFailed, lines, "the virtual machine did not start: %s", oneLine(err)).
		AsError().WithCause(errors.Join(err, killed))
}

// oneLine is an error's text in one line of bounded length: it may hold a
// VMM's words.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	return s[:min(len(s), 400)]
}

// booted says whether a running machine's guest was started.
func (r *Runtime) booted(d machinedir.Dir) bool {
	_, ok := r.driver.(Booter)
	return !ok || d.Has(machinedir.BootedFile)
}

// afresh makes a machine that was never booted one that was never started: its
// VMM is killed and what the start left is removed. The cgroup is made anew,
// because on some kernels (seen on 6.18) a process that is born into one that
// cgroup.kill was ever written to is killed at once.
func (r *Runtime) afresh(ctx context.Context, id string, d machinedir.Dir) error {
	var rec record
	if err := d.Read(machinedir.SpecFile, &rec); err != nil {
		return err
	}
	if err := r.kill(ctx, id, d); err != nil {
		return err
	}
	group, _, err := r.group(id)
	if err != nil {
		return err
	}
	if err := group.Remove(ctx); err != nil {
		return err
	}
	for _, name := range []string{
		machinedir.ExitFile, machinedir.MachineFile, machinedir.SupervisorFile, machinedir.PlanFile,
		machinedir.ConsoleFile, machinedir.ConsoleFile + ".1", machinedir.ConsoleFIFO, machinedir.BootedFile,
	} {
		if err := os.Remove(d.Join(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return r.create(d, rec.Spec, rec.Args)
}

// askGuest asks a machine to end that no signal reaches.
func (r *Runtime) askGuest(ctx context.Context, a Asker, id string, d machinedir.Dir) error {
	if !r.booted(d) {
		return errors.New("its guest was never started")
	}
	var rec record
	if err := d.Read(machinedir.SpecFile, &rec); err != nil {
		return err
	}
	m, err := r.machine(id, d)
	if err != nil {
		return err
	}
	return a.Ask(ctx, rec.Spec, m)
}
