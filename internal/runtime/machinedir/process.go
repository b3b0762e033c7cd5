package machinedir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a process of this host for good: pids come again, but not with
// the same start time in the same boot.
type Process struct {
	BootID string    `json:"boot_id"`
	PID    int       `json:"pid"`
	Start  uint64    `json:"start_ticks"` // field 22 of /proc/PID/stat
	At     time.Time `json:"at"`
	// Stage is where the supervisor put the machine's file systems together, in
	// its own mount namespace.
	Stage string `json:"stage,omitempty"`
}

// ErrGone says that a process has ended, or is of an earlier boot.
var ErrGone = errors.New("the process has ended")

// BootID is the kernel's id of this boot.
var BootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// ProcessOf names the process that has this pid now; ErrGone when none has.
func ProcessOf(pid int) (Process, error) {
	state, start, err := stat(pid)
	if err != nil || state == 'Z' || state == 'X' {
		return Process{}, ErrGone
	}
	return Process{BootID: BootID(), PID: pid, Start: start, At: time.Now().UTC()}, nil
}

func stat(pid int) (state byte, start uint64, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name, in parentheses, may hold anything: count from its end.
	i := strings.LastIndexByte(string(b), ')')
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0][0], start, err
}

// Alive says whether it still runs.
func (p Process) Alive() bool {
	if p.PID <= 0 || p.BootID != BootID() {
		return false
	}
	state, start, err := stat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// open gives a pidfd of it: opened first and checked after, so that the fd is
// of the process that was checked.
func (p Process) open() (int, error) {
	if p.PID <= 0 || p.BootID != BootID() {
		return -1, ErrGone
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, syscall.ESRCH) {
		return -1, ErrGone
	}
	if err != nil {
		return -1, fmt.Errorf("opening process %d: %w", p.PID, err)
	}
	if !p.Alive() {
		_ = unix.Close(fd)
		return -1, ErrGone
	}
	return fd, nil
}

// Signal signals it; ErrGone when it has ended.
func (p Process) Signal(sig syscall.Signal) error {
	fd, err := p.open()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return ErrGone
		}
		return fmt.Errorf("signalling process %d: %w", p.PID, err)
	}
	return nil
}

// Wait returns nil when it has ended. It costs no thread: the pidfd is waited
// on by the Go runtime's poller.
func (p Process) Wait(ctx context.Context) error {
	fd, err := p.open()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return err == nil && n > 0
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
