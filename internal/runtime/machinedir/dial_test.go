package machinedir

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDialOnlyReachesASocketInTheDirectory puts in the socket's place all that a
// machine's root can make there. Whatever it is, the answer is an error and it
// comes at once.
func TestDialOnlyReachesASocketInTheDirectory(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "host.sock")
	host, err := net.Listen("unix", outside)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	go func() {
		for {
			if _, err := host.Accept(); err != nil {
				return
			}
			t.Error("a machine led the host to a socket of the host's")
		}
	}()
	for _, c := range []struct {
		name string
		make func(at string) error
	}{
		{"nothing", func(string) error { return nil }},
		{"a symlink to a socket of the host", func(at string) error { return os.Symlink(outside, at) }},
		{"a symlink beside it", func(at string) error {
			if _, err := net.Listen("unix", at+"2"); err != nil {
				return err
			}
			return os.Symlink(filepath.Base(at)+"2", at)
		}},
		{"a symlink to itself", func(at string) error { return os.Symlink(filepath.Base(at), at) }},
		{"a FIFO, which would hang an open", func(at string) error { return syscall.Mkfifo(at, 0o666) }},
		{"a file", func(at string) error { return os.WriteFile(at, nil, 0o666) }},
		{"a directory", func(at string) error { return os.Mkdir(at, 0o777) }},
		{"a socket that nobody listens on", func(at string) error {
			l, err := net.Listen("unix", at)
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}},
		{"a datagram socket", func(at string) error {
			_, err := net.ListenPacket("unixgram", at)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.make(filepath.Join(dir, "s")); err != nil {
				t.Fatal(err)
			}
			conn, took, err := dialIn(t, dir, "s")
			if err == nil {
				conn.Close()
				t.Error("it was taken for the agent's socket")
			}
			if took > time.Second {
				t.Errorf("the answer took %s", took)
			}
		})
	}
	for _, name := range []string{"../host.sock", outside, "."} {
		if _, _, err := dialIn(t, filepath.Dir(outside), name); err == nil {
			t.Errorf("%q was reached", name)
		}
	}
}

func dialIn(t *testing.T, dir, name string) (net.Conn, time.Duration, error) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	began := time.Now()
	conn, err := DialSocket(context.Background(), fd, name)
	return conn, time.Since(began), err
}

func TestDialWhereThePathIsTooLongForASocketAddress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	l, err := net.Listen("unix", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, _, err := dialIn(t, dir, "s")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
