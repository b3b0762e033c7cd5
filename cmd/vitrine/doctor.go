package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/doctor"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host: what works, and what to type where something does not",
		Long: "doctor tries what a start needs: it runs something real in each runtime, asks the kernel about the\n" +
			"firewall rules without applying them, reads the images, asks the TURN port, and looks for leftovers.\n" +
			"It changes nothing. Exit code 1 when something fails. The dashboard shows the daemon's own report.",
		Args: cobra.NoArgs,
	}
	addSettingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		set, _, err := loadConfig(defaultSources(c.Flags()))
		if err != nil {
			return err
		}
		p := newProgress(os.Stderr)
		e := toolExamination(c.Context(), set, func(what string) { p.step("checking "+what, -1) })
		findings := e.run(c.Context())
		p.done("")
		if asJSON {
			if err := printJSON(c.OutOrStdout(), findings); err != nil {
				return err
			}
		} else {
			printFindings(c.OutOrStdout(), findings)
		}
		if doctor.Worst(findings) == vitrine.VerdictFail {
			return exitError(exitFailed)
		}
		return nil
	}
	return cmd
}

func printFindings(w io.Writer, findings []vitrine.Finding) {
	counts := map[vitrine.Verdict]int{}
	for _, f := range findings {
		counts[f.Result]++
		fmt.Fprintf(w, "%-4s  %-18s %s\n", f.Result, f.Check, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(w, "      %-18s → %s\n", "", f.Remedy)
		}
	}
	fmt.Fprintf(w, "\n%d pass, %d warn, %d fail\n", counts[vitrine.VerdictPass], counts[vitrine.VerdictWarn], counts[vitrine.VerdictFail])
}

// fromError makes a failed finding of an error that carries a remedy.
func fromError(check string, err error) vitrine.Finding {
	f := vitrine.Finding{Check: check, Result: vitrine.VerdictFail, Detail: err.Error()}
	var e *vitrine.Error
	var failure *vitrine.Failure
	switch {
	case errors.As(err, &failure):
		f.Detail, f.Remedy = failure.Message, failure.Remedy
		if len(failure.Evidence) > 0 {
			f.Detail += " (" + strings.Join(failure.Evidence, "; ") + ")"
		}
	case errors.As(err, &e):
		f.Detail, f.Remedy = e.Message, e.Remedy
	}
	return f
}

// shortContext bounds one check.
func shortContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, checkLimit)
}
