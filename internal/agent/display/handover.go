package display

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The control socket between agent and child is a SOCK_SEQPACKET pair: one
// datagram is one JSON message, with at most one file descriptor beside it. The
// child has it as descriptor controlFD. Both ends are our own program.
const (
	controlFD  = 3
	maxControl = 16 << 10 // bytes of one message; paths and sizes only
)

// The operations of a request.
const (
	opStream     = "stream"     // with the stream's socket
	opScreenshot = "screenshot" // with a pipe that the PNG is written to
	opResize     = "resize"
)

// request is what the agent asks of the child.
type request struct {
	ID     uint64     `json:"id"`
	Op     string     `json:"op"`
	Path   string     `json:"path,omitempty"`
	Query  url.Values `json:"query,omitempty"`
	Width  int        `json:"w,omitempty"`
	Height int        `json:"h,omitempty"`
}

// reply answers the request with the same ID. ID 0 is the child saying that it
// is connected to the X server.
type reply struct {
	ID     uint64 `json:"id"`
	Err    string `json:"err,omitempty"`
	Width  int    `json:"w,omitempty"`
	Height int    `json:"h,omitempty"`
}

// CheckStream says whether Stream would accept this path and query, so that the
// caller can refuse before it answers 101.
func CheckStream(path string, query url.Values) error {
	switch path {
	case agentproto.PathControl:
		return nil
	case agentproto.PathVideo:
		switch c := query.Get("codec"); c {
		case codecVP8, codecH264:
			return nil
		default:
			return fmt.Errorf("codec %.20q is neither vp8 nor h264", c)
		}
	}
	return fmt.Errorf("%.40q is not a stream of the display", path)
}

// socketPair makes the control socket: the agent's end, and the child's.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the display's control socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "display"), os.NewFile(uintptr(fds[1]), "agent")
	defer ours.Close() // FileConn duplicates
	conn, err := controlConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

func controlConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use the display's control socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("the display's control socket is not a unix socket")
	}
	return u, nil
}

// sendMessage sends one message, with f's descriptor when f is not nil.
func sendMessage(c *net.UnixConn, v any, f *os.File) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxControl {
		return fmt.Errorf("control message of %d bytes, at most %d", len(b), maxControl)
	}
	var oob []byte
	if f != nil {
		// Fd() would make the file blocking; its raw connection does not.
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		var werr error
		if err := raw.Control(func(fd uintptr) {
			oob = unix.UnixRights(int(fd))
			_, _, werr = c.WriteMsgUnix(b, oob, nil)
		}); err != nil {
			return err
		}
		return werr
	}
	_, _, err = c.WriteMsgUnix(b, oob, nil)
	return err
}

// receiveMessage reads one message into v, and the descriptor beside it, nil
// when there is none.
func receiveMessage(c *net.UnixConn, v any) (*os.File, error) {
	buf := make([]byte, maxControl)
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, net.ErrClosed // a closed SEQPACKET peer reads as empty
	}
	f, err := oneFile(oob[:oobn])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(buf[:n], v); err != nil {
		if f != nil {
			f.Close()
		}
		return nil, fmt.Errorf("control message: %w", err)
	}
	return f, nil
}

// oneFile takes the first descriptor out of ancillary data and closes others.
func oneFile(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var f *os.File
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			if f != nil {
				unix.Close(fd)
				continue
			}
			f = os.NewFile(uintptr(fd), "stream")
		}
	}
	return f, nil
}
