package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// The pages that machines show while they are measured.
const (
	// flipPage changes its whole colour at every key.
	flipPage = `<!doctype html><title>flip</title><body style="margin:0;background:#000"><script>
let on=false;addEventListener('keydown',()=>{on=!on;document.body.style.background=on?'#fff':'#000'})</script>`
	// stillPage never changes.
	stillPage = `<!doctype html><title>still</title><body style="font:28px serif;margin:3em">A page that does not move.`
	// motionPage repaints most of itself at every animation frame.
	motionPage = `<!doctype html><title>motion</title><body style="margin:0"><canvas id=c style="display:block"></canvas><script>
const c=document.getElementById('c'),g=c.getContext('2d');c.width=innerWidth;c.height=innerHeight;let n=0;
(function draw(){n++;for(let i=0;i<60;i++){g.fillStyle='hsl('+(n*3+i*6)%360+' 80% 55%)';
g.fillRect((i*97+n*7)%c.width,(i*53+n*5)%c.height,c.width/6,c.height/6)}requestAnimationFrame(draw)})()</script>`
)

// dataURL is how a page travels to a machine without a server.
func dataURL(html string) string {
	return "data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(html))
}

// streamBudget is the budget for key → photon, by runtime.
var streamBudget = map[string]string{"container": "≤ 20 / 40", "gvisor": "≤ 30 / 60"}
var idleBudget = map[string]string{"container": "≤ 0.01", "gvisor": ""}
var sandboxBudget = map[string]string{"container": "", "gvisor": "≤ 0.04"}

// measureStream looks at three pages in each runtime.
func (b *bench) measureStream(ctx context.Context) ([]figure, error) {
	var all []figure
	for _, rt := range b.runtimes {
		for _, part := range []func(context.Context, string) ([]figure, error){b.measureKeys, b.measureIdle, b.measureMotion} {
			figures, err := part(ctx, rt)
			all = append(all, figures...)
			if err != nil {
				return all, fmt.Errorf("measuring %s: %w", rt, err)
			}
		}
	}
	return all, nil
}

// firstFrame waits for the page's video to show a frame, and gives how long
// after the page was opened that was, in ms. The canvas helper is kept.
const firstFrame = `
const until = performance.now() + 20000;
let v;
while (!(v = document.querySelector('video')) && performance.now() < until) await new Promise(r => setTimeout(r, 2));
if (!v) throw new Error('the page shows no video: ' + document.body.innerText.slice(0, 200));
const first = await Promise.race([new Promise(r => v.requestVideoFrameCallback(now => r(now))), new Promise(r => setTimeout(() => r(-1), 20000))]);
if (first < 0) throw new Error('no frame within 20 s: ' + document.body.innerText.slice(0, 200));
window.bench = {v, frames: 0, g: new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true})};
bench.bright = () => { bench.g.drawImage(v, v.videoWidth / 2, v.videoHeight / 2, 1, 1, 0, 0, 1, 1); return bench.g.getImageData(0, 0, 1, 1).data[1] > 127; };
(function count() { v.requestVideoFrameCallback(() => { bench.frames++; count(); }); })();
return first;`

// armKey notes when the next key goes down and when a frame shows the change.
const armKey = `
bench.flip = new Promise((done, fail) => {
  const was = bench.bright(); let at = 0;
  addEventListener('keydown', () => { at = performance.now(); }, {capture: true, once: true});
  (function look() { bench.v.requestVideoFrameCallback(() => {
    if (at && bench.bright() !== was) return done(performance.now() - at);
    if (at && performance.now() - at > 3000) return fail(new Error('the key changed nothing within 3 s'));
    look(); }); })();
});
bench.flip.catch(() => {});
return null;`

