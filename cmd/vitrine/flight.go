package main

import (
	"context"
	"net/url"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/flight"
)

// wireFlights opens the flight recorder over the data directory.
func (a *app) wireFlights() (err error) {
	a.flights, err = flight.New(flight.Config{
		Dir: filepath.Join(a.set.DataDir, "bundles"),
		Daemon: flight.Daemon{
			Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
			Started: time.Now().UTC(), Settings: shownSettings(a.set.inForce),
		},
		Secrets: a.secretsAround,
		Log:     a.log,
	})
	return err
}

// shownSettings are the settings in force, as `vitrine config` shows them.
func shownSettings(values []value) []flight.Setting {
	all := make([]flight.Setting, 0, len(values))
	for _, v := range values {
		all = append(all, flight.Setting{Name: v.name, Value: v.shown(), Source: describe(v.source)})
	}
	return all
}

// secretsAround are the secrets that a session's machine, or a log of ours, might
// quote: the machine's own, and those of the configuration.
func (a *app) secretsAround(s vitrine.Session) []string {
	secrets := []string{a.key.agentSecret(s.MachineID), a.adminKey}
	for _, v := range a.set.inForce {
		if !v.secret {
			continue
		}
		secrets = append(secrets, v.text)
		if u, err := url.Parse(v.text); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, password)
		}
	}
	return secrets
}

// bundlesEvery is how often old bundles are looked for.
const bundlesEvery = 10 * time.Minute

// keepBundles removes bundles that are old, or whose session is gone, until ctx
// is done.
func (a *app) keepBundles(ctx context.Context) {
	tick := time.NewTicker(bundlesEvery)
	defer tick.Stop()
	for {
		a.flights.Expire(ctx, time.Now().Add(-a.set.KeepEnded), func(ctx context.Context, id string) bool {
			_, err := a.store.Session(ctx, id)
			return err == nil || vitrine.ClassOf(err) != vitrine.ClassNotFound
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
