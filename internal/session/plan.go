package session

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// doing is what a worker does next.
type doing string

const (
	doNothing doing = "nothing" // it is over and nothing is left of it
	doDrop    doing = "drop"    // end one of which nothing was made
	doQueue   doing = "queue"   // wait for room
	doGiveUp  doing = "give up" // no room came in time
	doStart   doing = "start"   // take a turn and begin
	doBoot    doing = "boot"    // go on with the start
	doLook    doing = "look"    // see what became of a machine of an earlier daemon
	doWatch   doing = "watch"   // it is ready: watch it
	doStop    doing = "stop"    // begin to end it
	doFail    doing = "fail"    // say why it failed
	doClean   doing = "clean"   // remove what is left
)

// action is one step. Until is when to plan again though nothing happened; zero
// for never.
type action struct {
	do      doing
	reason  vitrine.EndedReason
	failure *vitrine.Failure
	until   time.Time
}

// seen is what a worker knows beside the session itself.
type seen struct {
	bootID  string           // of the host, now
	runtime bool             // the session's runtime is on our list
	looked  bool             // the machine was seen by this process
	failure *vitrine.Failure // the machine is known to have failed
	lastUse time.Time        // somebody used the session; zero: nobody yet
}

// plan names the next step. It is pure: same session, same sight, same time,
// same action.
func plan(s *vitrine.Session, in seen, now time.Time) action {
	switch {
	case s.Released:
		return action{do: doNothing}
	case s.State.Over(), s.State == vitrine.StateStopping:
		return action{do: doClean}
	}
	if reason := enough(s, in, now); reason != "" {
		if s.State == vitrine.StatePending {
			return action{do: doDrop, reason: reason}
		}
		return action{do: doStop, reason: reason}
	}
	if s.Queue != nil {
		until := s.Queue.Deadline
		if !now.Before(until) {
			return action{do: doGiveUp}
		}
		if at := s.ExpiresAt(); !at.IsZero() && at.Before(until) {
			until = at
		}
		return action{do: doQueue, until: until}
	}
	if s.State == vitrine.StatePending {
		return action{do: doStart, until: s.ExpiresAt()}
	}
	switch {
	case in.failure != nil:
		return action{do: doFail, failure: in.failure}
	case s.BootID != in.bootID:
		return action{do: doFail, failure: vitrine.NewFailure(vitrine.FailNodeLost, nil, "the host has restarted since the machine was started")}
	case !in.runtime:
		return action{do: doFail, failure: vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "the runtime %s is not offered by this daemon any more", s.Runtime)}
	case s.State == vitrine.StateStarting:
		return action{do: doBoot, until: s.ExpiresAt()}
	case !in.looked:
		return action{do: doLook}
	}
	until := s.ExpiresAt()
	if idle := idleAt(s, in); !idle.IsZero() && (until.IsZero() || idle.Before(until)) {
		until = idle
	}
	return action{do: doWatch, until: until}
}

// enough says why a session should end now, "" when it should not.
func enough(s *vitrine.Session, in seen, now time.Time) vitrine.EndedReason {
	if s.Desired == vitrine.DesiredEnded {
		if s.StopReason == "" {
			return vitrine.EndedByUser
		}
		return s.StopReason
	}
	if at := s.ExpiresAt(); !at.IsZero() && !now.Before(at) {
		return vitrine.EndedExpired
	}
	if at := idleAt(s, in); !at.IsZero() && !now.Before(at) {
		return vitrine.EndedIdle
	}
	return ""
}

// idleAt is when a ready session that nobody uses ends; zero for never.
func idleAt(s *vitrine.Session, in seen) time.Time {
	if s.State != vitrine.StateReady || s.IdleTimeout == 0 {
		return time.Time{}
	}
	since := s.ReadyAt
	if in.lastUse.After(since) {
		since = in.lastUse
	}
	return since.Add(s.IdleTimeout)
}
