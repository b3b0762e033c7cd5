package supervised

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// Delete implements vitrine.Runtime. Each step may have been done before, and
// the directory, which is what a later Delete goes by, goes last.
func (r *Runtime) Delete(ctx context.Context, id string) error {
	err := r.locked(ctx, id, func(d machinedir.Dir) error { return r.remove(ctx, id, d) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting machine %s: %w", id, err)
	}
	return nil
}

func (r *Runtime) remove(ctx context.Context, id string, d machinedir.Dir) error {
	if err := os.WriteFile(d.Join(machinedir.DeletingFile), nil, 0o600); err != nil {
		return err
	}
	if err := r.kill(ctx, id, d); err != nil {
		return err
	}
	if err := diskReleased(ctx, d); err != nil {
		return err
	}
	group, host, err := r.group(id)
	if err != nil {
		return err
	}
	if err := group.Remove(ctx); err != nil {
		return err
	}
	var sup machinedir.Process
	_ = d.Read(machinedir.SupervisorFile, &sup)
	if err := d.Remove(); err != nil {
		return err
	}
	// The supervisors' group goes with the last of them. Ours has let go of its
	// lock, which is a moment before it has ended and is counted no more.
	ended, cancel := context.WithTimeout(ctx, supervisorLag)
	defer cancel()
	_ = sup.Wait(ended)
	group = host.Group(r.cfg.CgroupParent, supervisors)
	if others, err := group.Procs(); err == nil && len(others) == 0 {
		short, cancel := context.WithTimeout(ctx, supervisorLag)
		defer cancel()
		_ = group.Remove(short) // EBUSY: another start was faster
	}
	return nil
}

// supervisorLag is how long a supervisor may take to see that its machine was
// killed and write exit.json; then it is killed too.
const supervisorLag = time.Second

// kill kills the machine and returns when nothing of it runs, its supervisor
// included. The machine goes first, so that its supervisor can still say how it
// ended; then once more, for what the supervisor started in between.
func (r *Runtime) kill(ctx context.Context, id string, d machinedir.Dir) error {
	group, _, err := r.group(id)
	if err != nil {
		return err
	}
	if err := group.Kill(ctx); err != nil {
		return err
	}
	deadline := time.Now().Add(supervisorLag)
	for d.Supervised() {
		var sup machinedir.Process
		if d.Read(machinedir.SupervisorFile, &sup) == nil {
			wait, cancel := context.WithDeadline(ctx, deadline)
			err := sup.Wait(wait)
			cancel()
			if err != nil && time.Now().After(deadline) {
				_ = sup.Signal(syscall.SIGKILL)
				_ = group.Kill(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its supervisor does not end: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond): // the lock outlives the process by a moment
		}
	}
	return group.Kill(ctx)
}

// diskReleased waits until no loop device holds the machine's disk: the kernel
// lets go of it a moment after the last process of its mount namespace.
func diskReleased(ctx context.Context, d machinedir.Dir) error {
	if !d.Has(machinedir.ScratchFile) {
		return nil
	}
	for {
		held := ""
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err == nil && strings.TrimSuffix(strings.TrimSpace(string(b)), " (deleted)") == d.Join(machinedir.ScratchFile) {
				held = filepath.Base(filepath.Dir(filepath.Dir(f)))
			}
		}
		if held == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its disk is still held by %s: %w", held, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
