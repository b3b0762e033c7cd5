package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/session"
	"github.com/vitrine-dev/vitrine/internal/store"
)

// newHost gives eyes and hands for what an instance makes on this host. down
// says that no daemon works over the data directory.
func newHost(set settings, net *network.Network, down func() bool) (*host.Host, error) {
	return host.New(host.Config{
		Bridge: set.Bridge, Instance: instance(set), DataDir: set.DataDir, ImageDir: set.ImageDir, TempDir: os.TempDir(),
		DaemonDown:    down,
		DeleteMachine: func(ctx context.Context, rt, id string) error { return deleteAnyMachine(ctx, set, rt, id) },
		RemoveCgroup: func(ctx context.Context, path string) error {
			h, err := cgroup.Detect()
			if err != nil {
				return err
			}
			group := h.Group("", path)
			return errors.Join(group.Kill(ctx), group.Remove(ctx))
		},
		Detach: net.Detach, MendRules: net.Repair,
	})
}

// deleteAnyMachine deletes a machine of any runtime, offered here or not: all
// keep it in the same way, and a deletion asks nothing of a driver.
func deleteAnyMachine(ctx context.Context, set settings, rt, id string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := supervised.New(rt, vitrine.IsolationNone, supervised.Config{
		BaseDir: filepath.Join(set.DataDir, "machines", rt), CgroupParent: "/" + instance(set),
		AgentPath: self, ShimCommand: []string{self, "shim"}, Log: slog.New(slog.DiscardHandler),
	}, nil)
	if err != nil {
		return err
	}
	return r.Delete(ctx, id)
}

func newInstanceNetwork(set settings) (*network.Network, error) {
	pool, err := newPool(set.Subnet)
	if err != nil {
		return nil, err
	}
	return network.New(network.Config{Bridge: set.Bridge, Pool: pool, DNS: set.DNS})
}

// direct is a sweeper of a tool that works while no daemon answers. With write,
// the database is opened to give back what it holds, and no daemon may be there:
// the caller holds the data directory's lock.
func direct(ctx context.Context, set settings, write bool) (sweeper *session.Sweeper, done func(), err error) {
	net, err := newInstanceNetwork(set)
	if err != nil {
		return nil, nil, err
	}
	down := func() bool { return write || !isLocked(filepath.Join(set.DataDir, "lock")) }
	h, err := newHost(set, net, down)
	if err != nil {
		return nil, nil, err
	}
	cfg := session.SweepConfig{
		Host: h, BootID: bootID(), AgeGuard: leftover.DefaultAgeGuard, Daemon: !down(), Log: slog.New(slog.DiscardHandler),
	}
	done = func() {}
	db, err := openForSweep(ctx, set, write)
	if err != nil {
		cfg.Unreadable = messageOf(err)
	} else {
		cfg.Store, done = db, func() { _ = db.Close() }
	}
	return session.NewSweeper(cfg), done, nil
}

type sweepStore interface {
	session.SweepStore
	Close() error
}

// openForSweep never makes a database: where there is none, whose machines there
// are cannot be told.
func openForSweep(ctx context.Context, set settings, write bool) (sweepStore, error) {
	look, err := store.OpenReadOnly(ctx, set.DatabaseURL)
	if err != nil || !write {
		return look, err
	}
	_ = look.Close()
	return store.Open(ctx, set.DatabaseURL)
}

// messageOf is an error without its code and its causes.
func messageOf(err error) string {
	var e *vitrine.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// registerSweeps shows what sweeps find and do.
func registerSweeps(reg *prometheus.Registry, s *session.Sweeper) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_leftovers",
			Help: "What belongs to no live session on this host, at the last look."}, func() float64 { return float64(s.Counts().Found) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vitrine_leftovers_removed_total",
			Help: "Leftovers that sweeps and collections have removed, since the daemon began."}, func() float64 { return float64(s.Counts().Removed) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vitrine_leftovers_failed_total",
			Help: "Removals of leftovers that did not work, since the daemon began."}, func() float64 { return float64(s.Counts().Failed) }),
	)
}
