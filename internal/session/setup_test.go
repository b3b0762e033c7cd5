package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/store"
)

// world is a host with a database, on which daemons come and go.
type world struct {
	t     *testing.T
	host  *host
	gvi   *fakeRuntime
	net   *fakeNetwork
	store vitrine.Store
	overs struct {
		sync.Mutex
		ids []string
	}
}

// inWorld runs a test in a bubble of fake time, with a real SQLite store.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		for _, what := range w.host.trouble {
			t.Error(what)
		}
	})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir, whose clean-up runs outside the bubble: the store closes in it.
	dir, err := os.MkdirTemp("", "vt-session-")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "vitrine.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = os.RemoveAll(dir)
	})
	h := newHost()
	return &world{
		t: t, host: h, store: s, net: &fakeNetwork{host: h},
		gvi: &fakeRuntime{host: h, name: "gvisor", isolation: vitrine.IsolationGVisor, probe: vitrine.Probe{OK: true}},
	}
}

func (w *world) config() Config {
	return Config{
		Store: w.store, Images: fakeImages{}, Network: w.net, Runtimes: []vitrine.Runtime{w.gvi},
		NewAgent: func(_ vitrine.Runtime, id string) vitrine.Agent { return &fakeAgent{host: w.host, id: id} },
		AgentConfig: func(s vitrine.Session, _ vitrine.Attachment) ([]byte, error) {
			return json.Marshal(s)
		},
		Defaults: map[vitrine.Kind]Defaults{
			vitrine.KindDesktop:  {Image: "desktop", VCPU: 2, MemoryMB: 2048},
			vitrine.KindTerminal: {Image: "terminal", VCPU: 1, MemoryMB: 512},
		},
		Pool: vitrine.AddressPool{Subnet: netip.MustParsePrefix("192.168.100.0/24")},
		Node: "n1", BootID: "boot-1", Protocol: "1", Parallel: 50,
		OnOver: func(id string) {
			w.overs.Lock()
			defer w.overs.Unlock()
			w.overs.ids = append(w.overs.ids, id)
		},
	}
}

// daemon is one run of the service.
type daemon struct {
	*Service
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
}

func (w *world) daemon(change ...func(*Config)) *daemon {
	w.t.Helper()
	cfg := w.config()
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{Service: s, t: w.t, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		if err := s.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	w.t.Cleanup(d.end)
	return d
}

// end stops the daemon, as a signal would.
func (d *daemon) end() {
	d.stop()
	<-d.done
}

func (d *daemon) create(fault string, change ...func(*vitrine.NewSession)) vitrine.Session {
	d.t.Helper()
	n := vitrine.NewSession{UserID: "ada", Metadata: map[string]string{"fault": fault}}
	for _, c := range change {
		c(&n)
	}
	s, created, err := d.Create(context.Background(), n)
	if err != nil || !created {
		d.t.Fatalf("create: created %v, %v", created, err)
	}
	return s
}

func (d *daemon) settled(id string) vitrine.Session {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := d.WaitSettled(ctx, id)
	if err != nil {
		d.t.Fatalf("waiting until %s is settled: %v", id, err)
	}
	return s
}

func (d *daemon) released(id string) vitrine.Session {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := d.WaitReleased(ctx, id)
	if err != nil {
		d.t.Fatalf("waiting until nothing of %s is left: %v", id, err)
	}
	return s
}

func (d *daemon) delete(id string) vitrine.Session {
	d.t.Helper()
	s, err := d.Delete(context.Background(), id)
	if err != nil {
		d.t.Fatalf("delete %s: %v", id, err)
	}
	return s
}

func (d *daemon) phases(id string) (names []vitrine.PhaseName, l vitrine.Ledger) {
	d.t.Helper()
	l, err := d.Ledger(context.Background(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, p := range l.Phases {
		names = append(names, p.Name)
	}
	return names, l
}

// nothingLeft checks the host and the reservations.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.host.left(); len(left) > 0 {
		w.t.Errorf("left on the host: %v", left)
	}
	if held, err := w.store.Reserved(context.Background()); err != nil || held != (vitrine.Capacity{}) {
		w.t.Errorf("still reserved: %+v, %v", held, err)
	}
}

func codeOf(err error) string {
	var e *vitrine.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

var desktopPhases = []vitrine.PhaseName{
	vitrine.PhaseAdmission, vitrine.PhasePlacement, vitrine.PhaseImage, vitrine.PhaseNetwork,
	vitrine.PhaseMachine, vitrine.PhaseAgent, vitrine.PhaseDisplay, vitrine.PhaseBrowser,
}

func upTo(p vitrine.PhaseName) []vitrine.PhaseName {
	return desktopPhases[:slices.Index(desktopPhases, p)+1]
}
