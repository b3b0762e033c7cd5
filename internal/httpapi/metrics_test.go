package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decodeInto(t *testing.T, resp *http.Response, to any) {
	t.Helper()
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		t.Fatalf("the reply %s: %v", resp.Status, err)
	}
}

func (r *rig) metrics() string {
	r.t.Helper()
	return text(r.t, r.call("GET", "/metrics", ""))
}

// TestWhatWentWrongTonightStandsInTheMetrics: a night with one good start, one
// failed start, one desktop that ran out of memory, and creates that were refused.
func TestWhatWentWrongTonightStandsInTheMetrics(t *testing.T) {
	r := newRig(t)
	r.status.Capacity = vitrine.Capacity{MemoryMB: 4096, VCPU: 32, Sessions: 100}
	r.status.Reserved = vitrine.Capacity{MemoryMB: 2048, VCPU: 2, Sessions: 1}
	good := r.ready("alice")
	r.phase(good.ID, vitrine.Phase{Name: vitrine.PhaseImage, Outcome: vitrine.OutcomeRunning})
	r.phase(good.ID, vitrine.Phase{Name: vitrine.PhaseImage, Outcome: vitrine.OutcomeOK, Duration: 40 * time.Millisecond})

	bad, _, _ := r.Create(t.Context(), vitrine.NewSession{Kind: vitrine.KindDesktop, UserID: "bob"})
	r.move(bad.ID, vitrine.StateStarting, nil)
	r.phase(bad.ID, vitrine.Phase{Name: vitrine.PhaseMachine, Outcome: vitrine.OutcomeFailed, Duration: 3 * time.Second})
	r.move(bad.ID, vitrine.StateFailed, func(s *vitrine.Session) {
		s.Failure, s.EndedReason = vitrine.NewFailure(vitrine.FailVMMFailed, nil, "no"), vitrine.EndedFailedToStart
	})
	hungry := r.ready("bob")
	r.move(hungry.ID, vitrine.StateFailed, func(s *vitrine.Session) {
		s.Failure, s.EndedReason = vitrine.NewFailure(vitrine.FailGuestOOM, nil, "no"), vitrine.EndedGuestOOM
	})
	late, _, _ := r.Create(t.Context(), vitrine.NewSession{Kind: vitrine.KindDesktop, UserID: "bob"})
	made := late.CreatedAt
	r.move(late.ID, vitrine.StatePending, func(s *vitrine.Session) {
		s.CreatedAt, s.Queue = made.Add(-10*time.Minute), &vitrine.QueuePlace{Position: 1}
	})
	r.move(late.ID, vitrine.StatePending, func(s *vitrine.Session) { s.Queue = nil })
	r.move(late.ID, vitrine.StateReady, func(s *vitrine.Session) { s.ReadyAt = made })
	r.move(late.ID, vitrine.StateEnded, func(s *vitrine.Session) { s.EndedReason = vitrine.EndedIdle })
	for _, why := range []error{
		vitrine.NewFailure(vitrine.FailHostNoCapacity, nil, "full").AsError(),
		vitrine.NewFailure(vitrine.FailHostNoCapacity, nil, "full").AsError(),
		errors.New("a fault nobody knows"),
	} {
		r.createAs = why
		r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...)
	}
	r.call("POST", "/v1/sessions", `{"kind":"toaster"}`, bearer(aliceKey)...)

	got := "\n" + r.metrics()
	for _, want := range []string{
		`vitrine_sessions{runtime="gvisor",state="ready"} 1`,
		`vitrine_sessions{runtime="container",state="ready"} 0`,
		`vitrine_sessions{runtime="gvisor",state="starting"} 0`,
		`vitrine_session_starts_total{outcome="ready",runtime="gvisor"} 3`,
		`vitrine_session_start_seconds_sum{runtime="gvisor"} 0`, // the fake's clock stands; a wait for room is no start
		`vitrine_session_starts_total{outcome="vmm_failed",runtime="gvisor"} 1`,
		`vitrine_session_failures_total{code="vmm_failed",runtime="gvisor"} 1`,
		`vitrine_session_failures_total{code="guest_oom",runtime="gvisor"} 1`,
		`vitrine_sessions_ended_total{reason="guest_oom",runtime="gvisor"} 1`,
		`vitrine_boot_phase_seconds_count{outcome="ok",phase="image",runtime="gvisor"} 1`,
		`vitrine_boot_phase_seconds_sum{outcome="failed",phase="machine",runtime="gvisor"} 3`,
		`vitrine_creates_refused_total{reason="host_no_capacity"} 2`,
		`vitrine_creates_refused_total{reason="internal"} 1`,
		`vitrine_creates_refused_total{reason="invalid"} 1`,
		`vitrine_runtime_usable{runtime="gvisor"} 1`,
		`vitrine_runtime_usable{runtime="container"} 0`,
		`vitrine_capacity{resource="memory_bytes"} 4.294967296e+09`,
		`vitrine_reserved{resource="memory_bytes"} 2.147483648e+09`,
		`vitrine_video_bytes_total{codec="vp8"} 90000`,
		`vitrine_video_frames_total{codec="vp8"} 600`,
		`vitrine_sockets{kind="signal"} 1`,
		`vitrine_turn_relays 2`,
		`vitrine_sweeps_total 7`,
		`vitrine_sweeps_failed_total 1`,
		`vitrine_sweep_last_success_timestamp_seconds 1.77260076789e+09`,
		`vitrine_step_retries_total 5`,
		`vitrine_draining 0`,
		`vitrine_build_info{commit="abc",version="1.2.3"} 1`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			name, _, _ := strings.Cut(want, "{")
			var like []string
			for line := range strings.Lines(got) {
				if strings.HasPrefix(line, name) {
					like = append(like, line)
				}
			}
			t.Errorf("no %s\nthere is:\n%s", want, strings.Join(like, ""))
		}
	}
	if again := r.metrics(); !strings.Contains(again, `vitrine_session_failures_total{code="guest_oom",runtime="gvisor"} 1`+"\n") {
		t.Error("a second look counts the night twice")
	}
}

