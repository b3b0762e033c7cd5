package session

import (
	"context"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// DiskGuard ends sessions before a full disk ends all of them: with no room left
// the database stops, and every machine's writes fail in ways that nobody can
// tell. Long before that, Config.Admit refuses new ones.
type DiskGuard struct {
	// FreeMB is the room that is left where machines write, MiB.
	FreeMB func() (int, error)
	// UseMB is what a machine has written, MiB.
	UseMB func(machineID string) int
	// StopMB is the watermark under which the greatest writer ends; 0: never.
	StopMB int
}

const (
	// diskEvery is how often the disk is looked at: one statfs. A machine that
	// writes 200 MiB/s needs longer for the default watermark's 512 MiB.
	diskEvery = 2 * time.Second
	// leastWritten is what a machine must have written for its end to help, MiB.
	leastWritten = 64
)

// guardDisk ends the greatest writer while the disk is under its watermark, one
// after the other: the next only when nothing is left of the last.
func (s *Service) guardDisk(ctx context.Context) {
	g := s.cfg.Disk
	if g.FreeMB == nil || g.UseMB == nil || g.StopMB <= 0 {
		return
	}
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		free, err := g.FreeMB()
		if err != nil || free >= g.StopMB {
			told = false
			continue
		}
		one, used, waits, err := s.greatestWriter(ctx)
		switch {
		case err != nil:
			s.cfg.Log.Warn("the disk is nearly full, and the sessions cannot be read", "free_mb", free, "error", err)
			continue
		case waits:
			continue
		case one == nil:
			if !told {
				told = true
				s.cfg.Log.Error("the disk is nearly full, and no session has written much: ending one would not help", "free_mb", free, "stop_mb", g.StopMB)
			}
			continue
		}
		s.cfg.Log.Error("the disk is nearly full: ending the session that has written most", "session", one.ID, "machine", one.MachineID,
			"written_mb", used, "free_mb", free, "stop_mb", g.StopMB)
		_, err = s.cfg.Store.WishSession(ctx, one.ID, time.Now(), func(x *vitrine.Session) error {
			if x.Desired == vitrine.DesiredRunning {
				x.Desired, x.StopReason = vitrine.DesiredEnded, vitrine.EndedQuota
			}
			return nil
		})
		if err != nil {
			s.cfg.Log.Warn("a session could not be ended", "session", one.ID, "error", err)
			continue
		}
		s.rec.kick(one.ID)
	}
}

// greatestWriter finds the session to end: nil when none has written much, and
// waits while another is on its way out.
func (s *Service) greatestWriter(ctx context.Context) (most *vitrine.Session, usedMB int, waits bool, err error) {
	live, err := s.cfg.Store.Unsettled(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	usedMB = leastWritten - 1
	for i := range live {
		if live[i].State.Over() || live[i].Desired == vitrine.DesiredEnded {
			// What it has written is not free before its machine is deleted.
			waits = waits || time.Since(live[i].UpdatedAt) < s.cfg.AgeGuard
			continue
		}
		if n := s.cfg.Disk.UseMB(live[i].MachineID); n > usedMB {
			most, usedMB = &live[i], n
		}
	}
	return most, usedMB, waits, nil
}
