package client

import (
	"context"
	"net/http"

	"github.com/vitrine-dev/vitrine/api"
)

// Audit lists what belongs to no live session on the daemon's host.
func (c *Client) Audit(ctx context.Context) (out api.Collection, err error) {
	return out, c.do(ctx, get("/v1/host/audit", &out))
}

// Collect removes it, or with DryRun says what would be removed.
func (c *Client) Collect(ctx context.Context, in api.Collect) (out api.Collection, err error) {
	return out, c.do(ctx, request{method: http.MethodPost, path: "/v1/host/gc", body: in, into: &out})
}

// Doctor has the daemon check its host.
func (c *Client) Doctor(ctx context.Context) (out api.Doctor, err error) {
	return out, c.do(ctx, get("/v1/host/doctor", &out))
}
