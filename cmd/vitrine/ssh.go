package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

// Times of the verb's own key and connection.
const (
	sshKeyLife  = 60 * time.Second // to log in; a connection that is made stays
	sshDialTime = 20 * time.Second
)

func sshCommand() *cobra.Command {
	r := &remote{}
	var asRoot, tty bool
	cmd := &cobra.Command{
		Use:   "ssh SESSION [COMMAND…]",
		Short: "Open a shell in a session, or run a command; its exit code is passed on",
		Long: "Open a shell in a session, or run a command there; its exit code is passed on.\n" +
			"No SSH key is needed: one is made for the moment. Other SSH programs (sftp, scp,\n" +
			"port forwarding) need one of yours: vitrine ssh-key add FILE (docs/ssh.md).",
		Example: "  vitrine ssh ses_…\n  vitrine ssh ses_… 'ps aux | head'\n  tar c src | vitrine ssh ses_… tar x",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: r.completeSessions,
	}
	r.flags(cmd)
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVar(&asRoot, "root", false, "as the machine's root")
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "a terminal also for a command")
	return r.run(cmd, func(c *cobra.Command, daemon *client.Client, args []string) error {
		if s, err := daemon.Session(c.Context(), args[0]); err != nil {
			return err
		} else if s.State != vitrine.StateReady {
			return vitrine.Errorf(vitrine.ClassConflict, "not_ready", "session %s is %s", s.ID, s.State).
				WithRemedy("see: vitrine session show %s", s.ID)
		}
		user := args[0]
		if asRoot {
			user += "+root"
		}
		conn, done, err := r.sshDial(c.Context(), daemon, user)
		if err != nil {
			return err
		}
		defer done()
		return runSSH(c.Context(), conn, strings.Join(args[1:], " "), tty || len(args) == 1)
	})
}

// sshDial makes a key for this one connection, has it let in for a minute, and
// connects; done removes it and hangs up.
func (r *remote) sshDial(ctx context.Context, daemon *client.Client, user string) (conn *ssh.Client, done func(), err error) {
	at, hostLine, err := r.sshAddress(ctx, daemon)
	if err != nil {
		return nil, nil, err
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostLine))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the daemon's SSH key: %w", err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, err
	}
	life := int64(sshKeyLife / time.Second)
	key, err := daemon.AddSSHKey(ctx, api.AddSSHKey{
		Name: "vitrine ssh", PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), TTLSeconds: &life,
	})
	if err != nil {
		return nil, nil, err
	}
	forget := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = daemon.RemoveSSHKey(ctx, key.ID) // one that stays is worth nothing in a minute
	}
	said := ""
	conn, err = ssh.Dial("tcp", at, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey), Timeout: sshDialTime,
		BannerCallback: func(m string) error { said = strings.TrimSpace(strings.TrimPrefix(m, "vitrine: ")); return nil },
	})
	if err != nil {
		forget()
		if said != "" {
			return nil, nil, vitrine.Errorf(vitrine.ClassForbidden, "ssh_refused", "%s", said)
		}
		return nil, nil, vitrine.Errorf(vitrine.ClassUnavailable, "ssh_unreachable", "no SSH connection to the daemon at %s", at).
			WithRemedy("check that this port can be reached from here (VITRINE_SSH_PORT)").WithCause(err)
	}
	return conn, func() { _ = conn.Close(); forget() }, nil
}

// runSSH runs one command, or a shell, on our own standard streams.
func runSSH(ctx context.Context, conn *ssh.Client, command string, tty bool) error {
	sess, err := conn.NewSession()
	if err != nil {
		return fmt.Errorf("opening a channel: %w", err)
	}
	defer sess.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	sess.Stdout, sess.Stderr = os.Stdout, os.Stderr
	for _, name := range []string{"LANG", "LC_ALL"} {
		if v := os.Getenv(name); v != "" {
			_ = sess.Setenv(name, v)
		}
	}
	in, err := sess.StdinPipe()
	if err != nil {
		return err
	}
	if stdin := int(os.Stdin.Fd()); tty && term.IsTerminal(stdin) {
		restore, err := takeTerminal(sess, stdin)
		if err != nil {
			return err
		}
		defer restore()
	}
	if command == "" {
		err = sess.Shell()
	} else {
		err = sess.Start(command)
	}
	if err != nil {
		return fmt.Errorf("starting in the machine: %w", err)
	}
	go func() { // it may wait for a key for ever, and then ends with the process
		_, _ = io.Copy(in, os.Stdin)
		_ = in.Close()
	}()
	var exit *ssh.ExitError
	switch err := sess.Wait(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.Signal() != "":
		return exitError(128 + signalNumber(exit.Signal()))
	case errors.As(err, &exit):
		return exitError(exit.ExitStatus())
	default:
		return vitrine.Errorf(vitrine.ClassUnavailable, "ssh_lost", "the connection to the machine was lost").
			WithRemedy("see: vitrine session list").WithCause(err)
	}
}

// takeTerminal puts our terminal at the machine's disposal: raw, and of the same
// size, also when it changes.
func takeTerminal(sess *ssh.Session, fd int) (restore func(), err error) {
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		cols, rows = 80, 24
	}
	kind := os.Getenv("TERM")
	if kind == "" {
		kind = "xterm-256color"
	}
	if err := sess.RequestPty(kind, rows, cols, ssh.TerminalModes{}); err != nil {
		return nil, fmt.Errorf("asking for a terminal: %w", err)
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("setting the terminal: %w", err)
	}
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH)
	go func() {
		for range sizes {
			if cols, rows, err := term.GetSize(fd); err == nil {
				_ = sess.WindowChange(rows, cols)
			}
		}
	}()
	return func() {
		signal.Stop(sizes)
		close(sizes)
		_ = term.Restore(fd, before)
	}, nil
}

// signalNumber is the number of a signal as SSH names it (signal(7)).
func signalNumber(name string) int {
	numbers := map[string]syscall.Signal{
		"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP, "ILL": syscall.SIGILL,
		"INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE, "QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV,
		"TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	}
	return int(numbers[name])
}
