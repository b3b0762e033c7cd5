package httpapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// fakeKeeper knows two leftovers and remembers what it was asked.
type fakeKeeper struct {
	dryRun, live bool
	budget       int
	err          error
}

func (k *fakeKeeper) collection() vitrine.Collection {
	return vitrine.Collection{
		Leftovers: []vitrine.Leftover{
			{
				Things:  []vitrine.Thing{{Kind: vitrine.ThingMachine, Name: "/d/machines/gvisor/mch_1", Detail: "half-made", Since: time.Unix(1, 0)}},
				Machine: "mch_1", Why: "no session has this machine", Deed: vitrine.DeedDeleteMachine,
			},
			{Things: []vitrine.Thing{{Kind: vitrine.ThingBridge, Name: "fcbr0", Foreign: "not ours"}}, Why: "in our place", Keep: "not touched"},
		},
		Blind: []string{"firewall rules"},
	}
}

func (k *fakeKeeper) Audit(context.Context) (vitrine.Collection, error) { return k.collection(), k.err }

func (k *fakeKeeper) Collect(ctx context.Context, dryRun bool, budget int) (vitrine.Collection, error) {
	k.dryRun, k.budget, k.live = dryRun, budget, ctx.Err() == nil
	c := k.collection()
	if c.DryRun = dryRun; !dryRun {
		c.Leftovers[0].Done = true
	}
	return c, k.err
}

func fakeDoctor(context.Context) []vitrine.Finding {
	return []vitrine.Finding{
		{Check: "user", Result: vitrine.VerdictPass, Detail: "root"},
		{Check: "clock", Result: vitrine.VerdictWarn, Detail: "not synchronised", Remedy: "timedatectl set-ntp true"},
	}
}

func TestLeftoversAreToldAndRemoved(t *testing.T) {
	keeper := &fakeKeeper{}
	r := newRig(t, func(c *httpapi.Config) { c.Keeper = keeper })
	admin := r.client(adminKey)
	found := must[api.Collection](t)(admin.Audit(t.Context()))
	if len(found.Leftovers) != 2 || found.Leftovers[0].Deed == nil || found.Leftovers[1].Deed != nil || found.Removed != 0 {
		t.Errorf("audit: %+v", found)
	}
	done := must[api.Collection](t)(admin.Collect(t.Context(), api.Collect{Budget: 7}))
	if done.Removed != 1 || done.DryRun || keeper.dryRun || keeper.budget != 7 || !keeper.live {
		t.Errorf("gc: %+v, asked %+v", done, keeper)
	}
	if dry := must[api.Collection](t)(admin.Collect(t.Context(), api.Collect{DryRun: true})); dry.Removed != 0 || !dry.DryRun || !keeper.dryRun {
		t.Errorf("dry run: %+v", dry)
	}
	for body, want := range map[string]int{`{"budget":1001}`: 422, `{"budget":-1}`: 422, `{"yes":true}`: 400, `[]`: 400} {
		if got := r.call("POST", "/v1/host/gc", body, bearer(adminKey)...).StatusCode; got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}

func TestTheDoctorsReport(t *testing.T) {
	r := newRig(t)
	d := must[api.Doctor](t)(r.client(adminKey).Doctor(t.Context()))
	if d.Verdict != vitrine.VerdictWarn || len(d.Findings) != 2 || d.Findings[1].Remedy == "" {
		t.Errorf("%+v", d)
	}
	bare := newRig(t, func(c *httpapi.Config) { c.Keeper, c.Doctor = nil, nil })
	for _, path := range []string{"/v1/host/doctor", "/v1/host/audit"} {
		if got := bare.call("GET", path, "", bearer(adminKey)...).StatusCode; got != 503 {
			t.Errorf("GET %s of a daemon without one: %d", path, got)
		}
	}
}
