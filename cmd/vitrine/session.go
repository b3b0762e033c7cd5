package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

func sessionCommand() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{Use: "session", Aliases: []string{"sessions"}, Short: "Create, list, show, open, end sessions; run commands in them"}
	r.flags(cmd)
	cmd.AddCommand(sessionCreate(r), sessionList(r), sessionShow(r), sessionOpen(r), sessionRemove(r), sessionLogs(r), sessionBundle(r), sessionExec(r))
	return cmd
}

func sessionList(r *remote) *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List sessions that live; --all also those that are over", Args: cobra.NoArgs}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that are over")
	return r.run(cmd, func(c *cobra.Command, api *client.Client, _ []string) error {
		rows := []client.Session{}
		for s, err := range api.AllSessions(c.Context(), client.ListOptions{}) {
			if err != nil {
				return err
			}
			if all || !s.State.Over() {
				rows = append(rows, s)
			}
		}
		if r.json {
			return printJSON(c.OutOrStdout(), rows)
		}
		if len(rows) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "no sessions: vitrine session create")
			return nil
		}
		tw := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "ID\tKIND\tSTATE\tISOLATION\tMEMORY\tADDRESS\tVIEWERS\tUSER\tCREATED")
		for _, s := range rows {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d MB\t%s\t%d\t%s\t%s\n", s.ID, s.Kind, stateWords(s), s.Isolation, s.MemoryMB, orDash(s.Address), s.Viewers, s.UserID, ago(s.CreatedAt, time.Now()))
		}
		return tw.Flush()
	})
}

func stateWords(s client.Session) string {
	switch {
	case s.Queue != nil:
		return fmt.Sprintf("%s (place %d in the queue)", s.State, s.Queue.Position)
	case s.Failure != nil:
		return fmt.Sprintf("%s (%s)", s.State, s.Failure.Code)
	case s.EndedReason != nil:
		return fmt.Sprintf("%s (%s)", s.State, *s.EndedReason)
	}
	return string(s.State)
}

func orDash(s *string) string {
	if s == nil || *s == "" {
		return "-"
	}
	return *s
}

func sessionShow(r *remote) *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show a session with its boot ledger, and why it failed if it did", Args: cobra.ExactArgs(1), ValidArgsFunction: r.completeSessions}
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		s, err := api.Session(c.Context(), args[0])
		if err != nil {
			return err
		}
		boot, err := api.Boot(c.Context(), s.ID)
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), struct {
				Session client.Session `json:"session"`
				Boot    client.Boot    `json:"boot"`
			}{s, boot})
		}
		return printSession(c.OutOrStdout(), s, boot)
	})
}

func printSession(w io.Writer, s client.Session, boot client.Boot) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, text string) { fmt.Fprintf(tw, "%s\t%s\n", name, text) }
	row("id", s.ID)
	row("state", stateWords(s))
	row("kind", string(s.Kind))
	row("runtime", fmt.Sprintf("%s (isolation: %s)", s.Runtime, s.Isolation))
	row("size", fmt.Sprintf("%d vCPU, %d MB, %dx%d", s.VCPU, s.MemoryMB, s.Viewport.Width, s.Viewport.Height))
	row("address", orDash(s.Address))
	row("user", s.UserID)
	row("created", s.CreatedAt.Local().Format(time.DateTime))
	if s.ExpiresAt != nil {
		row("expires", s.ExpiresAt.Local().Format(time.DateTime))
	}
	if s.Queue != nil {
		row("waits", "for room on the host, until "+s.Queue.Deadline.Local().Format(time.TimeOnly))
	}
	row("page", s.LiveViewURL)
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nboot (%.0f ms)\n", boot.TotalMS)
	for _, p := range boot.Phases {
		fmt.Fprintf(tw, "  %s\t%s\t%.0f ms\t%s\n", p.Name, p.Outcome, p.DurationMS, p.Detail)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if s.Failure != nil {
		f := s.Failure
		fmt.Fprintf(w, "\n%s in %s: %s\n", f.Code, f.Phase, f.Message)
		for _, line := range f.Evidence {
			fmt.Fprintf(w, "  | %s\n", line)
		}
		fmt.Fprintf(w, "  remedy: %s\n", f.Remedy)
	}
	if s.Bundle != nil {
		fmt.Fprintf(w, "  all that was known, in one file: vitrine session bundle %s\n", s.ID)
	}
	return nil
}

func sessionOpen(r *remote) *cobra.Command {
	var viewOnly bool
	cmd := &cobra.Command{Use: "open ID", Short: "Print a link that opens the session once, and open it where there is a screen", Args: cobra.ExactArgs(1), ValidArgsFunction: r.completeSessions}
	cmd.Flags().BoolVar(&viewOnly, "view", false, "a link to look, not to control")
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		return openSession(c, r, api, args[0], viewOnly)
	})
}

