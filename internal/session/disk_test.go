package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// The disk fills up under running sessions: the greatest writer ends, and only
// as many as it takes.
func TestTheDiskFillsUpUnderRunningSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		written := map[string]int{} // MiB, by machine
		const size = 4000
		free := func() (int, error) {
			n := size
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			for id, mb := range written {
				if w.host.machines[id] != nil {
					n -= mb
				}
			}
			return n, nil
		}
		d := w.daemon(func(c *Config) {
			c.Disk = DiskGuard{FreeMB: free, UseMB: func(id string) int { return written[id] }, StopMB: 512}
		})
		small, big, bigger := d.settled(d.create("").ID), d.settled(d.create("").ID), d.settled(d.create("").ID)
		time.Sleep(time.Minute)
		written[small.MachineID], written[big.MachineID] = 10, 1500
		written[bigger.MachineID] = 2200
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want := map[string]vitrine.State{small.ID: vitrine.StateReady, big.ID: vitrine.StateReady, bigger.ID: vitrine.StateEnded}
		for id, state := range want {
			s, err := d.Get(t.Context(), id)
			if err != nil || s.State != state {
				t.Errorf("session with %d MiB written is %s, %v; want %s", written[s.MachineID], s.State, err, state)
			}
			if s.State == vitrine.StateEnded && s.EndedReason != vitrine.EndedQuota {
				t.Errorf("it ended by %s", s.EndedReason)
			}
		}
	})
}

// Somebody else fills the disk: ending sessions would help nobody.
func TestSomebodyElseFillsTheDisk(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.daemon(func(c *Config) {
			c.Disk = DiskGuard{FreeMB: func() (int, error) { return 1, nil }, UseMB: func(string) int { return leastWritten - 1 }, StopMB: 512}
		})
		one := d.settled(d.create("").ID)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s, err := d.Get(t.Context(), one.ID); err != nil || s.State != vitrine.StateReady {
			t.Errorf("the session is %s, %v", s.State, err)
		}
	})
}
