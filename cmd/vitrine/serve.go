package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func serveCommand() *cobra.Command {
	var readyPath string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: "Run the daemon: API and page on VITRINE_LISTEN, media on VITRINE_MEDIA_PORT.\n" +
			"Each flag is also a variable, in the environment, .env or /etc/vitrine/vitrine.env.\n" +
			"SIGTERM stops it: calls under way are answered, viewers are told to come back, machines go on, and the\n" +
			"next start takes them over. A second SIGTERM ends it at once.",
		Args: cobra.NoArgs,
	}
	addSettingFlags(cmd.Flags())
	cmd.Flags().StringVar(&readyPath, "ready-file", "", "write a JSON file with the URL and a login link, once it answers (mode 0600)")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		set, _, err := loadConfig(defaultSources(c.Flags()))
		if err != nil {
			return err
		}
		return serve(c.Context(), set, readyPath, c.OutOrStdout())
	}
	return cmd
}

func serve(ctx context.Context, set settings, readyPath string, out io.Writer) error {
	if err := checkRoot(set); err != nil {
		return err
	}
	log := newLogger(set, os.Stderr)
	told := findManager(log)
	defer leaveInTime(log)()
	a, err := newApp(ctx, set, log)
	if err != nil {
		return err
	}
	defer a.close()
	link, err := a.newLoginLink(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, told.stopping)()
	go told.watchdog(ctx, a.answers)
	return a.run(ctx, func() {
		told.ready(a.url())
		if journal(os.Stdout) {
			a.greetJournal(out)
		} else {
			a.greet(out, link)
		}
		if readyPath != "" {
			if err := writeReady(readyPath, readyFile{URL: a.url(), Key: a.adminKey, Login: link}); err != nil {
				log.Error("writing the ready file", "path", readyPath, "error", err)
			}
		}
	})
}

// greet tells a person where to go. The key is shown at the first start only.
func (a *app) greet(w io.Writer, link string) {
	fmt.Fprintf(w, "\nVitrine %s is running at %s\n", version, a.url())
	if a.adminKey != "" {
		fmt.Fprintf(w, "  admin key (shown once):  %s\n", a.adminKey)
	}
	fmt.Fprintf(w, "  open it (works once, for 15 minutes):  %s\n", link)
	fmt.Fprintf(w, "  more links: vitrine login-link    stop: Ctrl-C (machines go on)\n\n")
}

// greetJournal is greet for what is kept and may be read by others: it shows no
// secret.
func (a *app) greetJournal(w io.Writer) {
	fmt.Fprintf(w, "Vitrine %s is running at %s; as root: vitrine login-link, vitrine key create --role admin\n", version, a.url())
}

// journal says whether a file is systemd's journal (systemd.exec(5), JOURNAL_STREAM).
func journal(f *os.File) bool {
	var st unix.Stat_t
	at := os.Getenv("JOURNAL_STREAM")
	return at != "" && unix.Fstat(int(f.Fd()), &st) == nil && at == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func writeReady(path string, r readyFile) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func newLogger(set settings, w *os.File) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(set.LogLevel)) // checked when it was read
	opts := &slog.HandlerOptions{Level: level}
	if set.LogJSON || !term.IsTerminal(int(w.Fd())) && os.Getenv("INVOCATION_ID") != "" {
		return slog.New(slog.NewJSONHandler(w, opts)) // under systemd too
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
