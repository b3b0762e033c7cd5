package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// xStartTime is how long Xvnc may take until it takes connections: 40 ms on an
// idle host, seconds under gVisor on a busy one.
const xStartTime = 20 * time.Second

// xserver is the X server, which is Xvnc so that the same screen serves RFB.
type xserver struct {
	place         place
	width, height int
	up            *gate

	mu      sync.Mutex
	display string // ":0"; "" before the first start
}

func newXserver(p place, width, height int) *xserver {
	x := &xserver{place: p, width: width, height: height, up: newGate()}
	if p.machine {
		x.display = ":0"
	}
	return x
}

func (x *xserver) name() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.display
}

func (x *xserver) authority() string { return filepath.Join(x.place.runtime, "xauthority") }
func (x *xserver) vncPath() string   { return filepath.Join(x.place.runtime, "vnc.sock") }

func (x *xserver) env() []string {
	return []string{"DISPLAY=" + x.name(), "XAUTHORITY=" + x.authority()}
}

// args of Xvnc. Nothing listens on TCP, and in a machine nothing on an abstract
// socket, which every process in the network namespace could reach. RFB needs
// no password: its socket's mode is the fence. Clients of one socket look like
// one host to the black list, so that is off.
//
// Outside a machine Xvnc looks for a free display by itself, and that is what
// the abstract socket is for there: with -displayfd it makes no lock file, and
// takes the name of a socket in /tmp from whoever has it.
func (x *xserver) args() []string {
	var args []string
	if x.place.machine {
		args = append(args, x.name(), "-nolisten", "local")
	}
	return append(args,
		"-displayfd", "3",
		"-geometry", fmt.Sprintf("%dx%d", x.width, x.height), "-depth", "24", "-dpi", "96",
		"-auth", x.authority(),
		"-nolisten", "tcp",
		// Nothing draws by GLX here, and it would load LLVM into the server.
		"-extension", "GLX",
		"-rfbport", "-1", "-rfbunixpath", x.vncPath(), "-rfbunixmode", "0600",
		"-SecurityTypes", "None", "-UseBlacklist=0", "-AlwaysShared=1",
		"-AcceptSetDesktopSize=1", "-FrameRate", "60",
		"-desktop", "Vitrine", "-noreset", "-s", "off",
	)
}

func (d *desktop) startX(ctx context.Context, p *program, _ int) (instance, error) {
	x := d.x
	x.clean()
	if err := writeAuthority(x.place, x.authority()); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start Xvnc: %w", err)
	}
	defer r.Close()
	s, err := spawn(d.place, p.lines, d.place.userEnv(), []*os.File{w}, "Xvnc", x.args()...)
	if err != nil {
		return nil, err
	}
	number, err := x.number(ctx, r)
	if err != nil {
		s.stop(otherGrace)
		how, _ := s.exit()
		return nil, fmt.Errorf("Xvnc did not come up (%s): %w", how, err)
	}
	x.mu.Lock()
	x.display = ":" + strconv.Itoa(number)
	x.mu.Unlock()
	x.up.set(true)
	d.log.Info("the X server is up", "display", x.name())
	go func() {
		<-s.done()
		x.up.set(false)
		x.clean()
	}()
	return s, nil
}

// number reads the display's number, which Xvnc writes when it takes
// connections (-displayfd, Xserver(1)).
func (x *xserver) number(ctx context.Context, r *os.File) (int, error) {
	_ = r.SetReadDeadline(time.Now().Add(xStartTime))
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })()
	line, err := bufio.NewReaderSize(r, 16).ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("wait for its display number: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil || n < 0 || n > 59535 {
		return 0, errors.New("it gave no display number")
	}
	return n, nil
}

// clean removes the socket of an X server of ours that was killed.
func (x *xserver) clean() {
	name := x.name()
	if name == "" {
		return
	}
	socket := "/tmp/.X11-unix/X" + strings.TrimPrefix(name, ":")
	c, err := net.Dial("unix", socket)
	if err == nil {
		_ = c.Close() // another server has the name by now
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(socket)
	}
}

// writeAuthority makes a new cookie file. Its form is Xauth's (Xau(3)): family,
// address, number, name, data, each but the first with a 16-bit length. The
// wild family fits any display, so it can be written before there is one.
func writeAuthority(p place, path string) error {
	const familyWild, name = 0xffff, "MIT-MAGIC-COOKIE-1"
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // never fails (crypto/rand)
	b := binary.BigEndian.AppendUint16(nil, familyWild)
	for _, field := range [][]byte{nil, nil, []byte(name), cookie} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	return p.write(path, b)
}
