package doctor

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// Clock is what is known of the host's clock.
type Clock struct {
	Now    time.Time
	Newest time.Time // the latest time that a file or a session of ours has
	Where  string    // which one
	// Unsynced and MaxError are the kernel's (adjtimex(2)).
	Unsynced bool
	MaxError time.Duration
	Unknown  bool // the kernel does not tell
}

// ReadClock compares the clock with the times of the data directory's files and
// with the newest time in the store; zero: there is none.
func ReadClock(dataDir string, newestSession time.Time) Clock {
	c := Clock{Now: time.Now(), Newest: newestSession, Where: "the newest session"}
	list, _ := os.ReadDir(dataDir)
	for _, e := range list {
		if st, err := e.Info(); err == nil && st.ModTime().After(c.Newest) {
			c.Newest, c.Where = st.ModTime(), filepath.Join(dataDir, e.Name())
		}
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	const unsynced = 5 // TIME_ERROR
	c.Unknown = err != nil
	c.Unsynced, c.MaxError = state == unsynced || t.Status&unix.STA_UNSYNC != 0, time.Duration(t.Maxerror)*time.Microsecond
	return c
}

// made is a moment before which no Vitrine was built.
var made = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Judge wants a clock that is right, or at least one that does not jump: ids,
// tickets, age guards and timeouts go by it.
func (c Clock) Judge() vitrine.Finding {
	const check, remedy = "clock", "`timedatectl set-ntp true`, or `apt-get install chrony`"
	const slack = time.Minute
	switch {
	case c.Now.Before(made):
		return fail(check, remedy, "it is %s, before Vitrine was made", c.Now.UTC().Format(time.DateTime))
	case c.Newest.Sub(c.Now) > slack:
		return fail(check, remedy, "it is %s behind %s: it was set back, and timeouts and tickets are wrong by as much", c.Newest.Sub(c.Now).Round(time.Second), c.Where)
	case c.Unknown:
		return warn(check, remedy, "%s; the kernel does not tell whether it is synchronised", c.Now.UTC().Format(time.DateTime))
	case c.Unsynced:
		return warn(check, remedy, "%s, not synchronised with any server", c.Now.UTC().Format(time.DateTime))
	}
	return pass(check, "%s UTC, synchronised within %s", c.Now.UTC().Format(time.DateTime), c.MaxError.Round(time.Millisecond))
}
