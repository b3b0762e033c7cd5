package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

const codeNoDaemon = "no_daemon"

// remote is where a verb finds the daemon: by URL and key, or, for root on the
// same host, by the local socket (docs/adr/0005).
type remote struct {
	url, key, dataDir string
	json              bool
}

func (r *remote) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&r.url, "url", os.Getenv("VITRINE_URL"), "the daemon's address (VITRINE_URL); by default the one on this host")
	f.StringVar(&r.dataDir, "data-dir", "", "the data directory of the daemon on this host (VITRINE_DATA_DIR)")
	f.BoolVar(&r.json, "json", false, "print JSON")
	r.key = os.Getenv("VITRINE_KEY")
}

// socketName is the local admin socket, in the data directory.
const socketName = "vitrine.sock"

// client gives a client of the daemon, after it has answered once: every verb
// then fails in one way when there is none.
func (r *remote) client(ctx context.Context) (*client.Client, error) {
	if r.url != "" {
		if r.key == "" {
			return nil, vitrine.Errorf(vitrine.ClassUnauthorized, "no_key", "there is no key for %s", r.url).
				WithRemedy("set VITRINE_KEY; the daemon printed one at its first start, `vitrine key create` makes more")
		}
		c, err := client.New(r.url, r.key)
		if err != nil {
			return nil, usageError{err}
		}
		return c, r.reach(ctx, c, r.url)
	}
	dir := r.dataDir
	if dir == "" {
		s, _, err := loadConfig(defaultSources(nil))
		if err != nil {
			return nil, err
		}
		dir = s.DataDir
	}
	socket := filepath.Join(dir, socketName)
	var d net.Dialer
	hc := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}
	c, err := client.New("http://localhost", "", client.WithHTTPClient(hc))
	if err != nil {
		return nil, err
	}
	return c, r.reach(ctx, c, socket)
}

func (r *remote) reach(ctx context.Context, c *client.Client, where string) error {
	_, err := c.Version(ctx)
	if err == nil {
		return nil
	}
	var refused *client.Error
	if errors.As(err, &refused) {
		return err
	}
	remedy := "start it: make run, or vitrine serve"
	if errors.Is(err, os.ErrPermission) {
		remedy = "run as root, or set VITRINE_URL and VITRINE_KEY"
	}
	return vitrine.Errorf(vitrine.ClassUnavailable, codeNoDaemon, "no daemon answers at %s", where).
		WithRemedy("%s", remedy).WithCause(err)
}

// run wraps a verb that needs a daemon.
func (r *remote) run(cmd *cobra.Command, do func(c *cobra.Command, api *client.Client, args []string) error) *cobra.Command {
	cmd.RunE = func(c *cobra.Command, args []string) error {
		api, err := r.client(c.Context())
		if err != nil {
			return err
		}
		return do(c, api, args)
	}
	return cmd
}

// completeSessions completes the ids of live sessions for the shell.
func (r *remote) completeSessions(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	api, err := r.client(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := api.ListSessions(c.Context(), client.ListOptions{Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, s := range list.Sessions {
		if !s.State.Over() {
			out = append(out, fmt.Sprintf("%s\t%s, %s", s.ID, s.State, s.Runtime))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
