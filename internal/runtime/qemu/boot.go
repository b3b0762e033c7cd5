package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// bootLimit is how long QEMU may take from its start to its first word: 0.1 s
// where nothing else runs, 2 s at a load of ten a processor.
const bootLimit = 20 * time.Second

// errLeft is why a wait ends early: nobody is there to wait for.
var errLeft = errors.New("QEMU has left")

// Boot implements supervised.Booter: it lets the guest run.
func (d *driver) Boot(ctx context.Context, _ vitrine.MachineSpec, m supervised.Machine) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	ctx, left := context.WithCancelCause(ctx)
	defer left(nil)
	var process machinedir.Process
	if err := m.Dir.Read(machinedir.MachineFile, &process); err != nil {
		return err
	}
	go func() {
		if process.Wait(ctx) == nil {
			left(errLeft)
		}
	}()
	err := boot(ctx, m)
	if err != nil && errors.Is(context.Cause(ctx), errLeft) {
		return leftWith(m.Dir)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("QEMU runs but did not answer in %s: %w", bootLimit, err)
	}
	return err
}

func boot(ctx context.Context, m supervised.Machine) error {
	conn, err := dialQMP(ctx, m)
	if err != nil {
		return err
	}
	q, err := openQMP(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	status, err := q.Status(ctx)
	if err != nil {
		return err
	}
	if status != "prelaunch" {
		return fmt.Errorf("QEMU's guest is %q before it was told to run", status)
	}
	if err := q.Cont(ctx); err != nil {
		return err
	}
	return nil
}

// dialQMP connects as soon as QEMU listens.
func dialQMP(ctx context.Context, m supervised.Machine) (net.Conn, error) {
	for {
		conn, err := m.Socket(ctx, qmpSocket)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for QEMU's control socket: %w (%w)", context.Cause(ctx), err)
		case <-time.After(2 * time.Millisecond): // a socket's coming has no event
		}
	}
}

// leftWith says how QEMU left, once its supervisor has.
func leftWith(d machinedir.Dir) error {
	var e machinedir.Exit
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := d.Read(machinedir.ExitFile, &e)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || !d.Supervised() || time.Now().After(deadline) {
			return errLeft
		}
	}
	if e.Signal != 0 {
		return fmt.Errorf("%w: it was killed by signal %d", errLeft, e.Signal)
	}
	return fmt.Errorf("%w with status %d", errLeft, e.Code)
}
