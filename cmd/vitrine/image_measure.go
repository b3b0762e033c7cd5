package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/image"
)

// Bounds of the search, in MiB. The step is what is worth knowing: two machines
// in a row may differ by as much.
const (
	measureLow  = 16
	measureStep = 16
	// measureAgain is how many machines in a row must become ready with the least
	// memory: one may have been lucky.
	measureAgain = 2
	// measureHold is how long a machine that became ready must stay so.
	measureHold = 3 * time.Second
	// measureLimit is how long a machine may take: one that thrashes never ends.
	measureLimit = 90 * time.Second
)

// leastFound is one row of what `image measure` prints.
type leastFound struct {
	Runtime string `json:"runtime"`
	LeastMB int    `json:"least_mb"`
	Tried   int    `json:"machines_tried"`
	Below   string `json:"with_less,omitempty"` // the failure's code one step below
}

func imageMeasureCommand() *cobra.Command {
	b := &bench{view: vitrine.DefaultViewport}
	cmd := &cobra.Command{
		Use:   "measure NAME",
		Short: "Find the least memory at which machines of an image become ready here, and hold sessions to it",
		Long: "measure runs a daemon of its own and starts machines of the image with less and less memory, by\n" +
			"bisection, until it knows the least with which one becomes ready (a desktop: Chromium has painted),\n" +
			"in each runtime. It notes that beside the image; a session that asks for less is refused from then on.",
		Example: "  sudo vitrine image measure desktop\n  sudo vitrine image measure tiny --runtime qemu",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringSliceVar(&b.runtimes, "runtime", nil, "runtimes to measure (default: all that work here and emulate no processor)")
	cmd.Flags().BoolVar(&b.json, "json", false, "print JSON")
	return withImages(cmd, func(ctx context.Context, store *image.Store, args []string) error {
		img, err := store.Resolve(ctx, args[0])
		if err != nil {
			return err
		}
		found, err := b.measureImage(ctx, store, img)
		b.say.done("")
		if b.json {
			return errors.Join(err, printJSON(cmd.OutOrStdout(), found))
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		if len(found) > 0 {
			fmt.Fprintln(tw, "RUNTIME\tLEAST\tMACHINES TRIED\tWITH LESS")
		}
		for _, f := range found {
			fmt.Fprintf(tw, "%s\t%d MB\t%d\t%s\n", f.Runtime, f.LeastMB, f.Tried, f.Below)
		}
		return errors.Join(err, tw.Flush())
	})
}

// measureImage finds and notes the least memory in each runtime.
func (b *bench) measureImage(ctx context.Context, store *image.Store, img vitrine.Image) (found []leastFound, err error) {
	b.say = newProgress(os.Stderr)
	if os.Getuid() != 0 {
		return nil, vitrine.Errorf(vitrine.ClassForbidden, "not_root", "measure makes machines, namespaces and a bridge, and must be root").
			WithRemedy("sudo vitrine image measure %s", img.Ref)
	}
	b.say.step("starting a daemon for the measurement", -1)
	if b.daemon, err = startPrivateDaemon(ctx, "--rate-limit-max-requests=1000000", "--admit-below-minimum=true", "--image-dir="+store.Dir()); err != nil {
		return nil, err
	}
	defer b.daemon.stop()
	if b.api, err = client.New(b.daemon.URL, b.daemon.Key); err != nil {
		return nil, err
	}
	defer b.endAll()
	if err := b.pickRuntimes(ctx); err != nil {
		return nil, err
	}
	for _, rt := range b.runtimes {
		f, err := b.leastIn(ctx, img, rt)
		if err != nil {
			return found, err
		}
		if err := store.Measured(ctx, img, rt, f.LeastMB); err != nil {
			return found, err
		}
		found = append(found, f)
	}
	return found, nil
}

// leastIn bisects. What the recipe asks for, doubled until a machine becomes
// ready with it, is the upper end.
func (b *bench) leastIn(ctx context.Context, img vitrine.Image, runtime string) (leastFound, error) {
	f := leastFound{Runtime: runtime}
	high := roundUp(max(img.Manifest.MinMemoryMB, 4*measureStep))
	for {
		failed, err := b.tryMemory(ctx, img, runtime, high, &f)
		if err != nil {
			return f, err
		}
		if failed == "" {
			break
		}
		if high *= 2; high > hostMemoryMB()/2 {
			return f, vitrine.Errorf(vitrine.ClassFailed, "never_ready", "machines of %s in %s do not become ready with %d MiB either (%s)", img.Ref, runtime, high/2, failed).
				WithRemedy("start one and look at it: vitrine session create --runtime %s", runtime)
		}
	}
	low := measureLow - measureStep // known to fail, or below all
	for high-low > measureStep {
		mid := roundUp((low + high) / 2)
		failed, err := b.tryMemory(ctx, img, runtime, mid, &f)
		if err != nil {
			return f, err
		}
		if failed != "" {
			low, f.Below = mid, failed
		} else {
			high = mid
		}
	}
	// The host may have been kind once: the figure must hold again.
	for again := 1; again < measureAgain; again++ {
		failed, err := b.tryMemory(ctx, img, runtime, high, &f)
		if err != nil {
			return f, err
		}
		if failed != "" {
			high, f.Below, again = high+measureStep, failed, 0
		}
	}
	f.LeastMB = high
	return f, nil
}

func roundUp(mb int) int { return (mb + measureStep - 1) / measureStep * measureStep }

// tryMemory starts one machine; failed is the code of what went wrong with it, ""
// when it became ready and stayed so.
func (b *bench) tryMemory(ctx context.Context, img vitrine.Image, runtime string, mb int, f *leastFound) (failed string, err error) {
	f.Tried++
	b.say.step(fmt.Sprintf("%s in %s: %d MiB (machine %d)", img.Ref, runtime, mb, f.Tried), -1)
	wish := client.CreateSession{Kind: img.Manifest.Kind, Image: img.Digest, Runtime: runtime, MemoryMB: &mb}
	if img.Manifest.Kind == vitrine.KindDesktop {
		wish.StartURL, wish.Viewport = "about:blank", &b.view
	}
	s, err := b.api.CreateSession(ctx, wish, client.CreateOptions{})
	if err != nil {
		return "", err
	}
	defer b.endQuietly(ctx, s.ID)
	limit := measureLimit
	if b.emulated[runtime] {
		limit *= 8 // as the daemon's own deadlines for such machines
	}
	deadline := time.Now().Add(limit)
	var readySince time.Time
	for {
		if s, err = b.api.Session(ctx, s.ID); err != nil {
			return "", err
		}
		switch {
		case s.Failure != nil:
			return string(s.Failure.Code), nil
		case s.State == vitrine.StateReady && readySince.IsZero():
			readySince = time.Now()
		case s.State == vitrine.StateReady && time.Since(readySince) >= measureHold:
			return "", nil
		case s.State == vitrine.StateEnded:
			return string(s.State), nil
		case time.Now().After(deadline) && readySince.IsZero():
			return string(vitrine.FailStartTimeout), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
