package supervised

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

// exitLag is how long the supervisor may take from the machine's end to
// exit.json: it kills and reaps what the machine left first.
const exitLag = 5 * time.Second

// inspect works a machine's state out of its directory and the kernel.
func (r *Runtime) inspect(ctx context.Context, id string, d machinedir.Dir) (vitrine.MachineStatus, error) {
	st := vitrine.MachineStatus{ID: id, State: vitrine.MachineCreated}
	if _, err := os.Stat(string(d)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return st, vitrine.NotFound("machine", id)
		}
		return st, err
	}
	var rec record
	specErr := d.Read(machinedir.SpecFile, &rec)
	if group, _, err := r.group(id); err == nil {
		st.Memory.Current, st.Memory.Limit = group.Memory()
		st.OOMKills = group.OOMKills()
	}
	var machine machinedir.Process
	started := d.Read(machinedir.MachineFile, &machine) == nil
	st.StartedAt = machine.At
	if machine.Alive() && !d.Has(machinedir.ExitFile) {
		st.State, st.PID = vitrine.MachineRunning, machine.PID
		return st, nil
	}
	if r.readExit(d, &st) {
		return st, nil
	}
	switch {
	case d.Has(machinedir.DeletingFile), specErr == nil && rec.BootID != machinedir.BootID():
	case started:
		// It ended a moment ago and its supervisor is about to say how.
		if r.awaitSupervisor(ctx, d); r.readExit(d, &st) {
			return st, nil
		}
	case d.Supervised(), !d.Has(machinedir.SupervisorFile):
		return st, nil // on its way up, or never started (or half-made)
	default:
		// The supervisor was killed while it started the machine.
	}
	st.State, st.ExitCode = vitrine.MachineExited, -1
	return st, nil
}

// readExit fills in exit.json; false when it is not there.
func (r *Runtime) readExit(d machinedir.Dir, st *vitrine.MachineStatus) bool {
	var e machinedir.Exit
	if d.Read(machinedir.ExitFile, &e) != nil {
		return false
	}
	st.State, st.ExitCode, st.ExitedAt, st.OOMKills = vitrine.MachineExited, e.Code, e.At, max(e.OOMKills, st.OOMKills)
	return true
}

// awaitSupervisor waits for the supervisor's end, a moment at most.
func (r *Runtime) awaitSupervisor(ctx context.Context, d machinedir.Dir) {
	var sup machinedir.Process
	if d.Read(machinedir.SupervisorFile, &sup) == nil {
		ctx, cancel := context.WithTimeout(ctx, exitLag)
		defer cancel()
		_ = sup.Wait(ctx)
	}
}

// Inspect implements vitrine.Runtime. A running machine whose supervisor was
// killed gets a new one here, so that its console is read on.
func (r *Runtime) Inspect(ctx context.Context, id string) (vitrine.MachineStatus, error) {
	d, err := r.dir(id)
	if err != nil {
		return vitrine.MachineStatus{}, err
	}
	st, err := r.inspect(ctx, id, d)
	if err == nil && st.State == vitrine.MachineRunning && !d.Supervised() {
		r.adopt(ctx, id)
	}
	return st, err
}

// adopt gives a machine a new supervisor. Failing is no harm: the machine runs,
// and the next Inspect tries again.
func (r *Runtime) adopt(ctx context.Context, id string) {
	err := r.locked(ctx, id, func(d machinedir.Dir) error {
		if st, err := r.inspect(ctx, id, d); err != nil || st.State != vitrine.MachineRunning || d.Supervised() {
			return err
		}
		_, host, err := r.group(id)
		if err != nil {
			return err
		}
		r.log.Warn("the machine's supervisor was killed; another takes over", "machine", id)
		return r.launch(ctx, d, host, true)
	})
	if err != nil {
		r.log.Warn("a machine has no supervisor", "machine", id, "error", err)
	}
}

