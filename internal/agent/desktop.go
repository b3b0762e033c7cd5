package agent

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/cdp"
	"github.com/vitrine-dev/vitrine/internal/agent/display"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// errNotUp is what a caller gets of a part that does not run at the moment.
var errNotUp = errors.New("is not up")

// desktop is the programs of a desktop machine and what is known of them.
//
// All start at once and wait, by gates, only for what they cannot do without:
// Chromium, the window manager and the display child for the X server, the
// sound server for Chromium's first picture, because it is not needed before
// and the CPU is.
type desktop struct {
	cfg   agentproto.Config
	place place
	log   *slog.Logger

	x       *xserver
	painted *gate // Chromium has shown a picture since it was last started

	programs []*program

	mu      sync.Mutex
	started bool // Chromium is started
	browser *cdp.Mux
	screen  *display.Process
	problem *agentproto.Problem
}

// Grace of the programs at the machine's end. Chromium saves its profile.
const (
	browserGrace = 3 * time.Second
	otherGrace   = 500 * time.Millisecond
)

func newDesktop(cfg agentproto.Config, p place, log *slog.Logger) *desktop {
	d := &desktop{cfg: cfg, place: p, log: log, x: newXserver(p, cfg.Width, cfg.Height), painted: newGate()}
	d.add("xvnc", true, d.startX)
	d.add("chromium", true, d.startBrowser)
	d.add("openbox", true, d.startOpenbox)
	d.add("display", true, d.startScreen)
	d.add("dbus", false, d.startBus)
	d.add("pulseaudio", false, d.startSound)
	d.program("chromium").grace = browserGrace
	return d
}

// add makes a program. One that matters stops the desktop from being ready
// when it would not run; without sound or message bus a desktop still works.
func (d *desktop) add(name string, matters bool, start func(context.Context, *program, int) (instance, error)) {
	p := &program{name: name, log: d.log, lines: newRing(d.log.With("program", name)), grace: otherGrace}
	p.start = func(ctx context.Context, restart int) (instance, error) { return start(ctx, p, restart) }
	if matters {
		p.gaveUp = func(problem agentproto.Problem) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.problem == nil { // the first is the cause of the others
				d.problem = &problem
			}
		}
	}
	d.programs = append(d.programs, p)
}

func (d *desktop) program(name string) *program {
	for _, p := range d.programs {
		if p.name == name {
			return p
		}
	}
	panic("agent: no program " + name)
}

// run keeps the desktop up until ctx is done, then ends Chromium first, so that
// it still has its display while it saves its profile, the rest, and X last.
func (d *desktop) run(ctx context.Context) {
	outlive := context.WithoutCancel(ctx)
	browserCtx, endBrowser := context.WithCancel(outlive)
	restCtx, endRest := context.WithCancel(outlive)
	xCtx, endX := context.WithCancel(outlive)
	var browser, rest, x sync.WaitGroup
	for _, p := range d.programs {
		switch p.name {
		case "xvnc":
			x.Go(func() { p.run(xCtx) })
		case "chromium":
			browser.Go(func() { p.run(browserCtx) })
		default:
			rest.Go(func() { p.run(restCtx) })
		}
	}
	<-ctx.Done()
	endBrowser()
	browser.Wait()
	endRest()
	rest.Wait()
	endX()
	x.Wait()
}

// health says how far the desktop is, and how its programs are.
func (d *desktop) health() (step string, programs []agentproto.Program, problem *agentproto.Problem) {
	for _, p := range d.programs {
		programs = append(programs, p.status())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.x.up.isOpen():
		step = stepAgent
	case !d.started:
		step = stepDisplay
	case !d.painted.isOpen():
		step = stepBrowser
	default:
		step = stepReady
	}
	return step, programs, d.problem
}

// env is the environment of the user's programs on this desktop.
func (d *desktop) env() []string {
	return append(d.place.userEnv(), append(d.x.env(),
		"DBUS_SESSION_BUS_ADDRESS=unix:path="+d.busPath(),
		// There is no system bus; without an answer Chromium's log, which is a
		// failure's evidence, would hold little else.
		"DBUS_SYSTEM_BUS_ADDRESS=unix:path="+d.busPath(),
		"PULSE_SERVER=unix:"+d.soundPath(),
		"XDG_SESSION_TYPE=x11", "XDG_CURRENT_DESKTOP=openbox",
		// No accessibility bus: GTK would wait for one to be started.
		"NO_AT_BRIDGE=1",
	)...)
}

func (d *desktop) busPath() string   { return filepath.Join(d.place.runtime, "bus") }
func (d *desktop) soundPath() string { return filepath.Join(d.place.runtime, "pulse", "native") }
