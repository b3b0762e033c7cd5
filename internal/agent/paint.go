package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agent/cdp"
)

// How the first picture is looked for.
const (
	// frameWait is how long the page may take for two frames before the screen
	// itself is looked at: a page that spins never gives them.
	frameWait = 2 * time.Second
	lookPause = 500 * time.Millisecond
	// targetPause is between questions for a first page: some 50 ms in all.
	targetPause = 10 * time.Millisecond
)

// twoFrames resolves in the second animation frame: then the first has been
// handed to the compositor. Frames come whether or not a page has loaded, also
// on about:blank and while a start URL hangs.
const twoFrames = `new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))`

// firstPicture returns when Chromium answers on its pipe and has painted. The
// error is the pipe's or ctx's: a page cannot keep it from returning nil.
func (d *desktop) firstPicture(ctx context.Context, mux *cdp.Mux) error {
	if _, err := mux.Call(ctx, "", "Browser.getVersion", nil); err != nil {
		return err
	}
	began := time.Now()
	for {
		target, err := firstPage(ctx, mux)
		if err != nil {
			return err
		}
		if target != "" && gaveFrames(ctx, mux, target) {
			return nil
		}
		wait := targetPause
		if time.Since(began) > frameWait {
			if d.showsSomething(ctx) {
				return nil
			}
			wait = lookPause
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
		select {
		case <-mux.Done():
			return cdp.ErrClosed
		default:
		}
	}
}

// firstPage gives a page's target id, "" when there is none yet.
func firstPage(ctx context.Context, mux *cdp.Mux) (string, error) {
	raw, err := mux.Call(ctx, "", "Target.getTargets", nil)
	if err != nil {
		return "", err
	}
	var list struct {
		TargetInfos []struct {
			TargetID string `json:"targetId"`
			Type     string `json:"type"`
		} `json:"targetInfos"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", fmt.Errorf("read Chromium's targets: %w", err)
	}
	for _, t := range list.TargetInfos {
		if t.Type == "page" {
			return t.TargetID, nil
		}
	}
	return "", nil
}

// gaveFrames says whether the page gave two frames in time. It is false, too,
// when the page went elsewhere meanwhile: the caller asks again.
func gaveFrames(ctx context.Context, mux *cdp.Mux, target string) bool {
	ctx, cancel := context.WithTimeout(ctx, frameWait)
	defer cancel()
	raw, err := mux.Call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})
	if err != nil {
		return false
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if json.Unmarshal(raw, &attached) != nil || attached.SessionID == "" {
		return false
	}
	defer func() {
		away, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = mux.Call(away, "", "Target.detachFromTarget", map[string]string{"sessionId": attached.SessionID})
	}()
	raw, err = mux.Call(ctx, attached.SessionID, "Runtime.evaluate", map[string]any{"expression": twoFrames, "awaitPromise": true})
	var out struct {
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	return err == nil && json.Unmarshal(raw, &out) == nil && out.Exception == nil
}

// showsSomething says whether the screen has more than one colour: Chromium's
// own bars are there, whatever the page does.
func (d *desktop) showsSomething(ctx context.Context) bool {
	screen, err := d.display()
	if err != nil {
		return false
	}
	data, err := screen.Screenshot(ctx)
	if err != nil {
		return false
	}
	img, err := decodeScreen(data)
	if err != nil {
		return false
	}
	b := img.Bounds()
	first := img.At(b.Min.X, b.Min.Y)
	for y := b.Min.Y; y < b.Max.Y; y += 4 {
		for x := b.Min.X; x < b.Max.X; x += 4 {
			if img.At(x, y) != first {
				return true
			}
		}
	}
	return false
}

// decodeScreen decodes a PNG no larger than a screen may be.
func decodeScreen(data []byte) (image.Image, error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if c.Width > maxWidth || c.Height > maxHeight || c.Width <= 0 || c.Height <= 0 {
		return nil, errors.New("the picture is larger than any screen")
	}
	return png.Decode(bytes.NewReader(data))
}
