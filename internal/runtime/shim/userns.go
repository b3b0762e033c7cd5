package shim

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// IDs is how many uids and gids a machine has: 0..65535 of its own.
const IDs = 65536

// userNamespace makes a user namespace with a machine's mapping, to hand to
// mount_setattr. Only a process can make one, so a child is started in it and
// stopped by ptrace before its first instruction: it never runs.
func userNamespace(hostID int) (*os.File, error) {
	runtime.LockOSThread() // ptrace binds the child to this thread
	defer runtime.UnlockOSThread()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: hostID, Size: IDs}}
	p, err := os.StartProcess("/proc/self/exe", []string{"vitrine-userns"}, &os.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
			Ptrace: true, Pdeathsig: syscall.SIGKILL,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making a user namespace (is user.max_user_namespaces 0?): %w", err)
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	f, err := os.Open("/proc/" + strconv.Itoa(p.Pid) + "/ns/user")
	if err != nil {
		return nil, fmt.Errorf("opening the user namespace: %w", err)
	}
	return f, nil
}
