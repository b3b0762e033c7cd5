package display

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/randr"
	"github.com/jezek/xgb/shm"
	"github.com/jezek/xgb/xfixes"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"
)

// xserver is one connection. There are three, so that none waits for another:
// the engine's (damage and pictures), the typist's (keys must not queue behind
// a picture), and the desk's (cursor, clipboard, size).
type xserver struct {
	conn *xgb.Conn
	root xproto.Window
	info *xproto.SetupInfo
	shm  bool // the server has MIT-SHM
}

// connect opens the first connection and sets up the extensions.
func connect(display string) (*xserver, error) {
	xgb.Logger = log.New(io.Discard, "", 0) // it would write to stderr unasked
	x, err := dial(display)
	if err != nil {
		return nil, err
	}
	for _, ext := range []struct {
		name string
		init func(*xgb.Conn) error
	}{
		{"DAMAGE", damage.Init}, {"XFIXES", xfixes.Init}, {"RANDR", randr.Init}, {"XTEST", xtest.Init},
	} {
		if err := ext.init(x.conn); err != nil {
			x.conn.Close()
			return nil, fmt.Errorf("X extension %s on %s: %w", ext.name, display, err)
		}
	}
	x.shm = shm.Init(x.conn) == nil
	if err := x.versions(); err != nil {
		x.conn.Close()
		return nil, err
	}
	return x, nil
}

// again opens a further connection to the same server. It takes the
// extensions' numbers from the first: each Init writes xgb's global tables,
// which the other connections' readers are already using.
func (x *xserver) again(display string) (*xserver, error) {
	y, err := dial(display)
	if err != nil {
		return nil, err
	}
	y.conn.ExtLock.Lock()
	y.conn.Extensions = maps.Clone(x.conn.Extensions)
	y.conn.ExtLock.Unlock()
	y.shm = x.shm
	if err := y.versions(); err != nil {
		y.conn.Close()
		return nil, err
	}
	return y, nil
}

func dial(display string) (*xserver, error) {
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		return nil, fmt.Errorf("connect to X server %s: %w", display, err)
	}
	info := xproto.Setup(c)
	x := &xserver{conn: c, info: info, root: info.DefaultScreen(c).Root}
	if err := x.checkPixels(); err != nil {
		c.Close()
		return nil, err
	}
	return x, nil
}

// versions says which versions we speak; servers refuse other requests of
// XFIXES, DAMAGE and RANDR before.
func (x *xserver) versions() error {
	if _, err := xfixes.QueryVersion(x.conn, 5, 0).Reply(); err != nil {
		return fmt.Errorf("XFIXES version: %w", err)
	}
	if _, err := damage.QueryVersion(x.conn, 1, 1).Reply(); err != nil {
		return fmt.Errorf("DAMAGE version: %w", err)
	}
	if _, err := randr.QueryVersion(x.conn, 1, 3).Reply(); err != nil {
		return fmt.Errorf("RANDR version: %w", err)
	}
	return nil
}

// checkPixels refuses a screen whose pixels are not BGRX in memory, which is
// what the converter and the screenshot read.
func (x *xserver) checkPixels() error {
	s := x.info.DefaultScreen(x.conn)
	for _, f := range x.info.PixmapFormats {
		if f.Depth == s.RootDepth && f.BitsPerPixel == 32 && s.RootDepth == 24 &&
			x.info.ImageByteOrder == xproto.ImageOrderLSBFirst {
			return nil
		}
	}
	return fmt.Errorf("the screen has depth %d: only 24 (with 32 bits a pixel) can be captured", s.RootDepth)
}

// pump hands every event to on, until the connection ends; then it calls lost.
// X errors of requests that nobody waits for are harmless races (a window that
// is gone already) and are only logged.
func (x *xserver) pump(log *slog.Logger, on func(xgb.Event), lost func(error)) {
	for {
		ev, xerr := x.conn.WaitForEvent()
		if ev == nil && xerr == nil {
			lost(fmt.Errorf("the X server closed the connection"))
			return
		}
		if xerr != nil {
			log.Debug("X error", "err", xerr.Error())
			continue
		}
		on(ev)
	}
}

// size is the screen's size now, in pixels.
func (x *xserver) size() (int, int, error) {
	g, err := xproto.GetGeometry(x.conn, xproto.Drawable(x.root)).Reply()
	if err != nil {
		return 0, 0, fmt.Errorf("ask the screen's size: %w", err)
	}
	return int(g.Width), int(g.Height), nil
}
