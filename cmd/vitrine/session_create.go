package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

func sessionCreate(r *remote) *cobra.Command {
	var (
		req                      client.CreateSession
		kind, viewport, isolated string
		vcpu, memory             int
		timeout, idle            int64
		queue                    time.Duration
		metadata                 []string
		noWait, open             bool
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a session and wait until it is ready",
		Example: "  vitrine session create --start-url https://example.com --open\n" +
			"  vitrine session create --runtime container --memory 1024 --json",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", string(vitrine.KindDesktop), "desktop or terminal")
	f.StringVar(&req.Image, "image", "", "image, by name or digest (default: the kind's)")
	f.StringVar(&req.Runtime, "runtime", "", "gvisor or container (default: the strongest that works here)")
	f.StringVar(&isolated, "min-isolation", "", "refuse less: container or gvisor")
	f.IntVar(&vcpu, "vcpu", 0, "vCPU (default: BROWSER_VM_VCPU)")
	f.IntVar(&memory, "memory", 0, "memory in MiB (default: BROWSER_VM_MEMORY_MB)")
	f.StringVar(&viewport, "viewport", "", "size, such as 1280x720")
	f.StringVar(&req.StartURL, "start-url", "", "page to open")
	f.Int64Var(&timeout, "timeout", 0, "end after so many seconds")
	f.Int64Var(&idle, "idle-timeout", 0, "end after so many seconds without use")
	f.DurationVar(&queue, "queue", 0, "when the host is full wait so long for room, in turn, such as 5m")
	f.StringArrayVar(&metadata, "metadata", nil, "NAME=VALUE to keep with it")
	f.StringVar(&req.UserID, "user", "", "whose it is (admins)")
	f.BoolVar(&noWait, "no-wait", false, "return at once, while it starts")
	f.BoolVar(&open, "open", false, "then print a link that opens it, and open it where there is a screen")

	return r.run(cmd, func(c *cobra.Command, api *client.Client, _ []string) error {
		req.Kind, req.MinIsolation = vitrine.Kind(kind), vitrine.Isolation(isolated)
		if f.Changed("vcpu") {
			req.VCPU = &vcpu
		}
		if f.Changed("memory") {
			req.MemoryMB = &memory
		}
		if f.Changed("timeout") {
			req.TimeoutSeconds = &timeout
		}
		if f.Changed("idle-timeout") {
			req.IdleTimeoutSeconds = &idle
		}
		if f.Changed("queue") {
			n := int(queue / time.Second)
			if queue < vitrine.MinQueue || queue > vitrine.MaxQueue {
				return usageError{fmt.Errorf("--queue %s is not between 1s and 1h", queue)}
			}
			req.QueueSeconds = &n
		}
		if viewport != "" {
			var v vitrine.Viewport
			if n, err := fmt.Sscanf(viewport, "%dx%d", &v.Width, &v.Height); n != 2 || err != nil {
				return usageError{fmt.Errorf("--viewport %q is not a size such as 1280x720", viewport)}
			}
			req.Viewport = &v
		}
		for _, kv := range metadata {
			name, text, ok := strings.Cut(kv, "=")
			if !ok {
				return usageError{fmt.Errorf("--metadata %q is not NAME=VALUE", kv)}
			}
			if req.Metadata == nil {
				req.Metadata = map[string]string{}
			}
			req.Metadata[name] = text
		}
		s, err := api.CreateSession(c.Context(), req, client.CreateOptions{})
		if err != nil {
			return err
		}
		if !noWait {
			if s, err = followStart(c.Context(), api, s); err != nil {
				return err
			}
		}
		if open {
			return openSession(c, r, api, s.ID, false)
		}
		if r.json {
			return printJSON(c.OutOrStdout(), s)
		}
		fmt.Fprintln(c.OutOrStdout(), s.ID)
		return nil
	})
}

// followStart shows the boot ledger as it fills, until the session is ready. A
// failure is an error; an interrupt leaves the session starting, and says so.
func followStart(ctx context.Context, api *client.Client, s client.Session) (client.Session, error) {
	p := newProgress(os.Stderr)
	p.step("session "+s.ID+": "+string(s.State), -1)
	fromStart := int64(0)
	for ev, err := range api.Events(ctx, client.EventOptions{SessionID: s.ID, After: &fromStart}) {
		if err != nil {
			p.done("")
			return s, err
		}
		if ev.Phase != nil && ev.Phase.Outcome == vitrine.OutcomeRunning && s.Queue == nil {
			p.step(fmt.Sprintf("starting: %s %s", ev.Phase.Name, ev.Phase.Detail), phasePercent(ev.Phase.Name))
		}
		if ev.Session == nil {
			continue
		}
		s = *ev.Session
		switch {
		case s.Queue != nil:
			p.step(fmt.Sprintf("waiting for room on the host: place %d in the queue, until %s",
				s.Queue.Position, s.Queue.Deadline.Local().Format(time.TimeOnly)), -1)
		case s.State == vitrine.StateReady:
			boot, err := api.Boot(ctx, s.ID)
			if err != nil {
				return s, err
			}
			p.done("ready in %.0f ms (%s, isolation: %s)", boot.TotalMS, s.Runtime, s.Isolation)
			return s, nil
		case s.Failure != nil:
			p.done("session %s failed", s.ID)
			return s, s.Failure
		case s.State.Over():
			p.done("")
			return s, vitrine.Errorf(vitrine.ClassConflict, "session_over", "session %s ended while it started", s.ID)
		}
	}
	p.done("")
	what := "starting"
	if s.Queue != nil {
		what = "waiting for room"
	}
	return s, vitrine.Errorf(vitrine.ClassTimeout, "interrupted", "interrupted; session %s goes on %s", s.ID, what).
		WithRemedy("vitrine session show %s, or vitrine session rm %s", s.ID, s.ID)
}

// phasePercent places a phase on the progress bar by its order.
func phasePercent(name vitrine.PhaseName) int {
	for i, p := range vitrine.Phases {
		if p == name {
			return (i + 1) * 100 / (len(vitrine.Phases) + 1)
		}
	}
	return -1
}
