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
// host, and each coming and going wakes who waits.
//
// The driver learns of a host's leaving and coming by another queue than that of
// the data, so a new host's first bytes can be read before the old one has left
// (seen in 8 of 100 connections that followed each other at once). So a host has
// left when it has stayed away for a while.
//
// Nothing here may call poll(2): where that finds data before its interrupt
// does, the driver wakes nobody (seen in 3 of 100 connections).
type vport struct {
	file *os.File
	raw  syscall.RawConn
	host bool // Read's own: a host was there when it last looked
	away bool // Read's own: it is not, and a deadline runs
}

// awayFor is how long a host may be away before it has left; what it takes to be
// told of both is milliseconds, on a busy host some hundred.
const awayFor = time.Second

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
	expired := false // the host was away for a while when Read looks again
	for {
		var n int
		var err error
		waiting := p.raw.Read(func(fd uintptr) bool {
			n, err = retry(func() (int, error) { return unix.Read(int(fd), b) })
			switch {
			case errors.Is(err, unix.EAGAIN): // a host, and nothing to read
				expired = false
				p.seen()
				return false
			case n == 0 && err == nil && expired:
				err = io.EOF
			case n == 0 && err == nil && p.host:
				p.host, p.away = false, true
				_ = p.file.SetReadDeadline(time.Now().Add(awayFor))
				return false
			case n == 0 && err == nil: // nobody came since
				return false
			case err == nil:
				p.seen()
			}
			return true
		})
		if expired = errors.Is(waiting, os.ErrDeadlineExceeded); !expired {
			return max(n, 0), errors.Join(waiting, err)
		}
		// It may be back without a word, which wakes writers only.
		p.away = false
		_ = p.file.SetReadDeadline(time.Time{})
	}
}

// seen notes that a host is there.
func (p *vport) seen() {
	p.host = true
	if p.away {
		p.away = false
		_ = p.file.SetReadDeadline(time.Time{})
	}
}

// Write sends all of b. While no host is there it waits: for the next one, or
// until its deadline.
func (p *vport) Write(b []byte) (int, error) {
	sent := 0
	var err error
	werr := p.raw.Write(func(fd uintptr) bool {
		for sent < len(b) {
			var n int
			n, err = retry(func() (int, error) { return unix.Write(int(fd), b[sent:]) })
			if errors.Is(err, unix.EAGAIN) {
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

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