func openSession(c *cobra.Command, r *remote, api *client.Client, id string, viewOnly bool) error {
	scope := vitrine.ScopeControl
	if viewOnly {
		scope = vitrine.ScopeView
	}
	t, err := api.CreateTicket(c.Context(), id, client.CreateTicket{Scope: scope})
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(c.OutOrStdout(), t)
	}
	fmt.Fprintln(c.OutOrStdout(), t.URL)
	if os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" {
		if opener, err := exec.LookPath("xdg-open"); err == nil {
			// The link is good once, so its place in a process list is no secret for long.
			_ = exec.Command(opener, t.URL).Start()
		}
	}
	return nil
}

func sessionRemove(r *remote) *cobra.Command {
	cmd := &cobra.Command{Use: "rm ID…", Aliases: []string{"remove", "end"}, Short: "End sessions and wait until nothing of them is left", Args: cobra.MinimumNArgs(1), ValidArgsFunction: r.completeSessions}
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		p := newProgress(os.Stderr)
		var ended []client.Session
		for _, id := range args {
			p.step("ending "+id, -1)
			s, err := api.DeleteSession(c.Context(), id, true)
			if err != nil {
				p.done("")
				return err
			}
			ended = append(ended, s)
			if !r.json {
				p.done("")
				fmt.Fprintf(c.OutOrStdout(), "%s %s\n", s.ID, stateWords(s))
			}
		}
		if r.json {
			p.done("")
			return printJSON(c.OutOrStdout(), ended)
		}
		return nil
	})
}

func sessionLogs(r *remote) *cobra.Command {
	var tail int
	cmd := &cobra.Command{Use: "logs ID", Aliases: []string{"console"}, Short: "Print the machine's console; also of a session that is over", Args: cobra.ExactArgs(1), ValidArgsFunction: r.completeSessions}
	cmd.Flags().IntVarP(&tail, "tail", "n", 0, "the last lines only")
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		text, err := api.Console(c.Context(), args[0], tail)
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), strings.Split(strings.TrimRight(text, "\n"), "\n"))
		}
		fmt.Fprint(c.OutOrStdout(), text)
		return nil
	})
}

func sessionExec(r *remote) *cobra.Command {
	var asRoot, stdin bool
	var cwd string
	var env []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "exec ID -- COMMAND [ARG…]",
		Short:   "Run a command in the machine; its exit code is passed on",
		Example: "  vitrine session exec ses_… -- sh -c 'cat /etc/os-release'",
		Args:    cobra.MinimumNArgs(2), ValidArgsFunction: r.completeSessions,
	}
	cmd.Flags().BoolVar(&asRoot, "root", false, "as the machine's root")
	cmd.Flags().BoolVarP(&stdin, "stdin", "i", false, "pass this command's standard input on (at most 1 MiB)")
	cmd.Flags().StringVar(&cwd, "cwd", "", "directory to run it in")
	cmd.Flags().StringArrayVarP(&env, "env", "e", nil, "NAME=VALUE to set")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "end it after this long")
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		seconds := int64(timeout / time.Second)
		req := client.Exec{Command: args[1:], Cwd: cwd, TimeoutSeconds: &seconds}
		if asRoot {
			req.User = "root"
		}
		for _, kv := range env {
			name, text, ok := strings.Cut(kv, "=")
			if !ok {
				return usageError{fmt.Errorf("--env %q is not NAME=VALUE", kv)}
			}
			if req.Env == nil {
				req.Env = map[string]string{}
			}
			req.Env[name] = text
		}
		if stdin {
			b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), vitrine.MaxExecOutput))
			if err != nil {
				return err
			}
			req.Stdin = string(b)
		}
		return execAndPrint(c.Context(), c, r, api, args[0], req)
	})
}

func execAndPrint(ctx context.Context, c *cobra.Command, r *remote, api *client.Client, id string, req client.Exec) error {
	res, err := api.Exec(ctx, id, req)
	if err != nil {
		return err
	}
	if r.json {
		if err := printJSON(c.OutOrStdout(), res); err != nil {
			return err
		}
	} else {
		fmt.Fprint(c.OutOrStdout(), res.Stdout)
		fmt.Fprint(c.ErrOrStderr(), res.Stderr)
		for _, cut := range []struct {
			name string
			is   bool
		}{{"stdout", res.StdoutTruncated}, {"stderr", res.StderrTruncated}} {
			if cut.is {
				fmt.Fprintf(c.ErrOrStderr(), "vitrine: %s was cut at 1 MiB\n", cut.name)
			}
		}
	}
	if res.TimedOut {
		return vitrine.Errorf(vitrine.ClassTimeout, "exec_timeout", "the command was ended after %s", time.Duration(*req.TimeoutSeconds)*time.Second).
			WithRemedy("give it longer with --timeout")
	}
	if res.ExitCode != 0 {
		return exitError(res.ExitCode)
	}
	return nil
}
