package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/vitrine-dev/vitrine/api"
)

// Images lists the golden images on the host.
func (c *Client) Images(ctx context.Context) ([]api.Image, error) {
	var list api.ImageList
	err := c.do(ctx, get("/v1/images", &list))
	return list.Images, err
}

// Status gives runtimes, room and recent failures.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, get("/v1/status", &s))
}

// Version says what runs.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, get("/version", &v))
}

// Health says how the daemon does. It gives a Health also when the daemon
// answers that its database does not; it is not made again.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/health", nil)
	if err != nil {
		return h, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return h, fmt.Errorf("calling the daemon at %s: %w", c.base.Redacted(), unwrapURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return h, fmt.Errorf("reading the reply of GET /health: %w", err)
	}
	if json.Unmarshal(b, &h) != nil || h.Status == "" {
		return h, readError(resp, b)
	}
	return h, nil
}

// Metrics gives the metrics as Prometheus text.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	b, _, err := c.fetch(ctx, get("/metrics", nil))
	return string(b), err
}
