package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// bundleReply is what `session bundle --json` prints.
type bundleReply struct {
	SessionID string `json:"session_id"`
	File      string `json:"file"`
	SizeBytes int64  `json:"size_bytes"`
}

func sessionBundle(r *remote) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "bundle ID",
		Short: "Fetch what was known of a session that failed, as one file",
		Long: "Fetch what was known of a session that failed: console, logs, boot ledger, figures of the host, the last screenshot.\n" +
			"Secrets are taken out, but for what the screenshot shows. Read summary.txt in it first.",
		Example: "  vitrine session bundle ses_…\n  vitrine session bundle ses_… -o - | tar -xzO --wildcards '*/summary.txt'",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write, or - for standard output (default: vitrine-ID.tar.gz here)")
	return r.run(cmd, func(c *cobra.Command, api *client.Client, args []string) error {
		if out == "-" && r.json {
			return usageError{fmt.Errorf("--json and -o - both want the standard output")}
		}
		p := newProgress(os.Stderr)
		defer p.done("")
		body, size, err := fetchBundle(c.Context(), api, args[0], p)
		if err != nil {
			return err
		}
		defer body.Close()
		if out == "-" {
			_, err := io.Copy(c.OutOrStdout(), body)
			return err
		}
		file := out
		if file == "" {
			file = "vitrine-" + args[0] + ".tar.gz"
		}
		n, err := writeWhole(file, body, size, p)
		if err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		if r.json {
			return printJSON(c.OutOrStdout(), bundleReply{args[0], file, n})
		}
		p.done("%d KiB; read summary.txt in it first", (n+1023)>>10)
		fmt.Fprintln(c.OutOrStdout(), file)
		return nil
	})
}

// bundlePatience is how long one that is being made is waited for.
const bundlePatience = 15 * time.Second

// fetchBundle opens a bundle; of a session that has failed just now it waits
// until there is one.
func fetchBundle(ctx context.Context, api *client.Client, id string, p *progress) (io.ReadCloser, int64, error) {
	for end := time.Now().Add(bundlePatience); ; {
		body, size, err := api.Bundle(ctx, id)
		var refused *client.Error
		if err == nil || !errors.As(err, &refused) || refused.Class != vitrine.ClassConflict || !refused.Retryable || time.Now().After(end) {
			return body, size, err
		}
		p.step("the bundle is being made", -1)
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-time.After(max(refused.RetryAfter, 100*time.Millisecond)):
		}
	}
}

// writeWhole writes a file whole or not at all, mode 0600: what failed in a
// machine is nobody else's business.
func writeWhole(path string, from io.Reader, size int64, p *progress) (int64, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".vitrine-bundle-")
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, &counted{Reader: from, size: size, p: p})
	if err == nil && size >= 0 && n != size {
		err = fmt.Errorf("%d of %d bytes came", n, size)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return n, err
}

// counted shows how much has come.
type counted struct {
	io.Reader
	n, size int64
	p       *progress
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.n += int64(n); c.p.terminal && c.size > 0 {
		c.p.step(fmt.Sprintf("fetching the bundle, %d of %d KiB", c.n>>10, c.size>>10), int(100*c.n/c.size))
	}
	return n, err
}
