package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often we look whether another daemon is done: its changes
// take some 20 ms.
const lockPoll = 5 * time.Millisecond

// lock makes this the only change to the host's bridges, among goroutines and
// among daemons. The kernel drops it when the holder dies.
func (n *Network) lock(ctx context.Context) (unlock func(), err error) {
	n.mu.Lock()
	if err := os.MkdirAll(n.stateDir, 0o755); err != nil {
		n.mu.Unlock()
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(n.stateDir, "network.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	unlock = func() {
		f.Close()
		n.mu.Unlock()
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			unlock()
			return nil, err
		}
		select {
		case <-ctx.Done():
			unlock()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}
