package display

import (
	"fmt"
	"image"

	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/shm"
	"github.com/jezek/xgb/xproto"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agent/codec"
)

// screen is the X screen at one size: the memory shared with the server, and
// the converted picture. A new size needs a new screen.
type screen struct {
	x             *xserver
	width, height int // of the picture: the screen's, without an odd last column or row
	picture       *codec.I420
	seg           shm.Seg
	mem           []byte // shared with the server; nil without MIT-SHM
	damage        damage.Damage
}

// openScreen shares memory for the screen's present size and starts to be told
// of its changes. The first change is up to the caller: all of it is unknown.
func openScreen(x *xserver) (*screen, error) {
	w, h, err := x.size()
	if err != nil {
		return nil, err
	}
	s := &screen{x: x, width: w &^ 1, height: h &^ 1}
	if s.picture, err = codec.NewI420(s.width, s.height); err != nil {
		return nil, fmt.Errorf("capture a screen: %w", err)
	}
	if x.shm {
		if err := s.share(s.width * s.height * 4); err != nil {
			return nil, err
		}
	}
	if s.damage, err = damage.NewDamageId(x.conn); err == nil {
		// Delta: each rectangle once until it is subtracted. It needs no
		// request to learn what changed, and a busy client cannot flood us.
		err = damage.CreateChecked(x.conn, s.damage, xproto.Drawable(x.root), damage.ReportLevelDeltaRectangles).Check()
	}
	if err != nil {
		s.unshare()
		return nil, fmt.Errorf("watch the screen: %w", err)
	}
	return s, nil
}

// share makes a SysV segment: the server and we attach it, then its name goes,
// so that the kernel frees it with the last of us.
func (s *screen) share(size int) error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
	if err != nil {
		return fmt.Errorf("make %d bytes of shared memory: %w", size, err)
	}
	defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	mem, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		return fmt.Errorf("attach shared memory: %w", err)
	}
	if s.seg, err = shm.NewSegId(s.x.conn); err == nil {
		err = shm.AttachChecked(s.x.conn, s.seg, uint32(id), false).Check()
	}
	if err != nil {
		unix.SysvShmDetach(mem)
		return fmt.Errorf("share memory with the X server (it must run as this user): %w", err)
	}
	s.mem = mem
	return nil
}

func (s *screen) unshare() {
	if s.mem == nil {
		return
	}
	shm.Detach(s.x.conn, s.seg)
	unix.SysvShmDetach(s.mem)
	s.mem = nil
}

func (s *screen) close() {
	damage.Destroy(s.x.conn, s.damage)
	s.unshare()
}

func (s *screen) bounds() image.Rectangle { return image.Rect(0, 0, s.width, s.height) }

// grab fetches rects and converts them into the picture. What is drawn from the
// time of the call on is reported as new damage.
func (s *screen) grab(rects []image.Rectangle) error {
	damage.Subtract(s.x.conn, s.damage, 0, 0)
	if s.mem == nil {
		return s.grabSlowly(rects)
	}
	cookies := make([]shm.GetImageCookie, len(rects))
	offset := 0
	for i, r := range rects { // all asked for before the first is awaited
		cookies[i] = shm.GetImage(s.x.conn, xproto.Drawable(s.x.root), int16(r.Min.X), int16(r.Min.Y),
			uint16(r.Dx()), uint16(r.Dy()), ^uint32(0), xproto.ImageFormatZPixmap, s.seg, uint32(offset))
		offset += r.Dx() * r.Dy() * 4
	}
	var failed error
	for _, c := range cookies {
		if _, err := c.Reply(); err != nil && failed == nil {
			failed = fmt.Errorf("fetch the screen: %w", err)
		}
	}
	if failed != nil {
		return failed
	}
	offset = 0
	for _, r := range rects {
		if err := s.picture.Convert(r, s.mem[offset:], r.Dx()*4); err != nil {
			return err
		}
		offset += r.Dx() * r.Dy() * 4
	}
	return nil
}

// grabSlowly fetches through the connection, for a server without MIT-SHM.
func (s *screen) grabSlowly(rects []image.Rectangle) error {
	for _, r := range rects {
		data, err := getImage(s.x, r)
		if err != nil {
			return err
		}
		if err := s.picture.Convert(r, data, r.Dx()*4); err != nil {
			return err
		}
	}
	return nil
}

// getImage is r's pixels, BGRX.
func getImage(x *xserver, r image.Rectangle) ([]byte, error) {
	g, err := xproto.GetImage(x.conn, xproto.ImageFormatZPixmap, xproto.Drawable(x.root), int16(r.Min.X), int16(r.Min.Y),
		uint16(r.Dx()), uint16(r.Dy()), ^uint32(0)).Reply()
	if err != nil {
		return nil, fmt.Errorf("fetch the screen: %w", err)
	}
	if len(g.Data) < r.Dx()*r.Dy()*4 {
		return nil, fmt.Errorf("fetch the screen: %d bytes for %v", len(g.Data), r)
	}
	return g.Data, nil
}

// monotonic is the machine's monotonic clock, which stamps the frames.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
