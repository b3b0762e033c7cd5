package runtimetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Env is what a Factory makes its runtime of.
type Env struct {
	BaseDir      string
	CgroupParent string
	AgentPath    string
	ShimCommand  []string
	DiskBytes    int64
	Guest        Guest // of a VM
}

// Factory is one runtime under test.
type Factory struct {
	New func(Env) (vitrine.Runtime, error)
	// Shared says that the machine shares the host's files and nothing stands
	// between: what tries to break out is not tried.
	Shared bool
	// WholeMachine says that the memory and process limits end the whole
	// machine where others lose a process: there is one process on the host.
	WholeMachine bool
	// VM says that each machine has a kernel of its own; nil for the others.
	VM *VM
}

// bench is one runtime over one directory, with the means to make machines.
type bench struct {
	t    *testing.T
	f    Factory
	env  Env
	rt   vitrine.Runtime
	root string
	slot int
	// secrets are those of machines that have another than secret, by id.
	secrets map[string]string
}

// limit is how long any one call may take here before the test says it hangs;
// Main makes it longer where a processor is emulated.
var limit = 30 * time.Second

// secret is the machines' bearer secret.
const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func newBench(t *testing.T, f Factory) *bench {
	t.Helper()
	needRoot(t)
	agent, err := buildAgent()
	must(t, err)
	nth := int(benches.Add(1))
	// Slots of its own too: a VMM is alone with its uid.
	b := &bench{t: t, f: f, slot: nth % 60 * slots, secrets: map[string]string{}, root: makeRoot(t), env: Env{
		BaseDir: t.TempDir(), CgroupParent: fmt.Sprintf("/vitrine-test-%d-%d", os.Getpid(), nth),
		AgentPath: agent, ShimCommand: []string{"/proc/self/exe", "shim"},
		DiskBytes: 256 << 20,
	}}
	if f.VM != nil {
		b.env.Guest = f.VM.guest(t)
		makeDisk(t, b.root)
	}
	b.reopen()
	t.Cleanup(b.leavesNothing)
	return b
}

// benches counts them: each has a cgroup of its own.
var benches atomic.Int32

// slots is how many machines a bench may make at once.
const slots = 64

// reopen makes a new Runtime over the same directory, as a new daemon does.
func (b *bench) reopen() {
	b.t.Helper()
	rt, err := b.f.New(b.env)
	must(b.t, err)
	b.rt = rt
}

// deleteAll deletes every machine.
func (b *bench) deleteAll() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	list, err := b.rt.List(ctx)
	if err != nil {
		b.t.Errorf("List: %v", err)
	}
	for _, st := range list {
		if err := b.rt.Delete(ctx, st.ID); err != nil {
			b.t.Errorf("Delete %s: %v", st.ID, err)
		}
	}
}

// leavesNothing deletes every machine and holds the host to what it was.
func (b *bench) leavesNothing() {
	b.deleteAll()
	if left := snapshot(b.env.BaseDir, b.env.CgroupParent); len(left) > 0 {
		b.t.Errorf("after everything was deleted this is left on the host:\n%s", strings.Join(left, "\n"))
	}
	if left, _ := os.ReadDir(b.env.BaseDir); len(left) > 0 {
		b.t.Errorf("after everything was deleted the directory holds %v", left)
	}
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	b.t.Cleanup(cancel)
	return ctx
}

// spec is a small machine's.
func (b *bench) spec() vitrine.MachineSpec { return b.specOn(vitrine.Attachment{}) }

// specOn is that of one on a network, whose address its agent sets where the
// runtime cannot.
func (b *bench) specOn(at vitrine.Attachment) vitrine.MachineSpec {
	b.slot++
	id := vitrine.NewID(vitrine.PrefixMachine, time.Now())
	c := agentproto.Config{
		MachineID: id, SessionID: vitrine.NewID(vitrine.PrefixSession, time.Now()), Secret: secret,
		Kind: "terminal", Hostname: "testbox", Width: 1280, Height: 720, Sandbox: b.rt.Name(),
	}
	if at.NetNS != "" {
		c.Network = agentproto.Network{
			Configure: b.rt.Isolation().OwnKernel(), Device: at.Device, Address: at.Address.String(), Gateway: at.Gateway.String(),
		}
	}
	config, err := json.Marshal(c)
	must(b.t, err)
	return vitrine.MachineSpec{
		ID: id, SessionID: "ses_test", Slot: b.slot, Kind: vitrine.KindTerminal, RootFS: b.root,
		VCPU: 1, MemoryBytes: 256 << 20, MaxPIDs: 128, Net: at, AgentConfig: config,
	}
}

