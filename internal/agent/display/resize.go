package display

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jezek/xgb/randr"
	"github.com/jezek/xgb/xproto"
)

// The sizes a screen may have, those of the domain's Viewport.
const (
	minWidth, maxWidth   = 320, 3840
	minHeight, maxHeight = 240, 2160
)

const (
	resizeDebounce = 150 * time.Millisecond // of a viewer dragging its window
	modePrefix     = "vitrine-"             // of the modes we make
	refresh        = 60                     // Hz; Chromium paints no faster than the mode says
)

// clampSize is the nearest size a screen may have; even, see package codec.
func clampSize(w, h int) (int, int) {
	return min(max(w, minWidth), maxWidth) &^ 1, min(max(h, minHeight), maxHeight) &^ 1
}

// sizer sets the screen's size.
type sizer struct {
	x   *xserver
	log *slog.Logger

	mu    sync.Mutex // one change at a time
	timer *time.Timer
	wishW int
	wishH int
}

// wish sets the size once no other wish has come for resizeDebounce.
func (s *sizer) wish(w, h int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wishW, s.wishH = w, h
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(resizeDebounce, func() {
		s.mu.Lock()
		w, h := s.wishW, s.wishH
		s.mu.Unlock()
		if _, _, err := s.set(w, h); err != nil {
			s.log.Warn("resize", "width", w, "height", h, "err", err)
		}
	})
}

// steady gives the present size a mode of 60 Hz, if it has another; a VNC
// client may have set the size.
func (s *sizer) steady() error {
	s.mu.Lock() // before the size is read, or a change in between would be undone
	defer s.mu.Unlock()
	w, h, err := s.x.size()
	if err != nil {
		return err
	}
	return s.apply(w, h)
}

// set sets the size and returns the one it got.
func (s *sizer) set(w, h int) (int, int, error) {
	w, h = clampSize(w, h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(w, h); err != nil {
		return 0, 0, fmt.Errorf("set the screen to %dx%d: %w", w, h, err)
	}
	return s.x.size()
}

func (s *sizer) apply(w, h int) error {
	r, err := randr.GetScreenResourcesCurrent(s.x.conn, s.x.root).Reply()
	if err != nil {
		return err
	}
	if len(r.Outputs) == 0 || len(r.Crtcs) == 0 {
		return errors.New("the X server has no output")
	}
	output, crtc := r.Outputs[0], r.Crtcs[0]
	info, err := randr.GetCrtcInfo(s.x.conn, crtc, r.ConfigTimestamp).Reply()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s%dx%d", modePrefix, w, h)
	names := modeNames(r)
	var mode randr.Mode
	for i, m := range r.Modes {
		if names[i] == name {
			mode = randr.Mode(m.Id)
		}
	}
	if mode != 0 && info.Mode == mode {
		return nil
	}
	if mode == 0 {
		if mode, err = s.makeMode(name, w, h); err != nil {
			return err
		}
	}
	if err := randr.AddOutputModeChecked(s.x.conn, output, mode).Check(); err != nil {
		return fmt.Errorf("add the mode: %w", err)
	}
	// Nobody may look between the steps: the screen must hold the picture at
	// each of them, and has neither the old nor the new size in between.
	xproto.GrabServer(s.x.conn)
	err = s.change(r, output, crtc, mode, w, h)
	xproto.UngrabServer(s.x.conn)
	if err != nil {
		return err
	}
	for i, m := range r.Modes { // the modes of earlier sizes
		if id := randr.Mode(m.Id); id != mode && strings.HasPrefix(names[i], modePrefix) {
			randr.DeleteOutputMode(s.x.conn, output, id)
			randr.DestroyMode(s.x.conn, id)
		}
	}
	return nil
}

// makeMode makes a mode without blanking, so that the dot clock is exact.
func (s *sizer) makeMode(name string, w, h int) (randr.Mode, error) {
	r, err := randr.CreateMode(s.x.conn, s.x.root, randr.ModeInfo{
		Width: uint16(w), Height: uint16(h), DotClock: uint32(w * h * refresh),
		HsyncStart: uint16(w), HsyncEnd: uint16(w), Htotal: uint16(w),
		VsyncStart: uint16(h), VsyncEnd: uint16(h), Vtotal: uint16(h),
		NameLen: uint16(len(name)),
	}, name).Reply()
	if err != nil {
		return 0, fmt.Errorf("make a mode: %w", err)
	}
	return r.Mode, nil
}

func (s *sizer) change(r *randr.GetScreenResourcesCurrentReply, output randr.Output, crtc randr.Crtc, mode randr.Mode, w, h int) error {
	nowW, nowH, err := s.x.size()
	if err != nil {
		return err
	}
	if err := s.screenSize(max(w, nowW), max(h, nowH), nowW, nowH); err != nil {
		return err
	}
	c, err := randr.SetCrtcConfig(s.x.conn, crtc, 0, r.ConfigTimestamp, 0, 0, mode,
		randr.RotationRotate0, []randr.Output{output}).Reply()
	if err != nil {
		return fmt.Errorf("set the mode: %w", err)
	}
	if c.Status != randr.SetConfigSuccess {
		return fmt.Errorf("set the mode: status %d", c.Status)
	}
	if nowW, nowH, err = s.x.size(); err != nil {
		return err
	}
	return s.screenSize(w, h, nowW, nowH)
}

// screenSize sets the screen's size, with a physical one of 96 dpi.
func (s *sizer) screenSize(w, h, nowW, nowH int) error {
	if w == nowW && h == nowH {
		return nil
	}
	mm := func(px int) uint32 { return uint32(px*254/960 + 1) }
	if err := randr.SetScreenSizeChecked(s.x.conn, s.x.root, uint16(w), uint16(h), mm(w), mm(h)).Check(); err != nil {
		return fmt.Errorf("set the screen's size: %w", err)
	}
	return nil
}

func modeNames(r *randr.GetScreenResourcesCurrentReply) []string {
	names := make([]string, len(r.Modes))
	rest := r.Names
	for i, m := range r.Modes {
		n := min(int(m.NameLen), len(rest))
		names[i], rest = string(rest[:n]), rest[n:]
	}
	return names
}
