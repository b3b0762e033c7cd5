package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// StartError is why a machine did not start; Lines are the last words of the
// OCI runtime and the machine.
type StartError struct {
	Message string   `json:"message"`
	Lines   []string `json:"lines,omitempty"`
}

func (e *StartError) Error() string { return e.Message }

// Launch starts the machine's supervisor, or with watch one that takes over a
// running machine, and returns when the machine runs. When ctx ends first the
// supervisor goes on, and what became of it is seen in the directory. command is
// how to get at Main, such as ["/proc/self/exe", "shim"]; group is where
// supervisors live.
func Launch(ctx context.Context, command []string, dir machinedir.Dir, group *cgroup.Group, watch bool) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	defer null.Close()

	verb := "run"
	if watch {
		verb = "watch"
	}
	// It outlives ctx, and us.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], append(append([]string{}, command[1:]...), verb, string(dir))...)
	cmd.Dir = "/"
	// Nothing of the daemon's environment: it may hold secrets, and this process
	// lives long. One P and an early GC keep it small.
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=25"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	cmd.ExtraFiles = []*os.File{w} // fd 3
	err = group.Start(nil, func(attr *syscall.SysProcAttr) error {
		attr.Setsid = true
		if !watch {
			attr.Cloneflags = syscall.CLONE_NEWNS
		}
		cmd.SysProcAttr = attr
		return cmd.Start()
	})
	w.Close()
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	go func() { _ = cmd.Wait() }() // reaped when it ends while we live

	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the machine to start: %w", ctx.Err())
		}
		return fmt.Errorf("waiting for the machine to start: %w", err)
	}
	var reply StartError
	if json.Unmarshal(b, &reply) != nil {
		return errors.New("the supervisor left without a word")
	}
	if reply.Message == machinedir.ErrSupervised.Error() {
		return machinedir.ErrSupervised
	}
	if reply.Message != "" {
		return &reply
	}
	return nil
}
