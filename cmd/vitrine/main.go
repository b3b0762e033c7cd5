// Command vitrine is the daemon, the node and the tool.
//
// Each verb has a file of its own; serve.go and app.go are the only place where
// the parts are wired together. The tool's verbs talk to a running daemon
// through the client package and to nothing else; image, doctor and shim work
// on the host directly.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

// version is set by the linker (Makefile).
var version = "dev"

// Exit codes, as `vitrine help exit-codes` tells them.
const (
	exitOK       = 0
	exitFailed   = 1 // the command could not be carried out
	exitUsage    = 2 // wrong words on the command line, or a wrong setting
	exitNotFound = 3 // no such session, image or ticket
	exitMachine  = 4 // the session failed: its failure was printed
	exitNoDaemon = 5 // no daemon answers
)

func main() {
	// The shim is started for every machine and stays: it must not wait for, or
	// hold, anything that the other verbs need.
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := rootCommand()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	return report(os.Stderr, err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "vitrine",
		Short:         "Browser desktops from isolated machines on your own server, live in a tab",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	root.AddCommand(
		serveCommand(), sessionCommand(), imageCommand(), doctorCommand(), auditCommand(), gcCommand(), configCommand(),
		loginLinkCommand(), keyCommand(), sshCommand(), sshKeyCommand(), benchCommand(), versionCommand(), exitCodesTopic(),
	)
	return root
}

// usageError is a wrong word on the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// exitError carries an exit code for an error that has been printed already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error with its remedy, and gives the exit code for it.
func report(w *os.File, err error) int {
	var done exitError
	if errors.As(err, &done) {
		return int(done)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "vitrine: interrupted")
		return exitFailed
	}
	for _, e := range unjoin(err) {
		printError(w, e)
	}
	var usage usageError
	var ve *vitrine.Error
	var f *vitrine.Failure
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &f):
		return exitMachine
	case errors.As(err, &ve):
		switch {
		case ve.Class == vitrine.ClassInvalid || ve.Class == vitrine.ClassMalformed:
			return exitUsage // refused as it stood; nothing was started
		case ve.Failure != nil:
			return exitMachine
		case ve.Class == vitrine.ClassNotFound:
			return exitNotFound
		case ve.Code == codeNoDaemon:
			return exitNoDaemon
		}
	}
	return exitFailed
}

// unjoin takes apart what errors.Join put together.
func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

func printError(w *os.File, err error) {
	var f *vitrine.Failure
	var e *vitrine.Error
	switch {
	case errors.As(err, &f):
		printFailure(w, f)
	case errors.As(err, &e) && e.Failure != nil:
		printFailure(w, e.Failure)
	case errors.As(err, &e):
		fmt.Fprintf(w, "vitrine: %s\n", e.Message)
		if e.Err != nil && e.Class != vitrine.ClassInternal {
			fmt.Fprintf(w, "  cause:  %v\n", e.Err)
		}
		if e.Remedy != "" {
			fmt.Fprintf(w, "  remedy: %s\n", e.Remedy)
		}
	default:
		fmt.Fprintf(w, "vitrine: %v\n", err)
	}
}

func printFailure(w *os.File, f *vitrine.Failure) {
	fmt.Fprintf(w, "vitrine: %s in %s: %s\n", f.Code, f.Phase, f.Message)
	for _, line := range f.Evidence {
		fmt.Fprintf(w, "  | %s\n", line)
	}
	if f.Remedy != "" {
		fmt.Fprintf(w, "  remedy: %s\n", f.Remedy)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), "vitrine", version)
			return nil
		},
	}
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use: "exit-codes", Short: "What the exit codes mean",
		Long: `Exit codes:
  0  done
  1  it could not be done; the reason was printed
  2  wrong words on the command line, or a wrong setting
  3  no such session, image or key
  4  the session failed; its failure was printed
  5  no daemon answers
With 'session exec' and 'ssh', the command's own exit code is passed on.`,
	}
}
