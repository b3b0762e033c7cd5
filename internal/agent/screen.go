package agent

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/display"
)

// screenRun is one run of the display child.
type screenRun struct{ child *display.Process }

func (s screenRun) pid() int              { return s.child.PID() }
func (s screenRun) done() <-chan struct{} { return s.child.Done() }
func (s screenRun) exit() (string, bool)  { return "the display child ended", false }
func (s screenRun) stop(time.Duration)    { s.child.Close() }

// startScreen starts the child that captures, encodes and types.
func (d *desktop) startScreen(ctx context.Context, p *program, _ int) (instance, error) {
	if err := d.x.up.wait(ctx); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go p.lines.read(r)
	child, err := display.Start(ctx, display.Options{
		Display: d.x.name(), XAuthority: d.x.authority(),
		UID: d.place.uid, GID: d.place.gid, Dir: d.place.home, Stderr: w,
	})
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	d.mu.Lock()
	d.screen = child
	d.mu.Unlock()
	go func() {
		<-child.Done()
		_ = w.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.screen == child {
			d.screen = nil
		}
	}()
	return screenRun{child: child}, nil
}

// display gives the running display child.
func (d *desktop) display() (*display.Process, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.screen == nil {
		return nil, fmt.Errorf("the display %w", errNotUp)
	}
	return d.screen, nil
}
