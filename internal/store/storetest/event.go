package storetest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func events(t *testing.T, s vitrine.Store) {
	a := mustCreate(t, s, wanted(1))
	c := wanted(2)
	c.Session.UserID = "bob"
	b := mustCreate(t, s, c)
	move(t, s, a.ID, vitrine.StateStarting)
	phase := vitrine.Phase{Name: vitrine.PhaseNetwork, StartedAt: start, Duration: 1500 * time.Microsecond, Outcome: vitrine.OutcomeOK, Detail: "192.168.100.2"}
	if err := s.PutPhase(t.Context(), a.ID, phase); err != nil {
		t.Fatal(err)
	}
	ready := move(t, s, a.ID, vitrine.StateReady)
	if _, err := s.WishSession(t.Context(), a.ID, start, func(x *vitrine.Session) error { x.Timeout = time.Minute; return nil }); err != nil {
		t.Fatal(err)
	}
	var kinds []vitrine.EventType
	list := allEvents(t, s, a.ID)
	for _, e := range list {
		kinds = append(kinds, e.Type)
		if e.SessionID != a.ID || e.UserID != "ada" || e.At.IsZero() {
			t.Errorf("event %+v", e)
		}
	}
	want := []vitrine.EventType{vitrine.EventSessionCreated, vitrine.EventSessionState, vitrine.EventBootPhase, vitrine.EventSessionState, vitrine.EventSessionUpdated}
	if !reflect.DeepEqual(kinds, want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	var gotPhase vitrine.Phase
	if err := json.Unmarshal(list[2].Data, &gotPhase); err != nil || !reflect.DeepEqual(gotPhase, phase) {
		t.Errorf("phase in the event: %v, %+v", err, gotPhase)
	}
	var gotSession vitrine.Session
	if err := json.Unmarshal(list[3].Data, &gotSession); err != nil || !reflect.DeepEqual(gotSession, ready) {
		t.Errorf("session in the event: %v\n got %+v\nwant %+v", err, gotSession, ready)
	}
	last, _ := s.LastEventID(t.Context())
	all := allEvents(t, s, "")
	if last != all[len(all)-1].ID || len(all) != 6 {
		t.Errorf("%d events, last %d", len(all), last)
	}
	rest, err := s.Events(t.Context(), all[2].ID, "", "", 2)
	if err != nil || len(rest) != 2 || rest[0].ID != all[3].ID {
		t.Errorf("after %d: %v, %v", all[2].ID, rest, err)
	}
	if bobs, err := s.Events(t.Context(), 0, "", "bob", 10); err != nil || len(bobs) != 1 || bobs[0].SessionID != b.ID {
		t.Errorf("bob's events: %v, %v", bobs, err)
	}
}

// eventOrder reads the log as a streamer does while others write it: what came
// page by page must be all there is.
func eventOrder(t *testing.T, s vitrine.Store) {
	const writers, each = 6, 12
	done := make(chan struct{})
	var seen []int64
	read := func() {
		var after int64
		if len(seen) > 0 {
			after = seen[len(seen)-1]
		}
		page, err := s.Events(t.Context(), after, "", "", 1000)
		if err != nil {
			t.Error(err)
		}
		for _, e := range page {
			seen = append(seen, e.ID)
		}
	}
	go func() {
		defer close(done)
		together(writers, func(w int) {
			one, _, err := s.CreateSession(t.Context(), wanted(w))
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				p := vitrine.Phase{Name: vitrine.Phases[i%len(vitrine.Phases)], StartedAt: start, Outcome: vitrine.OutcomeOK}
				if err := s.PutPhase(t.Context(), one.ID, p); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	for alive := true; alive; {
		select {
		case <-done:
			alive = false
		default:
		}
		read()
	}
	if want := len(allEvents(t, s, "")); len(seen) != want || want != writers*(each+1) {
		t.Errorf("the streamer saw %d events, the log has %d, %d were written", len(seen), want, writers*(each+1))
	}
}

func changed(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	for range 3 {
		wake := s.Changed()
		before, _ := s.LastEventID(t.Context())
		go func() { _ = s.PutPhase(t.Context(), one.ID, vitrine.Phase{Name: vitrine.PhaseImage, StartedAt: start}) }()
		for last := before; last == before; {
			select {
			case <-wake: // on PostgreSQL the first wake may be the listener's own start
			case <-time.After(10 * time.Second):
				t.Fatal("no wake-up within 10 s")
			}
			wake = s.Changed()
			last, _ = s.LastEventID(t.Context())
		}
	}
}

func ledger(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	for i := len(vitrine.Phases) - 1; i >= 0; i-- { // written in any order, read in the one of a start
		p := vitrine.Phase{Name: vitrine.Phases[i], StartedAt: start.Add(time.Duration(i) * time.Second), Outcome: vitrine.OutcomeRunning}
		for range 2 {
			if err := s.PutPhase(t.Context(), one.ID, p); err != nil {
				t.Fatal(err)
			}
			p.Duration, p.Outcome, p.Detail = 1234567*time.Microsecond, vitrine.OutcomeOK, "bad \xff\x00 bytes"
		}
	}
	f := vitrine.NewFailure(vitrine.FailStartTimeout, nil, "late")
	if _, err := s.UpdateSession(t.Context(), one.ID, start, func(x *vitrine.Session) error {
		x.State, x.Failure = vitrine.StateFailed, f
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	release(t, s, one.ID, start)
	l, err := s.Ledger(t.Context(), one.ID)
	if err != nil || len(l.Phases) != len(vitrine.Phases) || l.Failure == nil || l.Failure.Code != f.Code {
		t.Fatalf("ledger: %v, %+v", err, l)
	}
	for i, p := range l.Phases {
		if p.Name != vitrine.Phases[i] || p.Outcome != vitrine.OutcomeOK || p.Duration != 1234567*time.Microsecond {
			t.Errorf("line %d: %+v", i, p)
		}
	}
	if err := s.PutPhase(t.Context(), one.ID, vitrine.Phase{Name: "lunch"}); err == nil {
		t.Error("a phase that does not exist was written")
	}
}

func console(t *testing.T, s vitrine.Store) {
	one := mustCreate(t, s, wanted(1))
	text := strings.Repeat("x", 300<<10) + "\x00\xffthe end"
	for _, data := range []string{"first", text, ""} {
		if err := s.SaveConsole(t.Context(), one.ID, []byte(data)); err != nil {
			t.Fatal(err)
		}
		want := data[max(0, len(data)-256<<10):]
		if got, err := s.SavedConsole(t.Context(), one.ID); err != nil || string(got) != want {
			t.Errorf("saved %d bytes, got %d, %v; want the last %d", len(data), len(got), err, len(want))
		}
	}
}

func prune(t *testing.T, s vitrine.Store) {
	old, kept, live := mustCreate(t, s, wanted(1)), mustCreate(t, s, wanted(2)), mustCreate(t, s, wanted(3))
	for _, one := range []vitrine.Session{old, kept, live} {
		if err := s.PutPhase(t.Context(), one.ID, vitrine.Phase{Name: vitrine.PhaseImage, StartedAt: start}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveConsole(t.Context(), old.ID, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.PutTicket(t.Context(), vitrine.Ticket{ID: "tkt_old", Hash: hash("old"), SessionID: old.ID, ExpiresAt: start}); err != nil {
		t.Fatal(err)
	}
	release(t, s, old.ID, start)
	release(t, s, kept.ID, start.Add(2*time.Hour))
	last, _ := s.LastEventID(t.Context())
	if n, err := s.Prune(t.Context(), start.Add(time.Hour)); n != 1 || err != nil {
		t.Fatalf("pruned %d, %v; want 1", n, err)
	}
	_, err := s.Session(t.Context(), old.ID)
	wantClass(t, err, vitrine.ClassNotFound)
	_, err = s.SavedConsole(t.Context(), old.ID)
	wantClass(t, err, vitrine.ClassNotFound)
	_, err = s.Ticket(t.Context(), "tkt_old")
	wantClass(t, err, vitrine.ClassNotFound)
	if n := len(allEvents(t, s, old.ID)); n != 0 {
		t.Errorf("%d events of a pruned session", n)
	}
	for _, id := range []string{kept.ID, live.ID} {
		if l, err := s.Ledger(t.Context(), id); err != nil || len(l.Phases) != 1 {
			t.Errorf("%s lost its ledger: %v", id, err)
		}
	}
	// Ids grow also over what was removed.
	mustCreate(t, s, wanted(4))
	if now, _ := s.LastEventID(t.Context()); now <= last {
		t.Errorf("event id %d after %d", now, last)
	}
}
