package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

func auditCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List what is on this host and belongs to no live session",
		Long: "audit looks for machines' directories, processes, cgroups, network namespaces, interfaces, firewall rules,\n" +
			"loop devices, mounts, sockets, builds, reservations and tickets of this instance that no live session has.\n" +
			"It changes nothing. It asks the daemon, and looks by itself where none answers. Exit code 1 when there is\n" +
			"something, or when something could not be looked at.",
		Example: "  vitrine audit\n  vitrine audit --json\n  vitrine audit --bridge=vtlab0 --data-dir=/srv/lab   # a second install",
		Args:    cobra.NoArgs,
	}
	addSettingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		set, _, err := loadConfig(defaultSources(c.Flags()))
		if err != nil {
			return err
		}
		found, err := audit(c.Context(), set)
		if err != nil {
			return err
		}
		if asJSON {
			err = printJSON(c.OutOrStdout(), found)
		} else {
			printCollection(c.OutOrStdout(), found, time.Now())
			if n := deeds(found); n > 0 {
				fmt.Fprintf(c.OutOrStdout(), "\n`vitrine gc` removes %d of them; `vitrine gc --dry-run` says how\n", n)
			}
		}
		if err == nil && len(found.Leftovers)+len(found.Blind) > 0 {
			return exitError(exitFailed)
		}
		return err
	}
	return cmd
}

// audit asks the daemon of this instance, or looks itself.
func audit(ctx context.Context, set settings) (api.Collection, error) {
	daemon, err := localDaemon(ctx, set)
	if err != nil {
		return api.Collection{}, err
	}
	if daemon != nil {
		return daemon.Audit(ctx)
	}
	if err := needRoot("audit"); err != nil {
		return api.Collection{}, err
	}
	sweeper, done, err := direct(ctx, set, false)
	if err != nil {
		return api.Collection{}, err
	}
	defer done()
	c, err := sweeper.Audit(ctx)
	return api.NewCollection(c), err
}

// localDaemon gives a client of the daemon over this data directory; nil when
// none answers.
func localDaemon(ctx context.Context, set settings) (*client.Client, error) {
	short, cancel := context.WithTimeout(ctx, daemonLimit)
	defer cancel()
	daemon, err := (&remote{dataDir: set.DataDir}).client(short)
	var e *vitrine.Error
	switch {
	case err == nil:
		return daemon, nil
	case errors.As(err, &e) && e.Code == codeNoDaemon, short.Err() != nil && ctx.Err() == nil:
		return nil, nil
	}
	return nil, err
}

// daemonLimit is how long the local daemon may take to say that it is there.
const daemonLimit = 5 * time.Second

func needRoot(verb string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return vitrine.Errorf(vitrine.ClassForbidden, "not_root", "only root sees all of a host").WithRemedy("sudo vitrine %s", verb)
}

// isLocked says whether a daemon holds a data directory's lock.
func isLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// deeds is how many leftovers something is done about.
func deeds(c api.Collection) (n int) {
	for _, l := range c.Leftovers {
		if l.Deed != nil {
			n++
		}
	}
	return n
}

// printCollection prints one paragraph a leftover.
func printCollection(w io.Writer, c api.Collection, now time.Time) {
	for _, b := range c.Blind {
		fmt.Fprintf(w, "could not look at: %s\n", b)
	}
	if len(c.Leftovers) == 0 {
		fmt.Fprintln(w, "nothing is left over: everything on this host belongs to a live session")
		return
	}
	for i, l := range c.Leftovers {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, t := range l.Things {
			line := fmt.Sprintf("%-11s %s", t.Kind, t.Name)
			if t.Since != nil {
				line += ", since " + ago(*t.Since, now)
			}
			if t.Detail != "" {
				line += " (" + t.Detail + ")"
			}
			fmt.Fprintln(w, line)
		}
		fmt.Fprintf(w, "            why: %s\n", l.Why)
		switch {
		case l.Error != "":
			fmt.Fprintf(w, "            failed: %s: %s\n", *l.Deed, strings.ReplaceAll(l.Error, "\n", "; "))
		case l.Done:
			fmt.Fprintf(w, "            done: %s\n", *l.Deed)
		case l.Deed != nil:
			fmt.Fprintf(w, "            gc: %s\n", *l.Deed)
		default:
			fmt.Fprintf(w, "            kept: %s\n", l.Keep)
		}
	}
}
