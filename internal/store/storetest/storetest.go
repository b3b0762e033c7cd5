// Package storetest is the contract of vitrine.Store as tests: every database
// that Vitrine offers passes the same suite, and a new one costs a few lines.
// It also starts a throw-away PostgreSQL for whoever needs one (Postgres).
//
// It imports the domain and the testing package, sees a store only through the
// domain's interface, and must not know which database it runs on.
package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Run holds stores to the contract. open gives an empty one, closed by itself
// when the test ends.
func Run(t *testing.T, open func(t *testing.T) vitrine.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s vitrine.Store)
	}{
		{"a session comes back as it went in", roundTrip},
		{"a session that is not there is not found", notFound},
		{"a session jumped to a state that cannot follow", transitions},
		{"the API wrote what only the reconciler may", writers},
		{"a refused change left half of itself behind", refusedChange},
		{"two machines got the same address", concurrentCreates},
		{"an address came back at once to another machine", slotsGoRound},
		{"an ended session kept its address for ever", leaseComesBack},
		{"the host was full and did not say of what", noRoom},
		{"more was lent than the host has", capacityUnderRace},
		{"what a runtime takes itself was lent to others", overheadIsHeld},
		{"somebody overtook the queue", queueInOrder},
		{"a session waited for room that never comes", queueNever},
		{"the queue grew without bound", queueBounds},
		{"a crowd at the queue was lent more than the host has", queueUnderRace},
		{"one who waited starved", queueProperty},
		{"a repeated request made two sessions", idempotency},
		{"a page repeated or skipped sessions", paging},
		{"a filter let others through", filters},
		{"an event was lost or came twice", events},
		{"a streamer met a smaller id after a greater one", eventOrder},
		{"a streamer slept through an event", changed},
		{"the boot ledger lost a phase", ledger},
		{"a console grew without bound", console},
		{"old sessions were never removed", prune},
		{"a ticket let two viewers in", tickets},
		{"a revoked ticket still opened", revokedTicket},
		{"a login link worked twice", logins},
		{"a removed key still opened", keys},
		{"a removed or old SSH key still opened, or one user kept another from theirs", sshKeys},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// start is the clock of the suite; stores keep milliseconds.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

var pool = vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")}

func hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// wanted is a session to be made, the n-th of the test.
func wanted(n int) vitrine.CreateSession {
	at := start.Add(time.Duration(n) * time.Second)
	return vitrine.CreateSession{
		Session: vitrine.Session{
			ID: vitrine.NewID(vitrine.PrefixSession, at), CreatedAt: at,
			Kind: vitrine.KindDesktop, UserID: "ada", Image: "desktop", Runtime: "gvisor",
			Isolation: vitrine.IsolationGVisor, MinIsolation: vitrine.IsolationContainer,
			VCPU: 2, MemoryMB: 2048, Viewport: vitrine.DefaultViewport, StartURL: "about:blank",
			Timeout: time.Hour, IdleTimeout: time.Minute, Metadata: map[string]string{"n": fmt.Sprint(n)},
			Desired: vitrine.DesiredRunning, State: vitrine.StatePending,
			MachineID: vitrine.NewID(vitrine.PrefixMachine, at),
		},
		Addresses: pool,
	}
}

func mustCreate(t *testing.T, s vitrine.Store, c vitrine.CreateSession) vitrine.Session {
	t.Helper()
	one, created, err := s.CreateSession(t.Context(), c)
	if err != nil || !created {
		t.Fatalf("CreateSession: created %v, error %v", created, err)
	}
	return one
}

// move walks a session through states.
func move(t *testing.T, s vitrine.Store, id string, states ...vitrine.State) vitrine.Session {
	t.Helper()
	var one vitrine.Session
	for _, to := range states {
		var err error
		one, err = s.UpdateSession(t.Context(), id, start, func(x *vitrine.Session) error { x.State = to; return nil })
		if err != nil {
			t.Fatalf("to %s: %v", to, err)
		}
	}
	return one
}

// release ends a session and gives its lease back.
func release(t *testing.T, s vitrine.Store, id string, at time.Time) {
	t.Helper()
	_, err := s.UpdateSession(t.Context(), id, at, func(x *vitrine.Session) error {
		if !x.State.Over() {
			x.State = vitrine.StateFailed
		}
		x.EndedAt, x.Released = at, true
		return nil
	})
	if err != nil {
		t.Fatalf("releasing: %v", err)
	}
}

func wantClass(t *testing.T, err error, class vitrine.Class) {
	t.Helper()
	if err == nil || vitrine.ClassOf(err) != class {
		t.Fatalf("error %v, want one of class %s", err, class)
	}
}

func allEvents(t *testing.T, s vitrine.Store, session string) []vitrine.Event {
	t.Helper()
	list, err := s.Events(context.WithoutCancel(t.Context()), 0, session, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
