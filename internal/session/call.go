package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// callGrace is how long a call that is told to end by its context may take to do
// so before it is left behind.
const callGrace = 500 * time.Millisecond

// errStuck is a call that did not end when its context did.
var errStuck = errors.New("the call does not end")

// calls makes calls that may be stuck for ever, and remembers those that were
// left behind: what they are at may still appear.
type calls struct {
	mu    sync.Mutex
	left  map[string]bool
	ended func() // told when a call that was left behind has ended
}

// do runs f in a goroutine of its own and waits for it until ctx is done and a
// little longer. Of one name it has one call at a time: while one is stuck, the
// next is refused at once with errStuck.
func (c *calls) do(ctx context.Context, name string, f func(context.Context) error) error {
	c.mu.Lock()
	if c.left[name] {
		c.mu.Unlock()
		return fmt.Errorf("%s: %w", name, errStuck)
	}
	c.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		err := f(ctx)
		result <- err
		c.mu.Lock()
		was := c.left[name]
		delete(c.left, name)
		c.mu.Unlock()
		if was && c.ended != nil {
			c.ended()
		}
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(callGrace)
	defer grace.Stop()
	select {
	case err := <-result:
		return err
	case <-grace.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case err := <-result: // it ended while we took the lock
		return err
	default:
	}
	if c.left == nil {
		c.left = map[string]bool{}
	}
	c.left[name] = true
	return fmt.Errorf("%s: %w", name, errStuck)
}

// stuck says whether any call is still out there.
func (c *calls) stuck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left) > 0
}

// within is ctx with a limit of its own, for clean-up that must go on though
// the request, or the start, that it belongs to is over.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
