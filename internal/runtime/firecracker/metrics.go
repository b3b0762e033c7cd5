package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// maxMetrics bounds one line of the VMM's metrics, in bytes; it has 10 KB.
const maxMetrics = 256 << 10

// Metrics gives what the VMM has counted since its last line of metrics: an object
// of objects of numbers, as Firecracker's docs/metrics.md tells. They were
// written by a process that a guest may have taken over: figures to look at, and
// nothing to act on.
func (r *Runtime) Metrics(ctx context.Context, id string) (json.RawMessage, error) {
	var out json.RawMessage
	err := r.With(ctx, id, func(_ vitrine.MachineSpec, m supervised.Machine, st vitrine.MachineState) error {
		if st != vitrine.MachineRunning {
			return notRunning(id)
		}
		c := client(m)
		defer c.Close()
		if err := c.FlushMetrics(ctx); err != nil {
			return fmt.Errorf("reading the metrics of machine %s: %w", id, err)
		}
		b, err := takeMetrics(m)
		if err != nil {
			return fmt.Errorf("reading the metrics of machine %s: %w", id, err)
		}
		if !json.Valid(b) {
			return fmt.Errorf("reading the metrics of machine %s: what the VMM wrote is not JSON", id)
		}
		out = b
		return nil
	})
	return out, err
}

func notRunning(id string) error {
	return vitrine.Errorf(vitrine.ClassConflict, "not_running", "machine %s does not run", id)
}

// client speaks to a machine's VMM.
func client(m supervised.Machine) *api.Client {
	return api.New(func(ctx context.Context) (net.Conn, error) { return m.Socket(ctx, socketAPI) })
}

// takeMetrics reads the last line and empties the file, which grows by a line a
// minute in a jail of bounded size.
func takeMetrics(m supervised.Machine) ([]byte, error) {
	f, err := openJailed(m, fileMetrics)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-maxMetrics), maxMetrics))
	if err != nil {
		return nil, err
	}
	// The VMM writes on where it was, so before its first line since there is a hole.
	b = bytes.Trim(b, "\x00\n")
	return b[bytes.LastIndexByte(b, '\n')+1:], f.Truncate(0)
}

// openJailed opens a file in the VMM's root. The VMM owns that directory: no link
// is followed, and what is no file is not opened.
func openJailed(m supervised.Machine, name string) (*os.File, error) {
	var p machinedir.Process
	if err := m.Dir.Read(machinedir.MachineFile, &p); err != nil {
		return nil, err
	}
	root, err := unix.Open("/proc/"+strconv.Itoa(p.PID)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the VMM's root: %w", err)
	}
	defer func() { _ = unix.Close(root) }()
	if !p.Alive() {
		return nil, machinedir.ErrGone // and the root is another's
	}
	// O_NONBLOCK: opening a FIFO would wait for its writer.
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the VMM's %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(fmt.Errorf("the VMM's %s is no file", name), err)
	}
	return f, nil
}
