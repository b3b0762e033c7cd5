package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// args of Xvnc. Nothing listens on TCP and nothing on an abstract socket, which
// every process in the network namespace could reach. RFB needs no password:
// its socket's mode is the fence. Clients of one socket look like one host to
// the black list, so that is off.
func (x *xserver) args() []string {
	var args []string
	if name := x.name(); name != "" {
		args = append(args, name)
	}
	return append(args,
		"-displayfd", "3",
		"-geometry", fmt.Sprintf("%dx%d", x.width, x.height), "-depth", "24", "-dpi", "96",
		"-auth", x.authority(),
		"-nolisten", "tcp", "-nolisten", "local",
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

// clean removes what an X server of ours left when it was killed: it would
// keep the next one from its display. Only when the lock's process is gone.
func (x *xserver) clean() {
	name := x.name()
	if name == "" {
		return
	}
	number := strings.TrimPrefix(name, ":")
	lock := "/tmp/.X" + number + "-lock"
	data := readProc(lock)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
		return
	}
	_ = os.Remove(lock)
	_ = os.Remove("/tmp/.X11-unix/X" + number)
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