// List implements vitrine.Runtime.
func (r *Runtime) List(ctx context.Context) ([]vitrine.MachineStatus, error) {
	entries, err := os.ReadDir(r.cfg.BaseDir)
	if err != nil {
		return nil, fmt.Errorf("listing machines: %w", err)
	}
	var out []vitrine.MachineStatus
	for _, e := range entries {
		if !e.IsDir() || !vitrine.ValidID(vitrine.PrefixMachine, e.Name()) {
			continue
		}
		st, err := r.Inspect(ctx, e.Name())
		if vitrine.ClassOf(err) == vitrine.ClassNotFound && err != nil {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("listing machines: %w", err)
		}
		out = append(out, st)
	}
	return out, nil
}

// Wait implements vitrine.Watcher.
func (r *Runtime) Wait(ctx context.Context, id string) (vitrine.MachineStatus, error) {
	d, err := r.dir(id)
	if err != nil {
		return vitrine.MachineStatus{}, err
	}
	var machine machinedir.Process
	if d.Read(machinedir.MachineFile, &machine) == nil {
		if err := machine.Wait(ctx); err != nil {
			return vitrine.MachineStatus{}, fmt.Errorf("waiting for machine %s: %w", id, err)
		}
	}
	return r.Inspect(ctx, id)
}

// Pause implements vitrine.Pauser.
func (r *Runtime) Pause(ctx context.Context, id string) error { return r.freeze(ctx, id, true) }

// Resume implements vitrine.Pauser.
func (r *Runtime) Resume(ctx context.Context, id string) error { return r.freeze(ctx, id, false) }

func (r *Runtime) freeze(ctx context.Context, id string, on bool) error {
	err := r.locked(ctx, id, func(d machinedir.Dir) error {
		st, err := r.inspect(ctx, id, d)
		if err != nil {
			return err
		}
		if st.State != vitrine.MachineRunning {
			return vitrine.Errorf(vitrine.ClassConflict, "not_running", "machine %s does not run", id)
		}
		group, _, err := r.group(id)
		if err != nil {
			return err
		}
		return group.Freeze(ctx, on)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return vitrine.NotFound("machine", id)
	}
	return err
}

// Dial implements vitrine.Runtime. It takes no lock: it changes nothing, and
// must answer while another call waits for the machine.
func (r *Runtime) Dial(ctx context.Context, id string, port uint32) (net.Conn, error) {
	conn, err := r.dial(ctx, id, port)
	if err != nil && vitrine.ClassOf(err) == vitrine.ClassInternal {
		return nil, vitrine.Errorf(vitrine.ClassUnavailable, "agent_unavailable", "the agent of machine %s does not answer yet", id).WithCause(err)
	}
	return conn, err
}

func (r *Runtime) dial(ctx context.Context, id string, port uint32) (net.Conn, error) {
	d, err := r.dir(id)
	if err != nil {
		return nil, err
	}
	if port != vitrine.AgentPort {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "bad_port", "machine %s has no port %d", id, port)
	}
	if !d.Has("") {
		return nil, vitrine.NotFound("machine", id)
	}
	if v, ok := r.driver.(Dialer); ok {
		m, err := r.machine(id, d)
		if err != nil {
			return nil, err
		}
		return v.Dial(ctx, m)
	}
	return r.socket(ctx, id, d, agentSocket)
}

// socket connects to a unix socket in the machine's shared directory.
func (r *Runtime) socket(ctx context.Context, id string, d machinedir.Dir, name string) (net.Conn, error) {
	if d.Has(shim.ShareDir) {
		dir, err := unix.Open(d.Join(shim.ShareDir), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = unix.Close(dir) }()
		return machinedir.DialSocket(ctx, dir, name)
	}
	var pids []int
	for _, f := range []string{machinedir.SupervisorFile, machinedir.MachineFile} {
		var p machinedir.Process
		if d.Read(f, &p) == nil && p.Alive() {
			pids = append(pids, p.PID)
		}
	}
	if group, _, err := r.group(id); err == nil {
		more, _ := group.Procs()
		pids = append(pids, more...)
	}
	return machinedir.DialShared(ctx, id, name, pids)
}

// agentSocket is the agent's socket in the shared directory (agentproto).
const agentSocket = "agent.sock"

// Console implements vitrine.Runtime.
func (r *Runtime) Console(_ context.Context, id string) (io.ReadCloser, error) {
	d, err := r.dir(id)
	if err != nil {
		return nil, err
	}
	if !d.Has("") {
		return nil, vitrine.NotFound("machine", id)
	}
	return d.Console()
}
