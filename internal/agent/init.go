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
// exit status when serve has left and nothing of ours runs any more.
func Init(dir string, log *slog.Logger) int {
	machine := dir == agentproto.Dir
	if machine {
		prepareMachine(log)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		log.Warn("cannot adopt orphans", "err", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)

	serve, err := startServe(dir)
	if err != nil {
		log.Error("the agent does not start", "err", err)
		return 1
	}
	var deadline <-chan time.Time
	for {
		if status, done := reap(serve); done {
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
func startServe(dir string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find the agent's own program: %w", err)
	}
	pid, err := syscall.ForkExec(self, []string{filepath.Base(self), "serve", "--dir", dir}, &syscall.ProcAttr{
		Env:   rootEnv(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s serve: %w", self, err)
	}
	return pid, nil
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
