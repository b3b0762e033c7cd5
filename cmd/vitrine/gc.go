package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

func gcCommand() *cobra.Command {
	var in api.Collect
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what is on this host and belongs to no live session",
		Long: "gc does what `vitrine audit` lists: nothing that is not known to be of this instance, nothing that may be in\n" +
			"the making, and a bounded number of deeds. Where a daemon runs it does the work, so that two never race;\n" +
			"where none does, gc works by itself and no daemon can start meanwhile. On a terminal it asks first;\n" +
			"elsewhere it wants --yes. Exit code 1 when something could not be removed.",
		Example: "  vitrine gc --dry-run\n  vitrine gc\n  vitrine gc --yes --json",
		Args:    cobra.NoArgs,
	}
	addSettingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().IntVar(&in.Budget, "budget", 0, "processes, directories and attachments removed at most, 1 to 1000 (default 20)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		set, _, err := loadConfig(defaultSources(c.Flags()))
		if err != nil {
			return err
		}
		if in.Budget < 0 || in.Budget > api.MaxBudget {
			return usageError{fmt.Errorf("--budget is %d: give 1 to %d", in.Budget, api.MaxBudget)}
		}
		collect, done, err := collector(c.Context(), set)
		if err != nil {
			return err
		}
		defer done()
		out := c.OutOrStdout()
		if !in.DryRun && !yes {
			found, err := collect(c.Context(), api.Collect{DryRun: true, Budget: in.Budget})
			if err != nil {
				return err
			}
			if n := deeds(found); n > 0 {
				printCollection(os.Stderr, found, time.Now())
				if err := confirm(n); err != nil {
					return err
				}
			}
		}
		did, err := collect(c.Context(), in)
		if err != nil {
			return err
		}
		if asJSON {
			err = printJSON(out, did)
		} else {
			printCollection(out, did, time.Now())
			printDid(out, did)
		}
		if err == nil && did.Failed > 0 {
			return exitError(exitFailed)
		}
		return err
	}
	return cmd
}

type collect func(ctx context.Context, in api.Collect) (api.Collection, error)

// collector is the daemon, or this process holding the data directory's lock.
func collector(ctx context.Context, set settings) (do collect, done func(), err error) {
	daemon, err := localDaemon(ctx, set)
	if err != nil {
		return nil, nil, err
	}
	if daemon != nil {
		return daemon.Collect, func() {}, nil
	}
	if err := needRoot("gc"); err != nil {
		return nil, nil, err
	}
	unlock := func() {}
	if _, err := os.Stat(set.DataDir); err == nil {
		if unlock, err = prepareDataDir(set.DataDir); err != nil {
			return nil, nil, err
		}
	}
	sweeper, closeStore, err := direct(ctx, set, true)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	do = func(ctx context.Context, in api.Collect) (api.Collection, error) {
		c, err := sweeper.Collect(ctx, in.DryRun, in.Budget)
		return api.NewCollection(c), err
	}
	return do, func() { closeStore(); unlock() }, nil
}

// confirm asks a person. Without a terminal there is none to ask.
func confirm(n int) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return vitrine.Errorf(vitrine.ClassInvalid, "not_confirmed", "there is no terminal to ask on whether to do %d deeds", n).
			WithRemedy("vitrine gc --yes, after a look at vitrine gc --dry-run")
	}
	fmt.Fprintf(os.Stderr, "\nDo these %d deeds? [y/N] ", n)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		fmt.Fprintln(os.Stderr, "nothing was done")
		return exitError(exitFailed)
	}
	return nil
}

// printDid sums up.
func printDid(w io.Writer, c api.Collection) {
	kept := len(c.Leftovers) - c.Removed - c.Failed
	switch {
	case len(c.Leftovers) == 0:
	case c.DryRun:
		fmt.Fprintf(w, "\ndry run: %d deeds would be done, %d leftovers kept\n", deeds(c), len(c.Leftovers)-deeds(c))
	default:
		fmt.Fprintf(w, "\n%d deeds done, %d failed, %d leftovers kept\n", c.Removed, c.Failed, kept)
	}
}
