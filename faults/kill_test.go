package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
	"github.com/vitrine-dev/vitrine/internal/store/storetest"
)

// TestKillAnything kills daemon, supervisors, the OCI runtime and agents at
// random moments of a mixed load, and after each kill wants every session that
// should live to live in the same machine, every other to have ended with a
// reason, and nothing to be left over: 200 kills on SQLite, and 100 on PostgreSQL,
// where the database's connections are among what is killed. VITRINE_TEST_SEED repeats a run, as far
// as a machine's timing can be repeated.
func TestKillAnything(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("VITRINE_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("VITRINE_TEST_SEED: %v", err)
		}
	}
	t.Logf("VITRINE_TEST_SEED=%d", seed)
	var skipped row
	needs(t, container, &skipped)
	t.Run("sqlite", func(t *testing.T) { killAnything(t, seed, 200, nil) })
	t.Run("postgres", func(t *testing.T) { killAnything(t, seed, 100, storetest.Postgres(t)) })
}

func killAnything(t *testing.T, seed uint64, kills int, cluster *storetest.Cluster) {
	if !full {
		kills /= 20
	}
	w := newWorld(t, container, "VITRINE_MAX_SESSIONS=12")
	k := &killer{w: w, r: rand.New(rand.NewPCG(seed, 0)), lives: map[string]life{}, done: map[string]int{}}
	if cluster != nil {
		k.dsn = cluster.DSN(t)
		w.set("VITRINE_DATABASE_URL=" + k.dsn)
	}
	w.start()
	k.settle()
	for n := range kills {
		k.round(n, seed)
		if t.Failed() {
			t.Fatalf("at kill %d of VITRINE_TEST_SEED=%d, after %v", n+1, seed, k.done)
		}
	}
	w.endAll()
	st, err := w.api.Status(t.Context())
	if err != nil || st.Reserved.Sessions != 0 || st.Reserved.MemoryMB != 0 || st.Reserved.VCPU != 0 {
		t.Errorf("reserved when all is over: %+v, %v", st.Reserved, err)
	}
	if err := w.audit(); err != nil {
		t.Error(err)
	}
	w.stop()
	if left := w.left(); len(left) > 0 {
		t.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
	fmt.Printf("kill-anything, %s: %d kills (%s), %d sessions begun; %d times a session had to live through one, and did; nothing left over; seed %d\n",
		filepath.Base(t.Name()), kills, k.killed(), k.begun, k.survived, seed)
}

// life is a session that should live, and where it did when that was known.
type life struct {
	machine string
	pid     int
}

// killer is the load and what it knows.
type killer struct {
	w   *world
	r   *rand.Rand
	dsn string // of PostgreSQL; "" for SQLite

	mu       sync.Mutex
	lives    map[string]life // ready, nobody has ended them, their agents were left alone
	ending   []string        // somebody wished so; the call may have been cut
	begun    int
	survived int
	done     map[string]int // kills by what was killed
}

func (k *killer) killed() string {
	var parts []string
	for _, what := range []string{"daemon", "daemon while it writes", "supervisor", "runtime", "agent", "database connections"} {
		parts = append(parts, fmt.Sprintf("%d %s", k.done[what], what))
	}
	return strings.Join(parts, ", ")
}

// round is a load, one kill in the midst of it, and a look at what remains.
func (k *killer) round(n int, seed uint64) {
	k.w.t.Helper()
	ctx, cancel := context.WithCancel(k.w.t.Context())
	var workers sync.WaitGroup
	for i := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(n*8+i+1)))
		workers.Go(func() { k.load(ctx, r) })
	}
	workers.Go(func() { k.view(ctx) })
	time.Sleep(time.Duration(k.r.IntN(400)) * time.Millisecond) // the random moment
	what := k.kill()
	k.done[what]++
	k.w.t.Logf("kill %d: %s", n+1, what)
	if k.w.daemon == nil {
		k.w.start()
	}
	time.Sleep(time.Duration(k.r.IntN(100)) * time.Millisecond)
	cancel()
	workers.Wait()
	k.settle()
}

// load does one thing after the other; what fails because there is no daemon at
// the moment is not its business.
func (k *killer) load(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		id := k.any(r)
		switch n := r.IntN(10); {
		case n < 4 || id == "":
			in := tiny(32)
			in.ID = vitrine.NewID(vitrine.PrefixSession, time.Now())
			k.mu.Lock()
			if len(k.lives) >= 8 {
				k.mu.Unlock()
				break
			}
			k.begun++
			k.mu.Unlock()
			_, _ = k.w.api.CreateSession(ctx, in, client.CreateOptions{Wait: n < 2})
		case n < 7:
			_, _ = k.w.api.Exec(ctx, id, client.Exec{Command: []string{"sh", "-c", "echo here >>/tmp/mark"}})
		case n < 8:
			_, _ = k.w.api.CreateTicket(ctx, id, client.CreateTicket{Scope: vitrine.ScopeView})
		default:
			k.mu.Lock()
			delete(k.lives, id)
			k.ending = append(k.ending, id)
			k.mu.Unlock()
			_, _ = k.w.api.DeleteSession(ctx, id, n == 8)
		}
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
	}
}

