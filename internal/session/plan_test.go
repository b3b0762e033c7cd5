package session

import (
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func TestPlan(t *testing.T) {
	t0 := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fine := seen{bootID: "b", runtime: true, looked: true}
	with := func(change func(*seen)) seen { in := fine; change(&in); return in }
	oom := vitrine.NewFailure(vitrine.FailGuestOOM, nil, "x")
	for _, c := range []struct {
		name    string
		session vitrine.Session // State starting, ready, …; the rest is filled in
		in      seen
		want    doing
		reason  vitrine.EndedReason
		code    vitrine.FailureCode
		until   time.Duration // after t0; 0: never
	}{
		{"a new one is begun", vitrine.Session{State: vitrine.StatePending}, fine, doStart, "", "", 0},
		{"a new one waits no longer than it may live", vitrine.Session{State: vitrine.StatePending, Timeout: time.Hour}, fine, doStart, "", "", time.Hour},
		{"a new one was deleted", vitrine.Session{State: vitrine.StatePending, Desired: vitrine.DesiredEnded}, fine, doDrop, vitrine.EndedByUser, "", 0},
		{"a new one waited too long", vitrine.Session{State: vitrine.StatePending, Timeout: time.Nanosecond}, fine, doDrop, vitrine.EndedExpired, "", 0},
		{"one waits for room", vitrine.Session{State: vitrine.StatePending, Queue: &vitrine.QueuePlace{Position: 2, Deadline: t0.Add(time.Minute)}}, fine, doQueue, "", "", time.Minute},
		{"one that waits ends before its wait", vitrine.Session{State: vitrine.StatePending, Timeout: time.Second, Queue: &vitrine.QueuePlace{Deadline: t0.Add(time.Minute)}}, fine, doQueue, "", "", time.Second},
		{"one has waited long enough", vitrine.Session{State: vitrine.StatePending, Queue: &vitrine.QueuePlace{Deadline: t0}}, fine, doGiveUp, "", "", 0},
		{"one was deleted while it waited", vitrine.Session{State: vitrine.StatePending, Desired: vitrine.DesiredEnded, Queue: &vitrine.QueuePlace{Deadline: t0.Add(time.Minute)}}, fine, doDrop, vitrine.EndedByUser, "", 0},
		{"a start goes on", vitrine.Session{State: vitrine.StateStarting}, with(func(in *seen) { in.looked = false }), doBoot, "", "", 0},
		{"a start was deleted", vitrine.Session{State: vitrine.StateStarting, Desired: vitrine.DesiredEnded}, fine, doStop, vitrine.EndedByUser, "", 0},
		{"a start was ended for want of quota", vitrine.Session{State: vitrine.StateStarting, Desired: vitrine.DesiredEnded, StopReason: vitrine.EndedQuota}, fine, doStop, vitrine.EndedQuota, "", 0},
		{"a start failed", vitrine.Session{State: vitrine.StateStarting}, with(func(in *seen) { in.failure = oom }), doFail, "", vitrine.FailGuestOOM, 0},
		{"a start failed and was deleted", vitrine.Session{State: vitrine.StateStarting, Desired: vitrine.DesiredEnded}, with(func(in *seen) { in.failure = oom }), doStop, vitrine.EndedByUser, "", 0},
		{"the host restarted while one started", vitrine.Session{State: vitrine.StateStarting, BootID: "a"}, fine, doFail, "", vitrine.FailNodeLost, 0},
		{"the host restarted under a ready one", vitrine.Session{State: vitrine.StateReady, BootID: "a"}, fine, doFail, "", vitrine.FailNodeLost, 0},
		{"the runtime is not offered any more", vitrine.Session{State: vitrine.StateReady}, with(func(in *seen) { in.runtime = false }), doFail, "", vitrine.FailRuntimeMissing, 0},
		{"the daemon was restarted", vitrine.Session{State: vitrine.StateReady}, with(func(in *seen) { in.looked = false }), doLook, "", "", 0},
		{"a ready one is watched", vitrine.Session{State: vitrine.StateReady}, fine, doWatch, "", "", 0},
		{"a ready one is watched until its time is over", vitrine.Session{State: vitrine.StateReady, Timeout: time.Hour}, fine, doWatch, "", "", time.Hour},
		{"nobody has used it yet", vitrine.Session{State: vitrine.StateReady, IdleTimeout: time.Minute, Timeout: time.Hour}, fine, doWatch, "", "", time.Minute},
		{"somebody used it", vitrine.Session{State: vitrine.StateReady, IdleTimeout: time.Minute}, with(func(in *seen) { in.lastUse = t0.Add(30 * time.Second) }), doWatch, "", "", 90 * time.Second},
		{"its time is over", vitrine.Session{State: vitrine.StateReady, Timeout: time.Nanosecond}, fine, doStop, vitrine.EndedExpired, "", 0},
		{"nobody uses it", vitrine.Session{State: vitrine.StateReady, IdleTimeout: time.Nanosecond}, fine, doStop, vitrine.EndedIdle, "", 0},
		{"a start is never idle", vitrine.Session{State: vitrine.StateStarting, IdleTimeout: time.Nanosecond}, fine, doBoot, "", "", 0},
		{"a ready one failed", vitrine.Session{State: vitrine.StateReady}, with(func(in *seen) { in.failure = oom }), doFail, "", vitrine.FailGuestOOM, 0},
		{"one that ends is cleaned up", vitrine.Session{State: vitrine.StateStopping}, fine, doClean, "", "", 0},
		{"a failed one is cleaned up", vitrine.Session{State: vitrine.StateFailed}, fine, doClean, "", "", 0},
		{"one that ends on a host that restarted is cleaned up", vitrine.Session{State: vitrine.StateStopping, BootID: "a"}, fine, doClean, "", "", 0},
		{"nothing is left to do", vitrine.Session{State: vitrine.StateEnded, Released: true}, fine, doNothing, "", "", 0},
		{"nothing is left to do after a failure", vitrine.Session{State: vitrine.StateFailed, Released: true, Desired: vitrine.DesiredEnded}, fine, doNothing, "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.session
			s.CreatedAt, s.ReadyAt = t0, t0
			if s.BootID == "" && s.State != vitrine.StatePending {
				s.BootID = "b"
			}
			if s.Desired == "" {
				s.Desired = vitrine.DesiredRunning
			}
			a := plan(&s, c.in, t0.Add(time.Millisecond))
			if a.do != c.want || a.reason != c.reason || (a.failure == nil) != (c.code == "") || a.failure != nil && a.failure.Code != c.code {
				t.Errorf("got %+v, want %s %s %s", a, c.want, c.reason, c.code)
			}
			if c.until == 0 && !a.until.IsZero() || c.until != 0 && !a.until.Equal(t0.Add(c.until)) {
				t.Errorf("until %s, want %s", a.until, c.until)
			}
		})
	}
}
