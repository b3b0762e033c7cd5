package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

func loginLinkCommand() *cobra.Command {
	r := &remote{}
	var user, role string
	cmd := &cobra.Command{
		Use: "login-link", Short: "Make a link that opens the dashboard once", Args: cobra.NoArgs,
		Example: "  vitrine login-link\n  vitrine login-link --user alice",
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&user, "user", "", "who is logged in by it (default: the caller)")
	cmd.Flags().StringVar(&role, "role", "", "admin or user (default: user, when --user names another)")
	return r.run(cmd, func(c *cobra.Command, daemon *client.Client, _ []string) error {
		link, err := daemon.CreateLoginLink(c.Context(), api.CreateLoginLink{UserID: user, Role: vitrine.Role(role)})
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), link)
		}
		fmt.Fprintln(c.OutOrStdout(), link.URL)
		return nil
	})
}

func keyCommand() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{Use: "key", Short: "Create, list and remove API keys"}
	r.flags(cmd)

	var name, user, role string
	create := &cobra.Command{Use: "create", Short: "Make a key; it is shown once", Args: cobra.NoArgs}
	create.Flags().StringVar(&name, "name", "cli", "what it is for")
	create.Flags().StringVar(&user, "user", "", "whose sessions it makes and sees (default: the caller's)")
	create.Flags().StringVar(&role, "role", "user", "admin or user")
	r.run(create, func(c *cobra.Command, daemon *client.Client, _ []string) error {
		key, err := daemon.CreateKey(c.Context(), api.CreateKey{Name: name, UserID: user, Role: vitrine.Role(role)})
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), key)
		}
		fmt.Fprintln(c.OutOrStdout(), key.Secret)
		return nil
	})

	list := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List keys, without their secrets", Args: cobra.NoArgs}
	r.run(list, func(c *cobra.Command, daemon *client.Client, _ []string) error {
		keys, err := daemon.Keys(c.Context())
		if err != nil {
			return err
		}
		if r.json {
			return printJSON(c.OutOrStdout(), keys)
		}
		tw := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "ID\tNAME\tROLE\tUSER\tCREATED")
		for _, k := range keys {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, k.UserID, ago(k.CreatedAt, time.Now()))
		}
		return tw.Flush()
	})

	remove := &cobra.Command{Use: "rm ID", Aliases: []string{"remove"}, Short: "Remove a key; it stops working at once", Args: cobra.ExactArgs(1)}
	r.run(remove, func(c *cobra.Command, daemon *client.Client, args []string) error {
		if err := daemon.DeleteKey(c.Context(), args[0]); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "removed", args[0])
		return nil
	})
	cmd.AddCommand(create, list, remove)
	return cmd
}
