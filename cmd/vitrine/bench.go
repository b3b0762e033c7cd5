package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// bench is what the bench verbs share.
type bench struct {
	runtimes []string
	starts   int
	keys     int
	seconds  int
	size     string
	codec    string
	chromium string
	json     bool

	emulated map[string]bool // runtimes that emulate the processor
	kernels  map[string]bool // runtimes whose machines have a kernel of their own

	daemon *privateDaemon
	api    *client.Client
	say    *progress
	view   vitrine.Viewport
}

func benchCommand() *cobra.Command {
	b := &bench{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure starts and streaming on this host, as the README publishes them",
		Long: "bench runs a daemon of its own (own data directory, bridge and ports), makes real sessions,\n" +
			"looks at them with a headless Chromium, and prints what it measured. Run it as root, on an\n" +
			"otherwise idle host. `bench start` and `bench stream` are its two halves.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return b.run(c, b.measureStarts, b.measureVMs, b.measureStream)
		},
	}
	f := cmd.PersistentFlags()
	f.StringSliceVar(&b.runtimes, "runtime", nil, "runtimes to measure (default: all that work here and emulate no processor)")
	f.IntVar(&b.starts, "starts", 10, "cold starts per runtime")
	f.IntVar(&b.keys, "keys", 40, "keys typed per runtime")
	f.IntVar(&b.seconds, "seconds", 10, "how long idle and full motion are watched")
	f.StringVar(&b.size, "size", "1280x720", "viewport")
	f.StringVar(&b.codec, "codec", "", "vp8 or h264 (default: what viewer and node agree on)")
	f.StringVar(&b.chromium, "chromium", "chromium", "the viewer's program")
	f.BoolVar(&b.json, "json", false, "print JSON")
	cmd.AddCommand(
		&cobra.Command{Use: "start", Short: "create → ready per runtime and phase; the API under ten starts; memory", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return b.run(c, b.measureStarts, b.measureVMs) }},
		&cobra.Command{Use: "stream", Short: "first frame, key → photon, idle and full-motion cost", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return b.run(c, b.measureStream) }},
	)
	return cmd
}

// run starts the daemon, measures, and leaves nothing.
func (b *bench) run(c *cobra.Command, parts ...func(context.Context) ([]figure, error)) (err error) {
	if os.Getuid() != 0 {
		return vitrine.Errorf(vitrine.ClassForbidden, "not_root", "bench makes machines, namespaces and a bridge, and must be root").
			WithRemedy("sudo vitrine bench")
	}
	if n, _ := fmt.Sscanf(b.size, "%dx%d", &b.view.Width, &b.view.Height); n != 2 || !b.view.Valid() {
		return usageError{fmt.Errorf("--size %q is not a size such as 1280x720", b.size)}
	}
	if b.starts < 1 || b.keys < 1 || b.seconds < 1 {
		return usageError{errors.New("--starts, --keys and --seconds must be at least 1")}
	}
	if b.codec != "" && b.codec != string(vitrine.CodecVP8) && b.codec != string(vitrine.CodecH264) {
		return usageError{fmt.Errorf("--codec %q is neither vp8 nor h264", b.codec)}
	}
	if _, err := exec.LookPath(b.chromium); err != nil {
		return vitrine.Errorf(vitrine.ClassUnavailable, "no_viewer", "there is no %s to look with", b.chromium).WithRemedy("apt-get install chromium")
	}
	ctx := c.Context()
	b.say = newProgress(os.Stderr)
	b.say.step("starting a daemon for the measurement", -1)
	if b.daemon, err = startPrivateDaemon(ctx, "--rate-limit-max-requests=1000000"); err != nil {
		return err
	}
	defer b.daemon.stop()
	if b.api, err = client.New(b.daemon.URL, b.daemon.Key); err != nil {
		return err
	}
	defer b.endAll()
	if err := b.pickRuntimes(ctx); err != nil {
		return err
	}
	var all []figure
	for _, part := range parts {
		figures, err := part(ctx)
		all = append(all, figures...)
		if err != nil {
			b.say.done("")
			return errors.Join(err, printFigures(c.OutOrStdout(), all))
		}
	}
	b.say.done("")
	if b.json {
		return printJSON(c.OutOrStdout(), all)
	}
	return printFigures(c.OutOrStdout(), all)
}

// pickRuntimes takes those that were asked for, or all that work and emulate no
// processor: those are minutes a desktop, and no figure of theirs says anything
// about a host that people use.
func (b *bench) pickRuntimes(ctx context.Context) error {
	status, err := b.probed(ctx)
	if err != nil {
		return err
	}
	works := map[string]bool{}
	b.emulated, b.kernels = map[string]bool{}, map[string]bool{}
	var names []string
	for _, rt := range status.Runtimes {
		if !rt.Probe.OK || rt.Isolation == vitrine.IsolationNone {
			continue
		}
		works[rt.Name], b.kernels[rt.Name] = true, rt.Isolation.OwnKernel()
		if b.emulated[rt.Name] = rt.Isolation == vitrine.IsolationEmulatedVM; !b.emulated[rt.Name] {
			names = append(names, rt.Name)
		}
	}
	for _, name := range b.runtimes {
		if !works[name] {
			return vitrine.Errorf(vitrine.ClassInvalid, "runtime_unusable", "runtime %q does not work here", name).WithRemedy("vitrine doctor")
		}
	}
	if len(b.runtimes) == 0 {
		b.runtimes = names
	}
	if len(b.runtimes) == 0 {
		return vitrine.Errorf(vitrine.ClassUnavailable, "runtime_unusable", "no runtime works here").WithRemedy("vitrine doctor")
	}
	return nil
}

// probed gives the daemon's status once every runtime has been tried.
func (b *bench) probed(ctx context.Context) (client.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		status, err := b.api.Status(ctx)
		if err != nil {
			return status, err
		}
		pending := false
		for _, rt := range status.Runtimes {
			pending = pending || rt.Probe.Reason == vitrine.ProbePending
		}
		if !pending {
			return status, nil
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// create makes a desktop and waits for it.
func (b *bench) create(ctx context.Context, runtime, startURL string) (client.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return b.api.CreateSession(ctx, client.CreateSession{
		Kind: vitrine.KindDesktop, Runtime: runtime, StartURL: startURL, Viewport: &b.view,
	}, client.CreateOptions{Wait: true})
}

// endQuietly ends a session on the way out; endAll looks again.
func (b *bench) endQuietly(ctx context.Context, id string) { _ = b.end(context.WithoutCancel(ctx), id) }

func (b *bench) end(ctx context.Context, id string) error {
	_, err := b.api.DeleteSession(ctx, id, true)
	return err
}

// endAll ends what an interrupted measurement left.
func (b *bench) endAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for s, err := range b.api.AllSessions(ctx, client.ListOptions{}) {
		if err != nil {
			return
		}
		if !s.Released {
			_ = b.end(ctx, s.ID)
		}
	}
}
