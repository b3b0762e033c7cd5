package shim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// A machine may print this much at once, and this much a second from then on;
// then its writes block, so a flood costs neither our CPU nor the host's disk.
const (
	consoleBurst = 1 << 20
	consoleRate  = 2 << 20
)

// openConsole starts reading the console into its ring and gives the end that
// the machine writes to. It is a FIFO, not a pipe, so that a later supervisor
// can read on; and the machine's end is open for reading too, so that with no
// supervisor at all its writes wait instead of killing it with SIGPIPE.
func (s *supervisor) openConsole() (*os.File, error) {
	path := s.dir.Join(machinedir.ConsoleFIFO)
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	// The machine may open its own standard output again, as /dev/stdout.
	if err := os.Chown(path, s.plan.HostID, s.plan.HostID); err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) // blocking for the machine
	if err != nil {
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	theirs := os.NewFile(uintptr(fd), path)
	ours, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		theirs.Close()
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	ring, err := s.dir.OpenRing()
	if err != nil {
		theirs.Close()
		ours.Close()
		return nil, fmt.Errorf("opening the console's file: %w", err)
	}
	s.console = make(chan struct{})
	go func() {
		defer close(s.console)
		defer func() { _ = ring.Close() }()
		defer ours.Close()
		copyConsole(ring, ours)
	}()
	return theirs, nil
}

// copyConsole copies until no writer is left, at no more than the rate.
func copyConsole(w io.Writer, r io.Reader) {
	buf := make([]byte, 16<<10)
	room, last := float64(consoleBurst), time.Now()
	for {
		n, err := r.Read(buf)
		_, _ = w.Write(buf[:n])
		if err != nil {
			return
		}
		now := time.Now()
		room = min(consoleBurst, room+now.Sub(last).Seconds()*consoleRate) - float64(n)
		last = now
		if room < 0 {
			time.Sleep(time.Duration(-room / consoleRate * float64(time.Second)))
		}
	}
}
