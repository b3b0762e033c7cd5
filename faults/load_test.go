package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// Budgets of healthy sessions beside failing ones.
const (
	keyBudget      = 1.5 // times the p95 of key → photon without them
	listBudget     = 50 * time.Millisecond
	diagnoseBudget = 5 * time.Second
)

// TestHealthyBesideFailing has five desktops that are looked at and typed into
// while thirty starts fail in four ways. What is proved is that each failure is
// named, in time, and nothing is left; the figures are published as measured,
// since they are the host's too. Key → photon is measured by RFB over the
// daemon's WebSocket; `vitrine bench stream` measures WebRTC.
func TestHealthyBesideFailing(t *testing.T) {
	if !full {
		t.Skip("minutes of load: VITRINE_TEST_FULL=1")
	}
	var skipped row
	needs(t, container, &skipped)
	needs(t, gvisor, &skipped)
	w := newWorld(t, gvisor, "VITRINE_ADMIT_BELOW_MINIMUM=true", "BROWSER_VM_VCPU=1")
	w.breakable()
	w.ownImages("tiny")
	w.show("desktop")
	w.damagedImage("damaged")
	w.start()
	w.probed()
	w.breakIt() // runsc, from here on

	const healthy = 5
	var viewers []*viewer
	for range healthy {
		s := w.create(client.CreateSession{Kind: vitrine.KindDesktop, Runtime: container, StartURL: flipPage})
		v, err := w.look(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer v.conn.Close()
		viewers = append(viewers, v)
	}
	alone := typeInto(t, viewers, func(round int) bool { return round < 40 })
	_, before, _ := w.watch.seen()

	var mu sync.Mutex
	failures := map[vitrine.FailureCode]int{}
	var slowest time.Duration
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		var starts sync.WaitGroup
		for i := range 30 {
			starts.Go(func() {
				code, late := w.failOnPurpose(i)
				mu.Lock()
				defer mu.Unlock()
				failures[code]++
				slowest = max(slowest, late)
			})
		}
		starts.Wait()
	}()
	beside := typeInto(t, viewers, func(int) bool {
		select {
		case <-failed:
			return false
		default:
			return true
		}
	})
	_, all, silent := w.watch.seen()
	lists := all[len(before):]
	if silent != nil {
		t.Errorf("the API did not answer meanwhile: %v", silent)
	}
	want := map[vitrine.FailureCode]int{vitrine.FailGuestOOM: 15, vitrine.FailVMMFailed: 8, vitrine.FailImageCorrupt: 7}
	for code, n := range want {
		if failures[code] != n {
			t.Errorf("%d starts were called %s, want %d (all: %v)", failures[code], code, n, failures)
		}
	}
	if slowest > diagnoseBudget {
		t.Errorf("the last diagnosis came %s after the fact", slowest)
	}
	verdict := func(met bool) string {
		if met {
			return "met"
		}
		return "not met"
	}
	a, b, p99 := quantile(alone, 95), quantile(beside, 95), quantile(lists, 99)
	fmt.Printf("load: 5 desktops looked at, 30 starts that fail beside them %v; key → photon p95 %.1f ms alone (%d keys), %.1f ms beside (%d keys): %.2f times (budget %.1f: %s); GET /v1/sessions p99 %.1f ms of %d (budget 50: %s); slowest diagnosis %.1f s after the fact (budget 5: %s)\n",
		failures, ms(a), len(alone), ms(b), len(beside), float64(b)/float64(a), keyBudget, verdict(float64(b) <= keyBudget*float64(a)),
		ms(p99), len(lists), verdict(p99 <= listBudget), slowest.Seconds(), verdict(slowest <= diagnoseBudget))
	w.endAll()
	if err := w.audit(); err != nil {
		t.Error(err)
	}
	w.stop()
	if left := w.left(); len(left) > 0 {
		t.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
}

// damagedImage builds tiny by another name and damages it.
func (w *world) damagedImage(name string) {
	w.t.Helper()
	recipe, err := os.ReadFile("../images/tiny/recipe.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	dir := filepath.Join(w.dir, "recipes", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "recipe.yaml"), bytes.Replace(recipe, []byte("name: tiny"), []byte("name: "+name), 1), 0o644); err != nil {
		w.t.Fatal(err)
	}
	build := "vitrine image build " + name + " --recipes recipes"
	w.follow(build, build)
	w.flip(filepath.Join(w.copied(name), "rootfs/bin/busybox"), 100_000)
}

// failOnPurpose starts a session that cannot come up, waiting for room as long as
// there is none, and gives what it was called and how long that took from the
// beginning of the phase in which it failed: none of these faults can show later.
func (w *world) failOnPurpose(i int) (vitrine.FailureCode, time.Duration) {
	ctx := w.t.Context()
	in := tiny(2) // too little
	in.Runtime = container
	switch i % 4 {
	case 1:
		in = tiny(32) // on gVisor, whose program is broken
	case 2:
		in = tiny(32)
		in.Image, in.Runtime = "damaged", container
	case 3:
		in.Kind, in.Image = vitrine.KindDesktop, ""
	}
	for {
		_, err := w.api.CreateSession(ctx, in, client.CreateOptions{Wait: true})
		var e *client.Error
		if !errors.As(err, &e) || e.Failure == nil {
			w.t.Errorf("start %d: %v", i, err)
			return "", 0
		}
		if e.Failure.Code == vitrine.FailHostNoCapacity {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		boot, err := w.api.Boot(ctx, e.SessionID)
		if err != nil || len(boot.Phases) == 0 {
			w.t.Errorf("start %d: %+v, %v", i, boot, err)
			return "", 0
		}
		return e.Failure.Code, time.Duration(boot.Phases[len(boot.Phases)-1].DurationMS * float64(time.Millisecond))
	}
}

// typeInto types into one desktop after the other as long as more says, and gives
// every time from key to photon.
func typeInto(t *testing.T, viewers []*viewer, more func(round int) bool) (all []time.Duration) {
	t.Helper()
	for round := 0; more(round); round++ {
		for n, v := range viewers {
			took, err := v.key()
			if err != nil {
				t.Fatalf("desktop %d, key %d: %v", n, round, err)
			}
			all = append(all, took)
			time.Sleep(20 * time.Millisecond)
		}
	}
	return all
}

// quantile gives the nearest-rank quantile, in percent.
func quantile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return sorted[(len(sorted)*percent+99)/100-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