// view listens to events, as a tab does, and comes back after each cut.
func (k *killer) view(ctx context.Context) {
	for ctx.Err() == nil {
		for _, err := range k.w.api.Events(ctx, client.EventOptions{}) {
			if err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// any is one of those that live, "" when there is none.
func (k *killer) any(r *rand.Rand) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []string
	for id := range k.lives {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return ""
	}
	return ids[r.IntN(len(ids))]
}

// kill kills something and says what.
func (k *killer) kill() string {
	switch n := k.r.IntN(10); {
	case n < 3 && k.dsn != "":
		k.cutDatabase()
		return "database connections"
	case n < 3:
		k.w.kill()
		return "daemon"
	case n < 5:
		for range 4 {
			if id := k.any(k.r); id != "" {
				go func() {
					at := time.Now().String()
					_, _ = k.w.api.UpdateSession(context.Background(), id, client.UpdateSession{Metadata: &map[string]string{"at": at}})
				}()
			}
		}
		time.Sleep(time.Duration(k.r.IntN(3000)) * time.Microsecond)
		k.w.kill()
		return "daemon while it writes"
	case n < 7:
		if pids := k.supervisors(); len(pids) > 0 {
			_ = syscall.Kill(pids[k.r.IntN(len(pids))], syscall.SIGKILL)
			return "supervisor"
		}
	case n < 8:
		// It runs for some ten milliseconds of each start: one is waited for.
		until := time.Now().Add(500 * time.Millisecond)
		for time.Now().Before(until) {
			if pid := k.ociRuntime(); pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
				return "runtime"
			}
		}
	default:
		if id := k.any(k.r); id != "" {
			k.mu.Lock()
			l := k.lives[id]
			delete(k.lives, id)
			k.mu.Unlock()
			_ = syscall.Kill(l.pid, syscall.SIGKILL)
			return "agent"
		}
	}
	k.w.kill() // what was to be killed is not there
	return "daemon"
}

// cutDatabase ends every connection of the daemon's to PostgreSQL.
func (k *killer) cutDatabase() {
	db, err := pgx.Connect(k.w.t.Context(), k.dsn)
	if err != nil {
		k.w.t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(k.w.t.Context()))
	var n int
	err = db.QueryRow(k.w.t.Context(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&n)
	if err != nil || n == 0 {
		k.w.t.Errorf("%d connections were cut, %v", n, err)
	}
}

func (k *killer) supervisors() (pids []int) {
	dirs, _ := filepath.Glob(filepath.Join(k.w.data(), "machines/*/mch_*"))
	for _, d := range dirs {
		if pid := (machine{dir: d}).processOf("supervisor.json"); pid > 0 {
			if cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(cmdline), d) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// ociRuntime finds a crun that makes a machine of this world.
func (k *killer) ociRuntime() int {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range processes {
		b, _ := os.ReadFile(p)
		cgroup, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cgroup"))
		if strings.Contains(string(b), "crun\x00") && strings.Contains(string(cgroup), k.w.instance()+"/") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			return pid
		}
	}
	return 0
}

// settleLimit is how long a start under way, a teardown or an adoption may take
// after a kill, on a host that is busy with other things.
const settleLimit = 60 * time.Second

// settle waits until nothing is under way, and holds what remains to what
// should.
func (k *killer) settle() {
	t, w := k.w.t, k.w
	t.Helper()
	for _, id := range k.ending { // a wish that was cut off is wished again
		if _, err := w.api.DeleteSession(t.Context(), id, true); err != nil && vitrine.ClassOf(err) != vitrine.ClassNotFound {
			t.Errorf("ending session %s: %s", id, explain(err))
		}
	}
	k.ending = nil
	w.probed() // the probes' machines are machines too
	ready := map[string]client.Session{}
	within(t, settleLimit, "no session is on its way anywhere", func() bool {
		clear(ready)
		for s, err := range w.api.AllSessions(t.Context(), client.ListOptions{Limit: 500}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case s.State == vitrine.StateReady:
				ready[s.ID] = s
			case !s.Released || s.EndedReason == nil && s.Failure == nil:
				return false
			}
		}
		return true
	})
	for id, l := range k.lives {
		_, lives := ready[id]
		m, _ := w.machineOf(id)
		switch {
		case !lives:
			s, _ := w.api.Session(t.Context(), id)
			t.Errorf("session %s should live, and is %s: %+v", id, s.State, s.Failure)
		case m.id != l.machine || m.processOf("machine.json") != l.pid:
			t.Errorf("session %s lived in %+v, and now lives in %s with process %d", id, l, m.id, m.processOf("machine.json"))
		default:
			k.survived++
		}
	}
	clear(k.lives)
	for id := range ready {
		res, err := w.api.Exec(t.Context(), id, client.Exec{Command: []string{"echo", "here"}})
		if err != nil || res.Stdout != "here\n" {
			t.Errorf("session %s is ready and says %q, %v", id, res.Stdout, err)
		}
		m, _ := w.machineOf(id)
		k.lives[id] = life{m.id, m.processOf("machine.json")}
	}
	st, err := w.api.Status(t.Context())
	if err != nil || st.Reserved.Sessions != len(ready) {
		t.Errorf("%d sessions are ready, and reserved is %+v, %v", len(ready), st.Reserved, err)
	}
	within(t, 10*time.Second, fmt.Sprintf("there are as many machines as there are sessions, %d", len(ready)), func() bool {
		dirs, _ := filepath.Glob(filepath.Join(w.data(), "machines/*/mch_*"))
		return len(dirs) == len(ready)
	})
	if err := w.audit(); err != nil {
		t.Error(err)
	}
}
