package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/cdp"
)

// chromiumBinary is Debian's; /usr/bin/chromium is a shell script around it
// that costs 60 ms and sets flags of its own.
const chromiumBinary = "/usr/lib/chromium/chromium"

// leastShm is the free space of /dev/shm in bytes under which Chromium's shared
// memory goes to /tmp: a full one kills renderers.
const leastShm = 256 << 20

// slowToolbar are the features by which newer Chromium draws its toolbar and the
// suggestions below it as pages of their own: a renderer more, loaded before
// the first window is of use. The native ones are there at once.
const slowToolbar = "InitialWebUI,WebUIReloadButton,WebUIBackForwardButton,WebUIHomeButton,WebUIToolbar,WebUILocationBar," +
	"WebUISplitTabsButton,PreloadTopChromeWebUI,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"

// How the running Chromium is watched. It answers from its main thread, so
// three missed questions are a minute without one turn of its loop; a paused
// machine misses at most one when it is resumed.
const (
	pingInterval = 20 * time.Second
	pingTimeout  = 15 * time.Second
	pingMisses   = 3
)

// chromiumArgs are the flags, and the start URL: about:blank when there is none,
// which paints 150 ms sooner than the new-tab page and asks the network nothing.
//
// Its own sandbox stays on. The picture is composed in software: with two
// cores and no GPU that costs less than any GL in software; SwiftShader is for
// pages that ask for WebGL and starts with the first of them. It is called
// unsafe for running shaders of strangers outside a renderer's sandbox, which
// is what the machine around it is for. DevTools are on a pipe (descriptors 3
// and 4), never on a port.
func (d *desktop) chromiumArgs(restore bool) []string {
	args := []string{
		"--user-data-dir=" + d.profileDir(),
		"--remote-debugging-pipe",
		"--ozone-platform=x11",
		"--disable-gpu", "--enable-unsafe-swiftshader",
		"--start-maximized",
		"--window-position=0,0", fmt.Sprintf("--window-size=%d,%d", d.cfg.Width, d.cfg.Height),
		"--no-first-run", "--no-default-browser-check", "--disable-search-engine-choice-screen",
		"--password-store=basic",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-domain-reliability", "--disable-field-trial-config", "--no-pings",
		"--disable-breakpad",
		// QUIC is UDP: it would go past a session's HTTP proxy.
		"--disable-quic",
		"--hide-crash-restore-bubble",
		"--disable-features=Translate,MediaRouter,DialMediaRouteProvider,OptimizationHints," +
			"OptimizationGuideModelDownloading,OptimizationGuideOnDeviceModel," + slowToolbar,
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &fs); err != nil || int64(fs.Bavail)*fs.Bsize < leastShm {
		args = append(args, "--disable-dev-shm-usage")
	}
	switch {
	case restore:
		args = append(args, "--restore-last-session")
	case d.cfg.StartURL != "":
		args = append(args, d.cfg.StartURL) // checked by checkStartURL: never a flag
	default:
		args = append(args, "about:blank")
	}
	return args
}

func (d *desktop) chromiumEnv() []string {
	return append(d.env(),
		"CHROME_DESKTOP=chromium.desktop", "CHROME_WRAPPER=/usr/bin/chromium",
		// "no" says that the keys are left out on purpose: no bar about it.
		"GOOGLE_API_KEY=no", "GOOGLE_DEFAULT_CLIENT_ID=no", "GOOGLE_DEFAULT_CLIENT_SECRET=no",
	)
}

func (d *desktop) startBrowser(ctx context.Context, p *program, restart int) (instance, error) {
	if err := d.prepareProfile(); err != nil {
		return nil, err
	}
	if err := d.x.up.wait(ctx); err != nil {
		return nil, err
	}
	program := chromiumBinary
	if _, err := os.Stat(program); err != nil {
		program = "chromium"
	}
	toR, toW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	fromR, fromW, err := os.Pipe()
	if err != nil {
		closeAll([]*os.File{toR, toW})
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	// After a first crash the tabs come back; after a second they may be what
	// crashes it, and it starts as it first did.
	s, err := spawn(d.place, p.lines, d.chromiumEnv(), []*os.File{toR, fromW}, program, d.chromiumArgs(restart == 1)...)
	if err != nil {
		closeAll([]*os.File{toW, fromR})
		return nil, err
	}
	mux := cdp.New(fromR, toW, d.log.With("program", p.name))
	d.mu.Lock()
	d.started, d.browser = true, mux
	d.mu.Unlock()
	go d.watchBrowser(ctx, s, mux, time.Now())
	return browserRun{spawned: s, mux: mux}, nil
}

// browserRun is one run of Chromium.
type browserRun struct {
	*spawned
	mux *cdp.Mux
}

// stop closes the browser as its user would. SIGTERM alone means the end of the
// user's session to it: it leaves within 50 ms and writes no cookies.
func (b browserRun) stop(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if _, err := b.mux.Call(ctx, "", "Browser.close", nil); err == nil {
		select {
		case <-b.ended:
			return
		case <-ctx.Done():
		}
	}
	b.spawned.stop(otherGrace)
}

// watchBrowser notes Chromium's first picture and whether it answers from then
// on, until it has ended.
func (d *desktop) watchBrowser(ctx context.Context, s *spawned, mux *cdp.Mux, began time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		<-s.done()
		mux.Close()
	}()
	defer func() {
		d.painted.set(false)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.started, d.browser = false, nil
	}()
	if err := d.firstPicture(ctx, mux); err != nil {
		if ctx.Err() == nil {
			d.log.Error("Chromium is not reached by its pipe and is ended", "err", err)
			s.stop(browserGrace)
		}
		<-s.done()
		return
	}
	d.painted.set(true)
	d.log.Info("Chromium has painted", "after_ms", time.Since(began).Milliseconds())
	for misses := 0; misses < pingMisses; {
		if !pause(ctx, pingInterval) {
			<-s.done()
			return
		}
		asking, done := context.WithTimeout(ctx, pingTimeout)
		_, err := mux.Call(asking, "", "Browser.getVersion", nil)
		done()
		if misses++; err == nil {
			misses = 0
		}
	}
	d.log.Error("Chromium does not answer and is ended", "for", pingMisses*pingInterval)
	s.stop(0)
}

// devtools gives the running Chromium's pipe.
func (d *desktop) devtools() (*cdp.Mux, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.browser == nil {
		return nil, fmt.Errorf("the browser %w", errNotUp)
	}
	return d.browser, nil
}

// profileDir is not Chromium's default: it lets nobody debug that one.
func (d *desktop) profileDir() string {
	return filepath.Join(d.place.home, ".config", "vitrine-chromium")
}
