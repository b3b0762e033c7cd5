package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

func sshKeyCommand() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{Use: "ssh-key", Short: "Say which SSH keys open sessions"}
	r.flags(cmd)

	var name, user string
	add := &cobra.Command{
		Use: "add FILE", Short: "Let a public key in; - reads it from standard input", Args: cobra.ExactArgs(1),
		Example: "  vitrine ssh-key add ~/.ssh/id_ed25519.pub\n  vitrine ssh-key add --user alice alice.pub",
	}
	add.Flags().StringVar(&name, "name", "cli", "which key it is")
	add.Flags().StringVar(&user, "user", "", "whose sessions it opens (default: the caller's; an admin's opens all)")
	r.run(add, func(c *cobra.Command, daemon *client.Client, args []string) error {
		line, err := readKeyFile(c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		k, err := daemon.AddSSHKey(c.Context(), api.AddSSHKey{Name: name, PublicKey: line, UserID: user})
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), k)
		}
		fmt.Fprintln(c.OutOrStdout(), k.ID, k.Fingerprint)
		return nil
	})

	list := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the keys", Args: cobra.NoArgs}
	r.run(list, func(c *cobra.Command, daemon *client.Client, _ []string) error {
		keys, err := daemon.SSHKeys(c.Context())
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), keys)
		}
		tw := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "ID\tNAME\tROLE\tUSER\tFINGERPRINT\tCREATED")
		for _, k := range keys.Keys {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, k.UserID, k.Fingerprint, ago(k.CreatedAt, time.Now()))
		}
		return tw.Flush()
	})

	remove := &cobra.Command{Use: "rm ID", Aliases: []string{"remove"}, Short: "Remove a key; connections that came in by it end", Args: cobra.ExactArgs(1)}
	r.run(remove, func(c *cobra.Command, daemon *client.Client, args []string) error {
		if err := daemon.RemoveSSHKey(c.Context(), args[0]); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "removed", args[0])
		return nil
	})

	known := &cobra.Command{
		Use: "known-hosts", Short: "Print the daemon's key as a line for ~/.ssh/known_hosts", Args: cobra.NoArgs,
		Example: "  vitrine ssh-key known-hosts >> ~/.ssh/known_hosts",
	}
	r.run(known, func(c *cobra.Command, daemon *client.Client, _ []string) error {
		at, hostKey, err := r.sshAddress(c.Context(), daemon)
		if err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(at)
		fmt.Fprintf(c.OutOrStdout(), "[%s]:%s %s\n", host, port, hostKey)
		return nil
	})
	cmd.AddCommand(add, list, remove, known)
	return cmd
}

func readKeyFile(stdin io.Reader, path string) (string, error) {
	from := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", usageError{err}
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, 16<<10))
	return string(b), err
}

// sshAddress is where the daemon answers SSH, as seen from here, and its key.
func (r *remote) sshAddress(ctx context.Context, daemon *client.Client) (address, hostKey string, err error) {
	list, err := daemon.SSHKeys(ctx)
	if err != nil {
		return "", "", err
	}
	e := list.Endpoint
	if e.Port == 0 {
		return "", "", vitrine.Errorf(vitrine.ClassUnavailable, "ssh_off", "the daemon does not answer SSH").
			WithRemedy("set VITRINE_SSH_PORT and start the daemon again")
	}
	host := e.Host
	if r.url != "" {
		u, err := url.Parse(r.url)
		if err != nil {
			return "", "", usageError{err}
		}
		host = u.Hostname()
	} else if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Port)), e.HostKey, nil
}
