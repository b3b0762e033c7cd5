package firecracker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// dialLimit is how long a guest's kernel may take to accept or refuse: a
// millisecond, and 70 on a host that emulates. One that is still booting does
// neither.
const dialLimit = 2 * time.Second

// Dial implements supervised.Dialer: a connection to the agent by vsock.
func (d *driver) Dial(ctx context.Context, m supervised.Machine) (net.Conn, error) {
	conn, err := m.Socket(ctx, socketVsock)
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connect asks the VMM for the agent's port in its guest (docs/vsock.md of Firecracker):
// "CONNECT 1024\n" is answered by "OK n\n", or by the end of the connection when
// nothing listens there.
func connect(ctx context.Context, conn net.Conn) error {
	limit := time.Now().Add(dialLimit)
	if t, ok := ctx.Deadline(); ok && t.Before(limit) {
		limit = t
	}
	if err := conn.SetDeadline(limit); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte("CONNECT " + strconv.Itoa(vitrine.AgentPort) + "\n")); err != nil {
		return fmt.Errorf("asking for vsock port %d: %w", vitrine.AgentPort, err)
	}
	// Byte by byte: what follows the line is the agent's.
	line := make([]byte, 0, 32)
	for len(line) < cap(line) {
		n, err := conn.Read(line[len(line) : len(line)+1])
		if err != nil {
			return fmt.Errorf("waiting for vsock port %d: %w", vitrine.AgentPort, err)
		}
		line = line[:len(line)+n]
		if n > 0 && line[len(line)-1] == '\n' {
			break
		}
	}
	if number, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "OK "); ok {
		if _, err := strconv.ParseUint(number, 10, 32); err == nil {
			if !stop() {
				return ctx.Err()
			}
			return conn.SetDeadline(time.Time{})
		}
	}
	return fmt.Errorf("waiting for vsock port %d: the VMM says %q", vitrine.AgentPort, api.Printable(string(line), 40))
}

// Ask implements supervised.Asker: the agent is asked. A guest without one that
// answers has nothing to save, and is killed at once.
func (d *driver) Ask(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) error {
	return vm.AskToEnd(ctx, spec, func(ctx context.Context) (net.Conn, error) { return d.Dial(ctx, m) })
}
