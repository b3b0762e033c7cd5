package supervised

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
)

// probeLimit bounds a probe: gVisor on a busy host takes under two seconds.
const probeLimit = 10 * time.Second

// ProbeMachine really runs a machine of this runtime and removes it: the
// agent, asked for its version, in an empty root and with no network. what is
// how the probe's reason begins, such as "runsc 20260905".
func (r *Runtime) ProbeMachine(ctx context.Context, what string) vitrine.Probe {
	if os.Geteuid() != 0 {
		return vitrine.Probe{Reason: "machines can only be made by root, and this process is not", Remedy: "run vitrine with sudo, or as a system service"}
	}
	if _, err := cgroup.Detect(); err != nil {
		return vitrine.Probe{Reason: err.Error(), Remedy: "mount cgroups with the memory, cpu and pids controllers (a systemd host does; in a container run it with --privileged --cgroupns=host)"}
	}
	if _, err := os.Stat(r.cfg.AgentPath); err != nil {
		return vitrine.Probe{Reason: "the agent's binary is missing: " + r.cfg.AgentPath, Remedy: "start vitrine again: it puts the agent there"}
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	began := time.Now()
	err := r.tryMachine(ctx)
	took := time.Since(began)
	if err != nil {
		p := vitrine.Probe{Reason: fmt.Sprintf("%s did not run a test machine: %s", what, reason(err)), Took: took}
		if errors.Is(err, syscall.ENOSPC) || strings.Contains(strings.ToLower(p.Reason), syscall.ENOSPC.Error()) {
			p.Code, p.Remedy = vitrine.FailHostDiskFull, "free space on the disk of the data directory"
		}
		return p
	}
	return vitrine.Probe{OK: true, Took: took, Reason: fmt.Sprintf("%s ran a test machine in %d ms", what, took.Milliseconds())}
}

// reason is an error in words, with the last line of evidence when there is one.
func reason(err error) string {
	var e *vitrine.Error
	if errors.As(err, &e) && e.Failure != nil {
		text := e.Failure.Message
		if n := len(e.Failure.Evidence); n > 0 {
			text += " (" + e.Failure.Evidence[n-1] + ")"
		}
		return text
	}
	return err.Error()
}

// probeSlot is the slot of a probe's machine: the last, which a /24 never lends.
const probeSlot = maxSlot

func (r *Runtime) tryMachine(ctx context.Context) (err error) {
	id := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	root := filepath.Join(r.cfg.BaseDir, id, "probe-root") // goes with the machine
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
		defer cancel()
		err = errors.Join(err, r.Delete(clean, id))
	}()
	spec := vitrine.MachineSpec{
		ID: id, Slot: probeSlot, RootFS: root, VCPU: 1, MemoryBytes: 256 << 20, MaxPIDs: 64,
		AgentConfig: []byte("{}"),
	}
	if err := r.createWith(ctx, spec, []string{"version"}); err != nil {
		return err
	}
	for _, d := range []string{"dev", "etc", "proc", "run/vitrine", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	failed := r.Start(ctx, id)
	st, err := r.Wait(ctx, id)
	if err != nil {
		return errors.Join(failed, err)
	}
	var said []byte
	if c, err := r.Console(ctx, id); err == nil {
		said, _ = io.ReadAll(io.LimitReader(c, 4096))
		_ = c.Close()
	}
	// A VMM whose guest has run and ended before Start was done with it has done
	// all that a probe wants, if its guest proves it.
	p, proves := r.driver.(Prover)
	if failed != nil && (!proves || st.State != vitrine.MachineExited || st.ExitCode != 0) {
		return failed
	}
	if st.ExitCode != 0 {
		return fmt.Errorf("it left with status %d: %.300s", st.ExitCode, strings.TrimSpace(string(said)))
	}
	if proves {
		return p.Proved(said)
	}
	return nil
}