// look opens a session in a viewer of its own.
func (b *bench) look(ctx context.Context, s client.Session) (*tab, error) {
	t, err := openTab(ctx, b.chromium, b.view)
	if err != nil {
		return nil, err
	}
	if _, err := b.visit(ctx, t, s); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// visit opens a session in a tab by a link of its own, and gives the time from
// the page's opening to its first decoded frame, in ms.
func (b *bench) visit(ctx context.Context, t *tab, s client.Session) (opened float64, err error) {
	ticket, err := b.api.CreateTicket(ctx, s.ID, client.CreateTicket{Scope: vitrine.ScopeControl})
	if err != nil {
		return 0, err
	}
	url := ticket.URL
	if b.codec != "" {
		url = strings.Replace(url, "#", "?codec="+b.codec+"#", 1)
	}
	// Two links differ in their fragments only, which alone would open nothing.
	if err := t.open(ctx, "about:blank"); err != nil {
		return 0, err
	}
	if err := t.open(ctx, url); err != nil {
		return 0, err
	}
	err = t.eval(ctx, firstFrame, &opened)
	return opened, err
}

// measureKeys times the first frame and key → photon.
func (b *bench) measureKeys(ctx context.Context, rt string) ([]figure, error) {
	b.say.step(rt+": key → photon", -1)
	s, err := b.create(ctx, rt, dataURL(flipPage))
	if err != nil {
		return nil, err
	}
	defer b.endQuietly(ctx, s.ID)
	t, err := b.look(ctx, s) // the first visit of a browser, which has nothing cached, is not counted
	if err != nil {
		return nil, err
	}
	defer t.close()
	var first []float64
	for range 7 {
		// Nobody looks for a while: the encoder of the last visit has closed.
		if err := t.open(ctx, "about:blank"); err != nil {
			return nil, err
		}
		time.Sleep(3 * time.Second)
		opened, err := b.visit(ctx, t, s)
		if err != nil {
			return nil, err
		}
		first = append(first, opened)
	}
	time.Sleep(time.Second) // the refinement frames of the first picture are out
	var keys []float64
	for i := range b.keys {
		b.say.step(rt+": key → photon", i*100/b.keys)
		if err := t.eval(ctx, armKey, nil); err != nil {
			return nil, err
		}
		if err := t.key(ctx, "a"); err != nil {
			return nil, err
		}
		var took float64
		if err := t.eval(ctx, "return bench.flip", &took); err != nil {
			return nil, err
		}
		keys = append(keys, took)
		// Past the refinement of this picture, and at another phase of the display.
		time.Sleep(450*time.Millisecond + time.Duration(i*7%17)*time.Millisecond)
	}
	return []figure{
		newFigure("open → first decoded frame", rt, "ms", "≤ 400", first),
		newFigure("key → photon, "+b.size, rt, "ms", streamBudget[rt], keys),
	}, nil
}

// watchPage shows a page to a viewer and, once it has settled, measures CPU and
// the frames that the viewer decodes a second.
func (b *bench) watchPage(ctx context.Context, rt, page string) (u usage, fps float64, err error) {
	s, err := b.create(ctx, rt, dataURL(page))
	if err != nil {
		return u, 0, err
	}
	defer b.endQuietly(ctx, s.ID)
	t, err := b.look(ctx, s)
	if err != nil {
		return u, 0, err
	}
	defer t.close()
	time.Sleep(3 * time.Second)
	var before, after int
	if err := t.eval(ctx, "return bench.frames", &before); err != nil {
		return u, 0, err
	}
	began := time.Now()
	if u, err = b.watch(time.Duration(b.seconds) * time.Second); err != nil {
		return u, 0, err
	}
	if err := t.eval(ctx, "return bench.frames", &after); err != nil {
		return u, 0, err
	}
	return u, float64(after-before) / time.Since(began).Seconds(), nil
}

// measureIdle counts the CPU of a page that stands still, with a viewer on it.
func (b *bench) measureIdle(ctx context.Context, rt string) ([]figure, error) {
	b.say.step(rt+": idle", -1)
	u, _, err := b.watchPage(ctx, rt, stillPage)
	if err != nil {
		return nil, err
	}
	figures := []figure{newFigure("static page: whole machine", rt, "cores", sandboxBudget[rt], []float64{u.machine})}
	if u.agent > 0 { // the host sees the agent's processes, as it does not in gVisor
		figures = append(figures, newFigure("static page: daemon + agent", rt, "cores", idleBudget[rt], []float64{u.daemon + u.agent}))
	} else {
		figures = append(figures, newFigure("static page: daemon", rt, "cores", "", []float64{u.daemon}))
	}
	return figures, nil
}

// measureMotion counts frames and CPU of a page that moves all over.
func (b *bench) measureMotion(ctx context.Context, rt string) ([]figure, error) {
	b.say.step(rt+": full motion", -1)
	u, fps, err := b.watchPage(ctx, rt, motionPage)
	if err != nil {
		return nil, err
	}
	figures := []figure{newFigure("full motion: frames received", rt, "fps", "≥ 57", []float64{fps})}
	if fps > 0 && u.agent > 0 {
		figures = append(figures, newFigure("full motion: daemon + agent", rt, "ms CPU a frame", "≤ 8", []float64{(u.daemon + u.agent) * 1000 / fps}))
	}
	return append(figures, newFigure("full motion: whole machine", rt, "cores", "", []float64{u.machine})), nil
}

// usage is CPU in cores. agent is part of machine; 0 where the host cannot see
// inside.
type usage struct{ daemon, agent, machine float64 }

// watch measures the daemon and the one live machine for a while.
func (b *bench) watch(d time.Duration) (usage, error) {
	before, err := b.cpu()
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	time.Sleep(d)
	after, err := b.cpu()
	if err != nil {
		return usage{}, err
	}
	s := time.Since(began).Seconds()
	return usage{(after.daemon - before.daemon) / s, (after.agent - before.agent) / s, (after.machine - before.machine) / s}, nil
}

func (b *bench) cpu() (u usage, err error) {
	// bench's machines are told from others by its own data directory's name in
	// their cgroup's path, and by the bridge it gave them.
	machines, err := filepath.Glob(filepath.Join(b.daemon.Dir, "machines", "*", "mch_*"))
	if err != nil {
		return u, err
	}
	mine := func(cgroup string) bool {
		for _, dir := range machines {
			if strings.Contains(cgroup, filepath.Base(dir)) {
				return true
			}
		}
		return false
	}
	if u.daemon, err = cpuSeconds(func(pid int, _, _ string) bool { return pid == b.daemon.PID }); err != nil {
		return u, err
	}
	if u.machine, err = cpuSeconds(func(_ int, _, cgroup string) bool { return mine(cgroup) }); err != nil {
		return u, err
	}
	u.agent, err = cpuSeconds(func(_ int, program, cgroup string) bool {
		return mine(cgroup) && (program == agentproto.AgentFile || strings.HasPrefix(program, "vitrine-agent"))
	})
	return u, err
}

// key presses and lets go of one letter.
func (t *tab) key(ctx context.Context, letter string) error {
	code := "Key" + strings.ToUpper(letter)
	vk := int(strings.ToUpper(letter)[0])
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": letter, "code": code, "windowsVirtualKeyCode": vk}
		if kind == "keyDown" {
			params["text"] = letter
		}
		if err := t.call(ctx, "Input.dispatchKeyEvent", params, nil); err != nil {
			return fmt.Errorf("typing %s: %w", strconv.Quote(letter), err)
		}
	}
	return nil
}
