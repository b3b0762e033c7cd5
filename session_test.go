package vitrine

import (
	"slices"
	"testing"
	"time"
)

var allStates = []State{StatePending, StateStarting, StateReady, StateStopping, StateEnded, StateFailed}

// The whole table, written out: a change of it must be made twice, knowingly.
func TestTransitions(t *testing.T) {
	allowed := map[[2]State]bool{}
	for _, pair := range [][2]State{
		{StatePending, StateStarting}, {StatePending, StateStopping}, {StatePending, StateEnded}, {StatePending, StateFailed},
		{StateStarting, StateReady}, {StateStarting, StateStopping}, {StateStarting, StateFailed},
		{StateReady, StateStopping}, {StateReady, StateFailed},
		{StateStopping, StateEnded}, {StateStopping, StateFailed},
	} {
		allowed[pair] = true
	}
	for _, from := range allStates {
		for _, to := range allStates {
			if want := from == to || allowed[[2]State{from, to}]; CanMove(from, to) != want {
				t.Errorf("%s → %s: %v, want %v", from, to, !want, want)
			}
		}
		if CanMove(from, "lunch") || CanMove("lunch", from) {
			t.Errorf("a state that does not exist is in the table beside %s", from)
		}
	}
}

// Who waits for room has nothing to start with: only the store's AdmitSession
// takes a session out of the queue.
func TestASessionStartedWhileItWaitedForRoom(t *testing.T) {
	for _, from := range allStates {
		for _, to := range allStates {
			free := Session{State: from}
			if free.MayBecome(to) != CanMove(from, to) {
				t.Errorf("%s → %s without a queue is not as the table says", from, to)
			}
			waits := Session{State: from, Queue: &QueuePlace{Position: 1}}
			if want := CanMove(from, to) && (from == to || to.Over()); waits.MayBecome(to) != want {
				t.Errorf("%s → %s while it waits: %v, want %v", from, to, !want, want)
			}
		}
	}
}

func TestEveryStateIsInTheTable(t *testing.T) {
	for _, s := range allStates {
		next, ok := transitions[s]
		if !ok {
			t.Errorf("%s is not in the table", s)
		}
		if s.Over() != (len(next) == 0) {
			t.Errorf("%s: over is %v, and %d states follow", s, s.Over(), len(next))
		}
		for _, to := range next {
			if !slices.Contains(allStates, to) {
				t.Errorf("%s → %s, which is no state", s, to)
			}
		}
	}
	if len(transitions) != len(allStates) {
		t.Errorf("%d states in the table, %d in the test", len(transitions), len(allStates))
	}
}

// From anywhere a session can come to an end.
func TestEveryStateLeadsToAnEnd(t *testing.T) {
	for _, s := range allStates {
		seen, todo := map[State]bool{}, []State{s}
		ends := false
		for len(todo) > 0 {
			at := todo[0]
			if todo = todo[1:]; seen[at] {
				continue
			}
			seen[at] = true
			ends = ends || at.Over()
			todo = append(todo, transitions[at]...)
		}
		if !ends {
			t.Errorf("%s never ends", s)
		}
	}
}

func TestViewportBounds(t *testing.T) {
	for _, c := range []struct {
		v    Viewport
		want bool
	}{
		{DefaultViewport, true}, {Viewport{320, 240}, true}, {Viewport{3840, 2160}, true}, {Viewport{}, false},
		{Viewport{319, 240}, false}, {Viewport{320, 239}, false}, {Viewport{3841, 2160}, false}, {Viewport{3840, 2161}, false}, {Viewport{-1280, -720}, false},
	} {
		if c.v.Valid() != c.want {
			t.Errorf("%+v: %v", c.v, !c.want)
		}
	}
}

func TestExpiresAt(t *testing.T) {
	at := time.Unix(1000, 0)
	if got := (&Session{CreatedAt: at}).ExpiresAt(); !got.IsZero() {
		t.Errorf("without a timeout: %s", got)
	}
	if got := (&Session{CreatedAt: at, Timeout: time.Minute}).ExpiresAt(); !got.Equal(at.Add(time.Minute)) {
		t.Errorf("with a minute: %s", got)
	}
}

func TestIsolationsAreOrdered(t *testing.T) {
	order := []Isolation{"", IsolationNone, IsolationContainer, IsolationGVisor, IsolationEmulatedVM, IsolationMicroVM}
	for i, iso := range order {
		if iso.Rank() != i {
			t.Errorf("%q has rank %d, want %d", iso, iso.Rank(), i)
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	admin, ada := Principal{Role: RoleAdmin}, Principal{Role: RoleUser, UserID: "ada"}
	ticket := func(s Scope) Principal {
		return Principal{UserID: "ada", Role: RoleUser, SessionID: "s1", Scope: s, TicketID: "t"}
	}
	for _, c := range []struct {
		name    string
		who     Principal
		session string
		owner   string
		manage  bool
		use     []Scope
	}{
		{"an admin on anybody's", admin, "s1", "bob", true, []Scope{ScopeView, ScopeControl, ScopeTerminal, ScopeCDP, ScopeVNC}},
		{"a user on their own", ada, "s1", "ada", true, []Scope{ScopeView, ScopeControl, ScopeTerminal, ScopeCDP, ScopeVNC}},
		{"a user on another's", ada, "s1", "bob", false, nil},
		{"nobody", Principal{}, "s1", "", false, nil},
		{"a ticket to view", ticket(ScopeView), "s1", "ada", false, []Scope{ScopeView, ScopeVNC}},
		{"a ticket to control", ticket(ScopeControl), "s1", "ada", false, []Scope{ScopeView, ScopeControl, ScopeVNC}},
		{"a ticket for CDP", ticket(ScopeCDP), "s1", "ada", false, []Scope{ScopeCDP}},
		{"a ticket of another session", ticket(ScopeControl), "s2", "ada", false, nil},
	} {
		if got := c.who.MayActOn(c.owner); got != c.manage {
			t.Errorf("%s: may manage %v", c.name, got)
		}
		for _, s := range []Scope{ScopeView, ScopeControl, ScopeTerminal, ScopeCDP, ScopeVNC} {
			if got := c.who.MayUse(c.session, c.owner, s); got != slices.Contains(c.use, s) {
				t.Errorf("%s: may use %s %v", c.name, s, got)
			}
		}
	}
}
