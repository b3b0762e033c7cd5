package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
)

// verdict is how a check ended.
type verdict string

const (
	pass verdict = "pass"
	warn verdict = "warn"
	fail verdict = "fail"
)

// finding is one line of doctor's report.
type finding struct {
	Check  string  `json:"check"`
	Result verdict `json:"result"`
	Detail string  `json:"detail"`
	Remedy string  `json:"remedy,omitempty"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host: what works, and what to type where something does not",
		Long: "doctor tries what a start needs: it runs something real in each runtime, asks the kernel about the\n" +
			"firewall rules without applying them, and reads the image. It changes nothing. Exit code 1 when\n" +
			"something fails.",
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
		findings := examine(c.Context(), set, func(what string) { p.step("checking "+what, -1) })
		p.done("")
		if asJSON {
			if err := printJSON(c.OutOrStdout(), findings); err != nil {
				return err
			}
		} else {
			printFindings(c.OutOrStdout(), findings)
		}
		for _, f := range findings {
			if f.Result == fail {
				return exitError(exitFailed)
			}
		}
		return nil
	}
	return cmd
}

func printFindings(w io.Writer, findings []finding) {
	counts := map[verdict]int{}
	for _, f := range findings {
		counts[f.Result]++
		fmt.Fprintf(w, "%-4s  %-18s %s\n", f.Result, f.Check, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(w, "      %-18s → %s\n", "", f.Remedy)
		}
	}
	fmt.Fprintf(w, "\n%d pass, %d warn, %d fail\n", counts[pass], counts[warn], counts[fail])
}

// examine runs every check, each bounded.
func examine(ctx context.Context, set settings, say func(what string)) []finding {
	var all []finding
	add := func(f ...finding) { all = append(all, f...) }
	say("the host")
	add(checkUser(), checkCgroups(), checkMemory(set), checkDisk("data directory", set.DataDir), checkDisk("cache directory", set.CacheDir))
	daemon := runningDaemon(ctx, set)
	add(daemon)
	say("the ports")
	add(checkPorts(set, daemon.Result == pass)...)
	say("the runtimes")
	add(checkRuntimes(ctx, set, say)...)
	say("the network")
	add(checkNetwork(ctx, set))
	say("the image")
	add(checkImage(ctx, set))
	return all
}

// fromError makes a failed finding of an error that carries a remedy.
func fromError(check string, err error) finding {
	f := finding{Check: check, Result: fail, Detail: err.Error()}
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

func checkUser() finding {
	if os.Geteuid() == 0 {
		return finding{Check: "user", Result: pass, Detail: "root"}
	}
	return finding{Check: "user", Result: fail, Detail: fmt.Sprintf("uid %d may make no namespaces, mounts and bridge", os.Geteuid()), Remedy: "sudo vitrine doctor"}
}

func checkMemory(set settings) finding {
	total, free := hostMemoryMB(), hostAvailableMB()
	f := finding{Check: "memory", Result: pass, Detail: fmt.Sprintf("%d MB in all, %d MB available; a desktop is lent %d MB", total, free, set.BrowserMemoryMB)}
	switch {
	case total-set.HostReserveMB < set.BrowserMemoryMB:
		f.Result, f.Remedy = fail, fmt.Sprintf("set BROWSER_VM_MEMORY_MB to at most %d", max(total-set.HostReserveMB, 0))
	case free < set.BrowserMemoryMB:
		f.Result, f.Remedy = warn, "end something that uses memory, or set BROWSER_VM_MEMORY_MB lower"
	}
	return f
}

// checkRuntimes lets each runtime run something real.
func checkRuntimes(ctx context.Context, set settings, say func(string)) []finding {
	dir, err := os.MkdirTemp("", "vitrine-doctor-")
	if err != nil {
		return []finding{fromError("runtimes", err)}
	}
	defer os.RemoveAll(dir)
	runtimes, err := newRuntimes(set, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{fromError("runtimes", err)}
	}
	var all []finding
	picked := ""
	for _, rt := range runtimes {
		say("runtime " + rt.Name())
		pctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		p := rt.Probe(pctx)
		cancel()
		f := finding{Check: "runtime " + rt.Name(), Result: pass, Detail: p.Reason}
		if p.Version != "" {
			f.Detail += " (" + p.Version + ")"
		}
		if !p.OK {
			f.Result, f.Remedy = warn, p.Remedy
		} else if picked == "" {
			picked = rt.Name()
		}
		all = append(all, f)
	}
	switch {
	case picked == "":
		all = append(all, finding{Check: "automatic pick", Result: fail, Detail: "no runtime works here", Remedy: "follow the remedies above, for one of them"})
	case set.Runtime != "auto":
		all = append(all, finding{Check: "automatic pick", Result: pass, Detail: "VITRINE_RUNTIME is " + set.Runtime})
	default:
		all = append(all, finding{Check: "automatic pick", Result: pass, Detail: picked + ": the strongest that works here"})
	}
	return all
}
