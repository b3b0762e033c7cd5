package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/vitrine-dev/vitrine/api"
)

// CreateTicket makes a ticket for a viewer. Its secret is in the reply only.
func (c *Client) CreateTicket(ctx context.Context, id string, in CreateTicket) (t Ticket, err error) {
	return t, c.do(ctx, request{method: http.MethodPost, path: sessionPath(id, "/tickets"), body: in, into: &t})
}

// RevokeTicket ends a ticket and the connections that came in by it.
func (c *Client) RevokeTicket(ctx context.Context, id, ticketID string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: sessionPath(id, "/tickets/"+url.PathEscape(ticketID)), repeat: true})
}

// RedeemTicket turns a ticket into a viewer cookie, for a client whose
// http.Client has a cookie jar.
func (c *Client) RedeemTicket(ctx context.Context, secret string) (out api.RedeemedTicket, err error) {
	return out, c.do(ctx, request{method: http.MethodPost, path: "/v1/tickets/redeem", body: api.RedeemTicket{Ticket: secret}, into: &out})
}

// Login turns a login link's token into a dashboard cookie, likewise.
func (c *Client) Login(ctx context.Context, token string) (me api.Me, err error) {
	return me, c.do(ctx, request{method: http.MethodPost, path: "/v1/login", body: api.Login{Token: token}, into: &me})
}

// Logout ends the dashboard login.
func (c *Client) Logout(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodPost, path: "/v1/logout", repeat: true})
}

// Me says who is calling.
func (c *Client) Me(ctx context.Context) (me api.Me, err error) {
	return me, c.do(ctx, get("/v1/me", &me))
}

// Keys lists all API keys.
func (c *Client) Keys(ctx context.Context) ([]api.Key, error) {
	var list api.KeyList
	err := c.do(ctx, get("/v1/keys", &list))
	return list.Keys, err
}

// CreateKey makes an API key. Its secret is in the reply only.
func (c *Client) CreateKey(ctx context.Context, in api.CreateKey) (k api.NewKey, err error) {
	return k, c.do(ctx, request{method: http.MethodPost, path: "/v1/keys", body: in, into: &k})
}

// DeleteKey deletes an API key.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)})
}

// CreateLoginLink makes a one-time login link for the dashboard.
func (c *Client) CreateLoginLink(ctx context.Context, in api.CreateLoginLink) (l api.LoginLink, err error) {
	return l, c.do(ctx, request{method: http.MethodPost, path: "/v1/login-links", body: in, into: &l})
}

// SSHKeys lists the SSH keys that the caller may see, and where the daemon
// answers SSH.
func (c *Client) SSHKeys(ctx context.Context) (list api.SSHKeyList, err error) {
	return list, c.do(ctx, get("/v1/ssh-keys", &list))
}

// AddSSHKey lets a public key in by SSH.
func (c *Client) AddSSHKey(ctx context.Context, in api.AddSSHKey) (k api.SSHKey, err error) {
	return k, c.do(ctx, request{method: http.MethodPost, path: "/v1/ssh-keys", body: in, into: &k})
}

// RemoveSSHKey removes an SSH key and ends the connections that came in by it.
func (c *Client) RemoveSSHKey(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: "/v1/ssh-keys/" + url.PathEscape(id)})
}
