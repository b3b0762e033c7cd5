package machinedir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ShareSource is the mount source of a machine's shared directory: how it is
// recognised in a mount table whose other entries we did not make.
func ShareSource(id string) string { return "vitrine-" + id }

// DialShared connects to a unix socket in a machine's shared directory, seen
// through the mount namespace of one of the given processes (the supervisor
// first; any process of the machine when that was killed).
//
// The machine's root owns that directory and may put anything there: a symlink
// to a socket of the host, a FIFO, a directory. So every step is opened without
// following links, what was opened must be a socket, and the connection goes to
// that very inode through /proc/self/fd, which also makes the length of the
// path (108 bytes in a sockaddr_un) no matter.
func DialShared(ctx context.Context, id, name string, pids []int) (net.Conn, error) {
	var errs []error
	for _, pid := range pids {
		dir, err := openShare(id, pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := DialSocket(ctx, dir, name)
		_ = unix.Close(dir)
		return conn, err
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("no process of the machine runs"))
	}
	return nil, fmt.Errorf("finding the agent's directory: %w", errors.Join(errs...))
}

// openShare opens the shared directory as process pid sees it.
func openShare(id string, pid int) (int, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	f, err := os.Open(proc + "/mountinfo")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	at := ""
	for sc.Scan() {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if ok && len(fields) > 4 && len(tail) > 1 && tail[0] == "tmpfs" && tail[1] == ShareSource(id) && fields[3] == "/" {
			at = fields[4]
			break
		}
	}
	if at == "" {
		return -1, fmt.Errorf("process %d does not see it", pid)
	}
	root, err := unix.Open(proc+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the root of process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(root) }()
	// A process whose root is the directory itself (a VMM in its chroot) sees it
	// at "/".
	return unix.Openat2(root, "./"+strings.TrimPrefix(at, "/"), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_IN_ROOT,
	})
}

// DialSocket connects to a unix socket in an opened directory.
func DialSocket(ctx context.Context, dir int, name string) (net.Conn, error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the agent's socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("looking at the agent's socket: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errors.New("what the machine put in the place of the agent's socket is no socket")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(fd))
	if err != nil {
		return nil, fmt.Errorf("connecting to the agent: %w", errors.Unwrap(err))
	}
	return conn, nil
}
