package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// stopGrace is how long the machine's end may take: Chromium needs about a
// second to save a profile, and a runtime that waits longer kills anyway.
const stopGrace = 5 * time.Second

// Init is the machine's first process, or in the process runtime (dir is not
// agentproto.Dir) an ordinary one that adopts its orphans. It returns serve's
// exit status when serve has left and nothing of ours runs any more. vm says
// that it is the first process of a whole kernel: it does not return then, but
// resets the machine, which ends its VMM.
func Init(dir string, vm bool, log *slog.Logger) int {
	machine := dir == agentproto.Dir
	if vm {
		defer resetMachine() // the kernel panics when its first process leaves
		// Ctrl-alt-del, by which Firecracker asks, comes as SIGINT then.
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	}
	if machine {
		prepareMachine(log)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		log.Warn("cannot adopt orphans", "err", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)

	serve, err := startServe(dir, vm)
	if err != nil {
		log.Error("the agent does not start", "err", err)
		return 1
	}
	var deadline <-chan time.Time
	for {
		if status, done := reap(serve); done {
			if status != 0 && deadline == nil {
				log.Error("the agent ended without being asked, and the machine with it", "status", status)
			}
			endChildren(machine)
			return status
		}
		select {
		case s := <-signals:
			if s == syscall.SIGCHLD || deadline != nil {
				continue
			}
			log.Info("the machine is asked to end")
			_ = syscall.Kill(serve, syscall.SIGTERM)
			deadline = time.After(stopGrace)
		case <-deadline:
			log.Warn("the agent did not end in time and is killed", "after", stopGrace)
			_ = syscall.Kill(serve, syscall.SIGKILL)
		}
	}
}

// startServe starts `serve` from our own binary. Pdeathsig, so that a killed
// init leaves nothing of its machine running where there is no pid namespace.
func startServe(dir string, vm bool) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find the agent's own program: %w", err)
	}
	args := []string{filepath.Base(self), "serve", "--dir", dir}
	if vm {
		args = append(args, "--vm")
	}
	pid, err := syscall.ForkExec(self, args, &syscall.ProcAttr{
		Env:   rootEnv(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s serve: %w", self, err)
	}
	return pid, nil
}

// syncTime bounds the last writing to the drives: one that does not answer must
// not keep the machine.
const syncTime = 5 * time.Second

// resetMachine writes what is not on the drives yet, and resets the machine.
func resetMachine() {
	synced := make(chan struct{})
	go func() {
		defer close(synced)
		_ = unix.IoctlSetInt(1, unix.TCSBRK, 1) // what the console has yet to print (tcdrain(3))
		unix.Sync()
	}()
	select {
	case <-synced:
	case <-time.After(syncTime):
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// reap collects every child that has ended; done when serve is among them.
func reap(serve int) (status int, done bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return status, done
		}
		if pid != serve {
			continue
		}
		done, status = true, ws.ExitStatus()
		if ws.Signaled() {
			status = 128 + int(ws.Signal())
		}
	}
}

// endChildren kills what is left: everything in a machine of our own, and only
// our own descendants elsewhere. Orphans come to us, so killing children until
// there are none gets the whole tree.
func endChildren(machine bool) {
	deadline := time.Now().Add(time.Second)
	for time.Now().Before(deadline) {
		if machine && os.Getpid() == 1 {
			_ = syscall.Kill(-1, syscall.SIGKILL)
		} else {
			for _, pid := range descendants(os.Getpid()) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) {
			return
		}
		if pid == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}
