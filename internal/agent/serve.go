package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Serve runs the agent of the machine whose config lies in dir until ctx is
// done, then ends its programs in order and returns.
func Serve(ctx context.Context, dir string, log *slog.Logger) error {
	began := time.Now()
	cfg, err := LoadConfig(filepath.Join(dir, agentproto.ConfigFile))
	if err != nil {
		return err
	}
	cfg.Dir = dir
	log = log.With("machine", cfg.MachineID, "session", cfg.SessionID)
	syscall.Umask(0o022)
	p, err := newPlace(cfg)
	if err != nil {
		return err
	}
	if p.machine {
		adopt(cfg, log)
	}
	l, err := listen(p.dir)
	if err != nil {
		return err
	}
	defer l.Close()
	log.Info("the agent is up", "kind", cfg.Kind, "sandbox", cfg.Sandbox, "protocol", agentproto.Version)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var desk *desktop
	var running sync.WaitGroup
	if cfg.Kind == kindDesktop {
		desk = newDesktop(cfg, p, log)
		running.Go(func() { desk.run(ctx) })
	}
	err = newServer(ctx, cfg, p, desk, began, log).serve(l)
	cancel()
	running.Wait()
	if err != nil {
		return fmt.Errorf("machine %s: %w", cfg.MachineID, err)
	}
	log.Info("the agent ends")
	return nil
}

// adopt makes the machine the one its config says: name and network. A failure
// is logged and not more: the node sees in the agent's health what is missing.
func adopt(cfg agentproto.Config, log *slog.Logger) {
	if name, err := os.Hostname(); cfg.Hostname != "" && (err != nil || name != cfg.Hostname) {
		if err := syscall.Sethostname([]byte(cfg.Hostname)); err != nil {
			log.Warn("the machine keeps its name", "err", err)
		}
	}
	if cfg.Network.Configure {
		if err := configureNetwork(cfg.Network, resolvConf); err != nil {
			log.Error("the network could not be set", "err", err)
		}
	}
}