// TestCallersCannotFillTheMetrics: whatever is asked, the number of series stays.
func TestCallersCannotFillTheMetrics(t *testing.T) {
	r := newRig(t)
	ask := func(i int) {
		r.createAs = vitrine.Errorf(vitrine.ClassInvalid, fmt.Sprintf("made_up_%d", i), "no").WithRemedy("none")
		r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...)
		r.call("GET", fmt.Sprintf("/v1/sessions/ses_%026d", i), "", bearer(aliceKey)...)
		r.call("GET", fmt.Sprintf("/nowhere/%d", i), "")
		r.call("BREW", "/v1/sessions", "", bearer(aliceKey)...)
	}
	series := func() (n int) {
		for line := range strings.Lines(r.metrics()) {
			if strings.HasPrefix(line, "vitrine_") {
				n++
			}
		}
		return n
	}
	ask(0)
	series() // the scrape itself is a series
	before := series()
	for i := range 50 {
		ask(i)
	}
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}

// TestAWaitForASlowMachineIsNoSlowAPI: the API's latency is what the alert goes
// by, and a machine may take a minute.
func TestAWaitForASlowMachineIsNoSlowAPI(t *testing.T) {
	r := newRig(t)
	id, answer := r.waiting()
	r.move(id, vitrine.StateReady, nil)
	if resp := <-answer; resp.StatusCode != 201 {
		t.Fatal(resp.Status)
	}
	r.call("POST", "/v1/sessions", `{"kind":"desktop"}`, bearer(aliceKey)...)
	m := r.metrics()
	if strings.Contains(m, `vitrine_http_request_seconds_count{method="POST",route="/v1/sessions",status="201"}`) ||
		!strings.Contains(m, `vitrine_http_request_seconds_count{method="POST",route="/v1/sessions",status="202"} 1`) {
		t.Errorf("calls as counted:\n%s", m)
	}
}
