// Package client is the Go client of Vitrine's HTTP API: one method an
// operation of api/openapi.yaml, with its types. The command line tool and the
// tests use it, and so may any program.
//
//	c, err := client.New("http://127.0.0.1:4000", os.Getenv("VITRINE_KEY"))
//	s, err := c.CreateSession(ctx, client.CreateSession{Kind: vitrine.KindDesktop}, client.CreateOptions{Wait: true})
//
// What the daemon refuses comes back as *Error, which holds a *vitrine.Error:
// its Code is stable, its Message and Remedy are for a person. A call that may
// be repeated without harm (reading, ending, and creating, which carries an
// idempotency key) is tried up to four times when the daemon cannot be reached or
// asks to wait; any other call is made once. Events reconnects by itself and
// misses none.
//
// The package imports the domain and the contract's types, and nothing of the
// daemon's inside. It keeps no state but its http.Client and writes nothing
// anywhere.
package client

import "github.com/vitrine-dev/vitrine/api"

//revive:disable:exported each is documented in package api

// The types of the contract, under the client's name.
type (
	Session       = api.Session
	SessionList   = api.SessionList
	CreateSession = api.CreateSession
	UpdateSession = api.UpdateSession
	Boot          = api.Boot
	Phase         = api.Phase
	Event         = api.Event
	Exec          = api.Exec
	ExecResult    = api.ExecResult
	CreateTicket  = api.CreateTicket
	Ticket        = api.Ticket
	Status        = api.Status
	Health        = api.Health
	Version       = api.Version
)
