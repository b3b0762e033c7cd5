// Package leftover decides what of a host belongs to nobody, and what is to be
// done about it: one pure function from facts to a list of deeds, which the
// daemon's sweep, `vitrine audit` and `vitrine gc` all go by.
//
// It is careful in this order. What is not known to be of this instance is never
// touched. Where the sessions cannot be read, nothing is known to be nobody's,
// and nothing is touched. What belongs to a session that is not released is that
// session's, also when it is failing. What is young may be in the making and
// waits, unless the store's journal says that its session is gone, or it is of
// an earlier boot of the host. And one run does a bounded number of deeds: a
// mistake of ours, or an empty database put in place of the right one, must not
// clear a host of a hundred machines in one go.
//
// It touches nothing, asks nobody and does not know the time: facts and clock
// are given to it.
package leftover

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Facts are what was seen of host and store, the host first: a session's row is
// there before anything of its machine.
type Facts struct {
	Things []vitrine.Thing
	Blind  []string // what of the host could not be looked at

	// Sessions are those that are not released. Released says which machines'
	// sessions are known to the store and released. Unreadable says why the
	// sessions could not be read.
	Sessions   []vitrine.Session
	Released   map[string]string // machine id → session id
	Unreadable string

	BootID string
	Now    time.Time
	// Daemon says that a daemon works over this store: teardowns are its own
	// business, and are tried again until they work.
	Daemon bool
}

// Rules bound what is done.
type Rules struct {
	AgeGuard time.Duration // what is younger may be in the making
	Budget   int           // deeds a run at most
}

// DefaultAgeGuard is longer than anything is in the making without a session:
// a probe's machine lives for ten seconds at most.
const DefaultAgeGuard = time.Minute

// DefaultBudget is how many deeds one run of the daemon's sweep does: thirty
// zombie machines, as of a bad night, are gone after two or three.
const DefaultBudget = 20

// order is the order of deeds: first what runs, then what it ran on, the network
// after the machine, the store last.
var order = map[vitrine.Deed]int{
	vitrine.DeedKill: 1, vitrine.DeedUnmount: 2, vitrine.DeedFreeLoop: 3, vitrine.DeedDeleteMachine: 4,
	vitrine.DeedRemoveCgroup: 5, vitrine.DeedRemoveDir: 6, vitrine.DeedDetach: 7, vitrine.DeedRemoveLink: 8,
	vitrine.DeedMendRules: 9, vitrine.DeedRemoveBridge: 10, vitrine.DeedRemoveSocket: 11,
	vitrine.DeedRelease: 12, vitrine.DeedRevoke: 13, vitrine.DeedNone: 14,
}

// Destructive says whether a deed counts against the budget: it ends a process
// or removes data. The others only take away names and rules.
func Destructive(d vitrine.Deed) bool {
	switch d {
	case vitrine.DeedKill, vitrine.DeedDeleteMachine, vitrine.DeedRemoveCgroup, vitrine.DeedRemoveDir, vitrine.DeedDetach, vitrine.DeedRemoveLink:
		return true
	}
	return false
}
