package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func configCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force and where each came from",
		Long: "Settings come from /etc/vitrine/vitrine.env, then .env in the working directory, then the\n" +
			"environment, then flags; the later wins. Secrets are not shown.",
		Args: cobra.NoArgs,
	}
	addSettingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		_, values, err := loadConfig(defaultSources(c.Flags()))
		if asJSON {
			type row struct {
				Name   string `json:"name"`
				Value  string `json:"value"`
				Source string `json:"source"`
				Help   string `json:"help"`
			}
			rows := make([]row, 0, len(values))
			for _, v := range values {
				rows = append(rows, row{v.name, v.shown(), v.source, v.help})
			}
			enc := json.NewEncoder(c.OutOrStdout())
			enc.SetIndent("", "  ")
			if e := enc.Encode(rows); e != nil {
				return e
			}
			return err
		}
		tw := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "SETTING\tVALUE\tFROM")
		for _, v := range values {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", v.name, v.shown(), v.source)
		}
		if e := tw.Flush(); e != nil {
			return e
		}
		return err
	}
	return cmd
}

// shown is the value as it may be printed.
func (v value) shown() string {
	switch {
	case v.text == "":
		return "-"
	case v.name == "VITRINE_DATABASE_URL" && strings.HasPrefix(v.text, "/"):
		return v.text
	case v.secret:
		return "(set, not shown)"
	}
	return v.text
}
