package agent

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// vport is the guest's end of a virtio-serial port, an agentproto.RawPort. It
// relies on what Linux's driver does (drivers/char/virtio_console.c): without a
// host read(2) gives 0 when nothing is left, write(2) would wait for the next
// host, and poll(2) tells a hang-up; each coming and going wakes who waits.
type vport struct {
	file *os.File
	raw  syscall.RawConn
	host bool // Read's own: a host was there when it last looked
}

func openPort(path string) (*vport, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &vport{file: f, raw: raw}, nil
}

// Read gives io.EOF once when the host left, and waits for the next one then.
func (p *vport) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var n int
	var err error
	werr := p.raw.Read(func(fd uintptr) bool {
		n, err = retry(func() (int, error) { return unix.Read(int(fd), b) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			n, err = 0, nil
			p.host = true
			return false
		case n == 0 && err == nil && !p.host:
			return false // nobody came since
		case n == 0 && err == nil:
			p.host, err = false, io.EOF
		case err == nil:
			p.host = true
		}
		return true
	})
	return max(n, 0), errors.Join(werr, err)
}

// Write sends all of b, and fails when the host is gone.
func (p *vport) Write(b []byte) (int, error) {
	sent := 0
	var err error
	werr := p.raw.Write(func(fd uintptr) bool {
		for sent < len(b) {
			var n int
			n, err = retry(func() (int, error) { return unix.Write(int(fd), b[sent:]) })
			if errors.Is(err, unix.EAGAIN) {
				if hungUp(fd) {
					err = syscall.EPIPE
					return true
				}
				return false
			}
			if err != nil {
				return true
			}
			sent += n
		}
		return true
	})
	if werr != nil { // a deadline, or closed
		err = werr
	}
	return sent, err
}

func (p *vport) SetWriteDeadline(t time.Time) error { return p.file.SetWriteDeadline(t) }
func (p *vport) Close() error                       { return p.file.Close() }

func hungUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
