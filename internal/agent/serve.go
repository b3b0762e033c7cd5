package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Serve runs the agent of the machine whose config lies in dir until ctx is done
// or the node asks for the machine's end, then ends its programs in order and
// returns. vm says that the machine is a virtual one, whose channels are looked
// for.
func Serve(ctx context.Context, dir string, vm bool, log *slog.Logger) error {
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
	listeners, err := openDoors(p.dir, vm)
	if err != nil {
		return err
	}
	log.Info("the agent is up", "kind", cfg.Kind, "sandbox", cfg.Sandbox, "protocol", agentproto.Version)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var desk *desktop
	var running sync.WaitGroup
	if cfg.Kind == kindDesktop {
		desk = newDesktop(cfg, p, log)
		running.Go(func() { desk.run(ctx) })
	}
	err = newServer(ctx, cancel, cfg, p, desk, began, log).serve(listeners...)
	cancel()
	running.Wait()
	if err != nil {
		return fmt.Errorf("machine %s: %w", cfg.MachineID, err)
	}
	log.Info("the agent ends")
	return nil
}

// openDoors opens everything that the agent listens on.
func openDoors(dir string, vm bool) ([]net.Listener, error) {
	free := make(chan struct{}, maxConns)
	l, err := listen(dir, free)
	if err != nil {
		return nil, err
	}
	if !vm {
		return []net.Listener{l}, nil
	}
	more, err := listenVM(free)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return append(more, l), nil
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
