package display

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xfixes"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Main is the child, "vitrine-agent display". It returns the exit status: 0
// when the agent closed the control socket, 1 with a line on stderr when the X
// server could not be reached or went away.
func Main() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("part", "display")
	// The desktop's programs run as the same user: no ptrace, no /proc/…/fd.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Error("become undumpable", "err", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	f := os.NewFile(controlFD, "agent")
	conn, err := controlConn(f)
	if err != nil {
		log.Error("not started by the agent", "err", err)
		return 1
	}
	f.Close()
	d, err := newDesk(os.Getenv("DISPLAY"), log)
	if err != nil {
		_ = sendMessage(conn, reply{Err: err.Error()}, nil)
		log.Error("start", "err", err)
		return 1
	}
	if err := d.serve(ctx, conn); err != nil {
		log.Error("the display ends", "err", err)
		return 1
	}
	return 0
}

// desk is everything the child does.
type desk struct {
	log    *slog.Logger
	x      *xserver // of cursor, clipboard, size and screenshots
	engine *engine
	typist *typist
	sizer  *sizer
	cursor *cursors
	clip   *clipboard
	open   controls
	told   agentproto.Size // the engine's: the last size that streams were told
	lost   chan error
}

func newDesk(display string, log *slog.Logger) (*desk, error) {
	first, err := connect(display)
	if err != nil {
		return nil, err
	}
	keys, err := first.again(display)
	if err != nil {
		return nil, err
	}
	x, err := first.again(display)
	if err != nil {
		return nil, err
	}
	d := &desk{log: log, x: x, sizer: &sizer{x: x, log: log}, lost: make(chan error, 3)}
	if d.typist, err = newTypist(keys, log); err != nil {
		return nil, err
	}
	if d.cursor, err = watchCursor(x); err != nil {
		return nil, err
	}
	d.clip, err = newClipboard(x, log, d.open.any, func(s string) {
		d.open.tell(agentproto.Event{Type: "clipboard", Text: s})
	})
	if err != nil {
		return nil, err
	}
	if d.engine, err = newEngine(first, log, d.resized); err != nil {
		return nil, err
	}
	lost := func(err error) { d.lost <- err }
	go first.pump(log, d.engine.event, lost)
	go keys.pump(log, d.typist.event, lost)
	go x.pump(log, d.event, lost)
	if w, h, err := x.size(); err == nil {
		d.told = agentproto.Size{Width: w, Height: h}
	}
	if err := d.sizer.steady(); err != nil {
		log.Warn("the screen keeps its refresh rate", "err", err)
	}
	return d, nil
}

// event takes the events of the desk's own connection.
func (d *desk) event(ev xgb.Event) {
	if c, ok := ev.(xfixes.CursorNotifyEvent); ok {
		if d.open.any() {
			d.open.tell(d.cursor.image(c.CursorSerial, d.log))
		}
		return
	}
	d.clip.event(ev)
}

// resized is called by the engine when the screen has a new size.
func (d *desk) resized(w, h int) {
	now := agentproto.Size{Width: w, Height: h}
	if now == d.told {
		return // one change makes several events, for its several steps
	}
	d.told = now
	d.open.tell(agentproto.Event{Type: "resized", Width: w, Height: h})
	go func() {
		if err := d.sizer.steady(); err != nil {
			d.log.Debug("steady", "err", err)
		}
	}()
}

// serve does what the agent asks until it hangs up, ctx ends, or the X server
// is lost.
func (d *desk) serve(ctx context.Context, conn *net.UnixConn) error {
	go d.engine.run()
	defer close(d.engine.stop)
	w, h, err := d.x.size()
	if err != nil {
		return err
	}
	if err := sendMessage(conn, reply{Width: w, Height: h}, nil); err != nil {
		return fmt.Errorf("tell the agent: %w", err)
	}
	gone := make(chan struct{})
	go func() { d.requests(conn); close(gone) }()
	select {
	case <-gone:
		return nil
	case err := <-d.lost:
		return err
	case <-ctx.Done():
		return nil
	}
}

// requests reads the agent's requests; each is done apart, so that a
// screenshot does not delay a stream.
func (d *desk) requests(conn *net.UnixConn) {
	for {
		var req request
		f, err := receiveMessage(conn, &req)
		if err != nil {
			return // the agent is gone, and so are we
		}
		go func() {
			r := reply{ID: req.ID}
			if err := d.do(req, f, &r); err != nil {
				r.Err = err.Error()
			}
			_ = sendMessage(conn, r, nil) // if it is gone, the reader notices
		}()
	}
}

func (d *desk) do(req request, f *os.File, r *reply) error {
	if f != nil {
		defer f.Close()
	}
	switch req.Op {
	case opResize:
		var err error
		r.Width, r.Height, err = d.sizer.set(req.Width, req.Height)
		return err
	case opScreenshot:
		if f == nil {
			return errors.New("no pipe")
		}
		return screenshot(d.x, f)
	case opStream:
		if f == nil {
			return errors.New("no socket")
		}
		if err := CheckStream(req.Path, req.Query); err != nil {
			return err
		}
		conn, err := net.FileConn(f)
		if err != nil {
			return err
		}
		if req.Path == agentproto.PathVideo {
			v := newVideo(conn, req.Query.Get("codec"), d.engine.poke)
			v.serve()
			d.engine.add(v)
			return nil
		}
		return d.control(conn)
	}
	return fmt.Errorf("unknown request %.20q", req.Op)
}

// control runs one control stream.
func (d *desk) control(conn net.Conn) error {
	c := newControl(conn)
	if !d.open.add(c) {
		conn.Close()
		return errors.New("too many control streams")
	}
	if w, h, err := d.x.size(); err == nil {
		c.tell(agentproto.Event{Type: "resized", Width: w, Height: h})
	}
	c.tell(d.cursor.image(0, d.log))
	go c.write()
	go func() {
		c.read(d.input)
		d.open.drop(c)
		d.typist.input(agentproto.Input{Type: "release"})
	}()
	return nil
}

func (d *desk) input(in agentproto.Input) {
	switch in.Type {
	case "clipboard":
		d.clip.set(in.Text)
	case "resize":
		d.sizer.wish(in.Width, in.Height)
	default:
		d.typist.input(in)
	}
}
