package shim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// limit is a context that ends by itself; its timer is small and we are short.
func limit(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// start brings the machine up and writes machine.json.
func (s *supervisor) start() error {
	if err := s.mountAll(); err != nil {
		return err
	}
	stdio, err := s.openConsole()
	if err != nil {
		return err
	}
	pid, err := s.spawn(s.plan.Command, stdio)
	stdio.Close() // the children hold it now, so its last reader's end is theirs
	if err != nil {
		return err
	}
	if s.plan.PIDFile != "" {
		if pid, err = s.detached(pid); err != nil {
			return err
		}
	}
	if s.machine, err = machinedir.ProcessOf(pid); err != nil {
		// It has left already: its status waits to be read.
		s.machine = machinedir.Process{BootID: machinedir.BootID(), PID: pid, At: time.Now().UTC()}
	}
	return s.dir.Write(machinedir.MachineFile, s.machine)
}

// detached waits for the OCI runtime to detach the machine and reads its pid.
func (s *supervisor) detached(command int) (int, error) {
	ws := s.waitFor(command)
	name := s.plan.Command[0]
	if ws.Signaled() {
		if s.group.OOMKills() > 0 {
			return 0, fmt.Errorf("%s was killed: the machine's memory limit is too small for it to start", name)
		}
		return 0, fmt.Errorf("%s was killed by %s", name, ws.Signal())
	}
	if ws.ExitStatus() != 0 {
		return 0, fmt.Errorf("%s left with status %d", name, ws.ExitStatus())
	}
	b, err := os.ReadFile(s.plan.PIDFile)
	if err != nil {
		return 0, fmt.Errorf("reading the machine's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("reading the machine's pid: %.20q is none", b)
	}
	return pid, nil
}

// spawn starts a program inside the machine's cgroup.
func (s *supervisor) spawn(command []string, stdio *os.File) (int, error) {
	var pid int
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", command[0], err)
	}
	defer null.Close()
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", command[0], err)
	}
	if s.plan.OwnPIDs {
		// Through ourselves, to set the namespaces up: `… enter STAGE COMMAND…`.
		self := append([]string{}, os.Args[:len(os.Args)-2]...)
		path, command = "/proc/self/exe", append(append(self, "enter", s.plan.Stage), command...)
	}
	err = s.group.Start(s.prepareThread, func(attr *syscall.SysProcAttr) error {
		attr.Setsid = true
		if s.plan.OwnPIDs {
			attr.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
		}
		p, err := os.StartProcess(path, command, &os.ProcAttr{
			Dir: cmp.Or(s.plan.Dir, "/"), Env: []string{"PATH=" + os.Getenv("PATH")}, Files: []*os.File{null, stdio, stdio}, Sys: attr,
		})
		if err != nil {
			return err
		}
		pid = p.Pid
		return p.Release() // reaped by wait4, with all the others
	})
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", command[0], err)
	}
	return pid, nil
}

// prepareThread sets the calling thread, which forks the command and then ends,
// up as the command is to find itself: its mounts and its network namespace.
func (s *supervisor) prepareThread() error {
	if len(s.plan.Unmount) > 0 {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("making a mount namespace: %w", err)
		}
		for _, m := range s.plan.Unmount {
			if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmounting %s: %w", m, err)
			}
		}
	}
	if s.plan.Jail != nil {
		// Whatever is started from here on, nothing gives it more than it has.
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("giving privileges up: %w", err)
		}
	}
	if s.plan.NetNS == "" {
		return s.jailNet()
	}
	f, err := os.Open(s.plan.NetNS)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the network namespace: %w", err)
	}
	return nil
}

// reap collects every child that has ended; orphans of the machine come to us
// because we are a subreaper.
func (s *supervisor) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if s.machine.PID == 0 || pid == s.machine.PID {
			s.early[pid] = ws
		}
	}
}

// waitFor blocks until a child has ended, and serves signals meanwhile.
func (s *supervisor) waitFor(pid int) syscall.WaitStatus {
	for {
		s.reap()
		if ws, ok := s.early[pid]; ok {
			return ws
		}
		if sig := <-s.signals; sig == syscall.SIGTERM {
			s.askToEnd()
		}
	}
}

// wait blocks until the machine has ended.
func (s *supervisor) wait() machinedir.Exit {
	ws := s.waitFor(s.machine.PID)
	if ws.Signaled() {
		return machinedir.Exit{Code: 128 + int(ws.Signal()), Signal: int(ws.Signal())}
	}
	return machinedir.Exit{Code: ws.ExitStatus()}
}

// askToEnd asks the machine to end by itself.
func (s *supervisor) askToEnd() {
	if s.machine.PID == 0 {
		return // not up yet: the runtime kills it after its grace
	}
	if len(s.plan.StopCommand) == 0 {
		_ = s.machine.Signal(syscall.SIGTERM)
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	_, _ = s.spawn(s.plan.StopCommand, null) // reaped with the others
}

// watch takes over a machine whose supervisor was killed.
func (s *supervisor) watch() int {
	if err := s.dir.Read(machinedir.MachineFile, &s.machine); err != nil {
		s.answer(err)
		return 1
	}
	stdio, err := s.openConsole()
	if err != nil {
		s.answer(err)
		return 1
	}
	stdio.Close()
	s.answer(nil)
	go func() {
		for sig := range s.signals {
			if sig == syscall.SIGTERM {
				_ = s.machine.Signal(syscall.SIGTERM)
			}
		}
	}()
	_ = s.machine.Wait(context.Background())
	s.finish(machinedir.Exit{Code: -1})
	return 0
}