// created makes a machine; started starts one too; ready waits for its agent.
func (b *bench) created() string {
	b.t.Helper()
	s := b.spec()
	must(b.t, b.rt.Create(b.ctx(), s))
	return s.ID
}

func (b *bench) started() string {
	b.t.Helper()
	id := b.created()
	b.start(id)
	return id
}

func (b *bench) start(id string) {
	b.t.Helper()
	if err := b.rt.Start(b.ctx(), id); err != nil {
		var e *vitrine.Error
		if errors.As(err, &e) && e.Failure != nil {
			b.t.Logf("evidence: %s", strings.Join(e.Failure.Evidence, "\n"))
		}
		b.t.Fatal(err)
	}
}

func (b *bench) ready() string {
	b.t.Helper()
	id := b.started()
	b.awaitAgent(id)
	return id
}

// awaitAgent polls the agent's health: there is no event for a socket that is
// not there yet, and this is how the session service does it. The longer it has
// taken the less often: a guest that is emulated refuses each connection at the
// cost of some of its boot.
func (b *bench) awaitAgent(id string) {
	b.t.Helper()
	began := time.Now()
	deadline := began.Add(limit)
	for {
		var h agentproto.Health
		err := b.call(id, http.MethodGet, agentproto.PathHealth, nil, &h)
		if err == nil {
			return
		}
		st, _ := b.rt.Inspect(b.ctx(), id)
		if st.State == vitrine.MachineExited || time.Now().After(deadline) {
			b.t.Fatalf("the agent of %s does not answer: %v; the machine is %+v; its console:\n%s", id, err, st, b.console(id))
		}
		time.Sleep(max(10*time.Millisecond, time.Since(began)/30))
	}
}

// call is one HTTP request to a machine's agent.
func (b *bench) call(id, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx := b.ctx()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return b.rt.Dial(ctx, id, vitrine.AgentPort)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+cmp.Or(b.secrets[id], secret))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, agentproto.MaxJSON))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent answers %s: %.300s", resp.Status, reply)
	}
	return json.Unmarshal(reply, out)
}

// exec runs a shell line as the machine's root.
func (b *bench) exec(id, line string) (agentproto.ExecResult, error) {
	var out agentproto.ExecResult
	err := b.call(id, http.MethodPost, agentproto.PathExec, agentproto.ExecRequest{
		Command: []string{"/bin/sh", "-c", line}, User: "root", TimeoutMS: (limit - 5*time.Second).Milliseconds(),
	}, &out)
	return out, err
}

// sh runs a shell line that must succeed and gives what it printed.
func (b *bench) sh(id, line string) string {
	b.t.Helper()
	r, err := b.exec(id, line)
	if err != nil || r.ExitCode != 0 {
		b.t.Fatalf("%s: status %d, %v\n%s%s", line, r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(string(r.Stdout))
}

func (b *bench) console(id string) string {
	r, err := b.rt.Console(b.ctx(), id)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	all, _ := io.ReadAll(r)
	return string(all)
}

func (b *bench) inspect(id string) vitrine.MachineStatus {
	b.t.Helper()
	st, err := b.rt.Inspect(b.ctx(), id)
	must(b.t, err)
	return st
}

func (b *bench) wantState(id string, want vitrine.MachineState) vitrine.MachineStatus {
	b.t.Helper()
	st := b.inspect(id)
	if st.State != want {
		b.t.Fatalf("machine %s is %s, want %s; its console:\n%s", id, st.State, want, b.console(id))
	}
	return st
}

// await polls for what has no event.
func (b *bench) await(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("in %s this did not become true: %s", limit, what)
		}
	}
}

// makeAndHang is the process that is killed: it makes and starts one machine
// and then waits to be killed.
func makeAndHang(f Factory, args []string) {
	err := func() error {
		var env Env
		var spec vitrine.MachineSpec
		if len(args) != 2 {
			return errors.New("want ENV SPEC")
		}
		if err := errors.Join(json.Unmarshal([]byte(args[0]), &env), json.Unmarshal([]byte(args[1]), &spec)); err != nil {
			return err
		}
		rt, err := f.New(env)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := rt.Create(ctx, spec); err != nil {
			return err
		}
		fmt.Println("created")
		return rt.Start(ctx, spec.ID)
	}()
	fmt.Println("started", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func (b *bench) file(id, name string) string { return filepath.Join(b.env.BaseDir, id, name) }
