package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// host is the world outside the service: it outlives any number of daemons.
// What goes wrong is said by the session's metadata "fault".
type host struct {
	mu       sync.Mutex
	machines map[string]*fakeMachine
	attached map[string]bool
	users    map[netip.Addr]string // who has an address now
	trouble  []string              // rules that were broken
	created  int
	stuck    chan struct{} // closed to let stuck calls end
}

type fakeMachine struct {
	spec   vitrine.MachineSpec
	fault  string
	state  vitrine.MachineState
	since  time.Time
	exit   int
	oom    int
	gone   chan struct{}
	resize vitrine.Viewport
	health func(h *vitrine.AgentHealth) error
}

func newHost() *host {
	return &host{machines: map[string]*fakeMachine{}, attached: map[string]bool{}, users: map[netip.Addr]string{}, stuck: make(chan struct{})}
}

func (h *host) broke(format string, args ...any) {
	h.trouble = append(h.trouble, fmt.Sprintf(format, args...))
}

// left lists what is on the host.
func (h *host) left() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for id, m := range h.machines {
		all = append(all, "machine "+id+" "+string(m.state))
	}
	for id := range h.attached {
		all = append(all, "attachment "+id)
	}
	slices.Sort(all)
	return all
}

func (h *host) only() *fakeMachine {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.machines {
		return m
	}
	return nil
}

func (h *host) exits(m *fakeMachine, code, oom int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.state == vitrine.MachineRunning {
		m.state, m.exit, m.oom = vitrine.MachineExited, code, oom
		close(m.gone)
	}
}

func (h *host) hang(ctx context.Context, how string) error {
	if how == "deaf" { // does not hear its context either
		<-h.stuck
		return errors.New("let go")
	}
	select {
	case <-h.stuck:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// fakeRuntime is a runtime of the host.
type fakeRuntime struct {
	*host
	name      string
	isolation vitrine.Isolation
	probe     vitrine.Probe
}

func (r *fakeRuntime) Name() string                        { return r.name }
func (r *fakeRuntime) Isolation() vitrine.Isolation        { return r.isolation }
func (r *fakeRuntime) Probe(context.Context) vitrine.Probe { return r.probe }

func faultOf(spec vitrine.MachineSpec) string {
	var s vitrine.Session
	_ = json.Unmarshal(spec.AgentConfig, &s)
	return s.Metadata["fault"]
}

func (r *fakeRuntime) Create(ctx context.Context, spec vitrine.MachineSpec) error {
	fault := faultOf(spec)
	switch fault {
	case "create":
		return errors.New("mount: no such device")
	case "create-full":
		return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "0 bytes free")
	case "create-hangs":
		return r.hang(ctx, "")
	case "create-deaf":
		_ = r.hang(ctx, "deaf") // and then, long after everybody gave it up, it makes the machine
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.machines[spec.ID] != nil {
		return nil
	}
	if r.isolation != vitrine.IsolationNone && !r.attached[spec.ID] && fault != "create-deaf" {
		r.broke("machine %s was made without its network", spec.ID)
	}
	r.created++
	r.machines[spec.ID] = &fakeMachine{spec: spec, fault: fault, state: vitrine.MachineCreated, gone: make(chan struct{})}
	return nil
}

func notThere(id string) error { return vitrine.NotFound("machine", id) }

func (r *fakeRuntime) Start(ctx context.Context, id string) error {
	r.mu.Lock()
	m := r.machines[id]
	r.mu.Unlock()
	if m == nil {
		return notThere(id)
	}
	switch m.fault {
	case "start":
		return errors.New("exec: permission denied")
	case "start-hangs":
		return r.hang(ctx, "")
	}
	r.mu.Lock()
	switch m.state {
	case vitrine.MachineExited:
		r.mu.Unlock()
		return vitrine.ErrMachineExited
	case vitrine.MachineCreated:
		m.state, m.since = vitrine.MachineRunning, time.Now()
	}
	r.mu.Unlock()
	if m.fault == "exit" {
		r.exits(m, 3, 0)
	}
	return nil
}

func (r *fakeRuntime) Stop(context.Context, string, time.Duration) error { return nil }

func (r *fakeRuntime) Delete(ctx context.Context, id string) error {
	r.mu.Lock()
	m := r.machines[id]
	r.mu.Unlock()
	if m == nil {
		return nil
	}
	if m.fault == "delete-hangs" {
		if err := r.hang(ctx, ""); err != nil {
			return err
		}
	}
	r.exits(m, 137, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.machines, id)
	return nil
}

func (r *fakeRuntime) Inspect(_ context.Context, id string) (vitrine.MachineStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.machines[id]
	if m == nil {
		return vitrine.MachineStatus{}, notThere(id)
	}
	return vitrine.MachineStatus{ID: id, State: m.state, ExitCode: m.exit, OOMKills: m.oom}, nil
}

func (r *fakeRuntime) List(context.Context) ([]vitrine.MachineStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []vitrine.MachineStatus
	for id, m := range r.machines {
		all = append(all, vitrine.MachineStatus{ID: id, State: m.state})
	}
	return all, nil
}

func (r *fakeRuntime) Dial(context.Context, string, uint32) (net.Conn, error) {
	return nil, vitrine.Errorf(vitrine.ClassUnavailable, "no_agent", "nobody listens")
}

func (r *fakeRuntime) Console(_ context.Context, id string) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.machines[id]
	if m == nil {
		return nil, notThere(id)
	}
	text := "booting " + id + "\n"
	if m.fault == "oom-panic" {
		text += "Out of memory and no killable processes...\nKernel panic - not syncing: System is deadlocked on memory\n"
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (r *fakeRuntime) Wait(ctx context.Context, id string) (vitrine.MachineStatus, error) {
	r.mu.Lock()
	m := r.machines[id]
	r.mu.Unlock()
	if m == nil {
		return vitrine.MachineStatus{}, notThere(id)
	}
	select {
	case <-m.gone:
		return vitrine.MachineStatus{ID: id, State: vitrine.MachineExited, ExitCode: m.exit, OOMKills: m.oom}, nil
	case <-ctx.Done():
		return vitrine.MachineStatus{}, ctx.Err()
	}
}

// Logs makes it a vitrine.LogReader.
func (r *fakeRuntime) Logs(ctx context.Context, id string) ([]vitrine.MachineLog, error) {
	r.mu.Lock()
	m := r.machines[id]
	r.mu.Unlock()
	if m == nil {
		return nil, notThere(id)
	}
	if m.fault == "mute" {
		return nil, r.hang(ctx, "deaf")
	}
	return []vitrine.MachineLog{{Name: "runtime.log", Data: []byte("started " + id)}}, nil
}

// fakeNetwork is the bridge of the host.
type fakeNetwork struct {
	*host
	fail error
}

func (n *fakeNetwork) Attach(_ context.Context, id string, _ int, addr netip.Addr) (vitrine.Attachment, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return vitrine.Attachment{}, n.fail
	}
	if who := n.users[addr]; who != "" && who != id {
		n.broke("address %s was given to %s while %s had it", addr, id, who)
	}
	n.attached[id], n.users[addr] = true, id
	return vitrine.Attachment{Device: "eth0", Address: netip.PrefixFrom(addr, 24)}, nil
}

func (n *fakeNetwork) Detach(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.machines[id]; m != nil {
		n.broke("the network of %s was taken away before the machine", id)
	}
	delete(n.attached, id)
	for addr, who := range n.users {
		if who == id {
			delete(n.users, addr)
		}
	}
	return nil
}

func (n *fakeNetwork) List(context.Context) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for id := range n.attached {
		all = append(all, id)
	}
	return all, nil
}

func (n *fakeNetwork) Check(context.Context) error { return nil }

// fakeImages has the images "desktop", "terminal", "rotten" and "gone-later".
type fakeImages struct{}

var imageList = []vitrine.Image{
	{Ref: "desktop", Digest: "sha256:d", RootFS: "/d", Manifest: vitrine.Manifest{Kind: vitrine.KindDesktop, MinMemoryMB: 512}},
	{Ref: "terminal", Digest: "sha256:t", RootFS: "/t", Manifest: vitrine.Manifest{Kind: vitrine.KindTerminal, MinMemoryMB: 64}},
	{Ref: "rotten", Digest: "sha256:r", RootFS: "/r"},
}

func (fakeImages) Resolve(_ context.Context, ref string) (vitrine.Image, error) {
	for _, img := range imageList {
		if img.Ref == ref || img.Digest == ref {
			return img, nil
		}
	}
	return vitrine.Image{}, vitrine.NewFailure(vitrine.FailImageMissing, nil, "there is no image %s", ref)
}

func (fakeImages) Verify(_ context.Context, img vitrine.Image) error {
	if img.Ref == "rotten" {
		return vitrine.NewFailure(vitrine.FailImageCorrupt, []string{"usr/bin/chromium"}, "usr/bin/chromium differs")
	}
	return nil
}

func (fakeImages) List(context.Context) ([]vitrine.Image, error) { return imageList, nil }

// fakeAgent speaks for a machine. Its start takes 200 ms a step.
type fakeAgent struct {
	vitrine.Agent
	host *host
	id   string
}

const stepTime = 200 * time.Millisecond

func (a *fakeAgent) Health(ctx context.Context) (vitrine.AgentHealth, error) {
	a.host.mu.Lock()
	m := a.host.machines[a.id]
	var fault string
	running := m != nil && m.state == vitrine.MachineRunning
	var custom func(*vitrine.AgentHealth) error
	var up time.Duration
	if running {
		fault, custom, up = m.fault, m.health, time.Since(m.since)
	}
	a.host.mu.Unlock()
	refused := vitrine.Errorf(vitrine.ClassUnavailable, "no_agent", "nobody listens")
	if !running || up < stepTime || fault == "agent-silent" || fault == "oom-panic" {
		return vitrine.AgentHealth{}, refused
	}
	if fault == "agent-hangs" {
		return vitrine.AgentHealth{}, a.host.hang(ctx, "")
	}
	if fault == "stalls" && up > 2*stepTime && up < 20*stepTime {
		return vitrine.AgentHealth{}, vitrine.Errorf(vitrine.ClassTimeout, "agent_timeout", "the machine's agent did not answer /health in time")
	}
	h := vitrine.AgentHealth{Version: "1", Network: vitrine.AgentNetwork{Address: "192.168.100.2", Route: true}}
	h.Memory = vitrine.AgentMemory{TotalBytes: 1 << 30, AvailableBytes: 1 << 29, SomeAvg10: -1, FullAvg10: -1}
	steps := []vitrine.AgentStep{vitrine.AgentStepAgent, vitrine.AgentStepDisplay, vitrine.AgentStepBrowser, vitrine.AgentStepReady}
	last := len(steps) - 1
	switch fault {
	case "display":
		last = 0
		h.Problem = &vitrine.AgentProblem{Program: "xvnc", Message: "exit status 1", Log: []string{"no fonts"}}
	case "display-late":
		last = 0
	case "browser":
		last = 1
		if up > 3*stepTime {
			h.Problem = &vitrine.AgentProblem{Program: "chromium", Message: "exit status 127"}
		}
	case "never-paints", "mute":
		last = 2
		h.Programs = []vitrine.AgentProgram{{Name: "chromium", Running: true}}
	case "thrash":
		last = 2
		h.Memory.FullAvg10, h.Memory.SomeAvg10 = 80, 95
	case "offline":
		h.Network = vitrine.AgentNetwork{}
	case "version":
		h.Version = "0"
	}
	h.Step = steps[min(last, int(up/stepTime)-1)]
	if custom != nil {
		return h, custom(&h)
	}
	return h, nil
}

func (a *fakeAgent) Screenshot(ctx context.Context) ([]byte, error) {
	a.host.mu.Lock()
	m := a.host.machines[a.id]
	running := m != nil && m.state == vitrine.MachineRunning
	a.host.mu.Unlock()
	if !running {
		return nil, notThere(a.id)
	}
	if m.fault == "mute" {
		return nil, a.host.hang(ctx, "deaf")
	}
	return []byte("picture of " + a.id), nil
}

func (a *fakeAgent) Resize(_ context.Context, v vitrine.Viewport) error {
	a.host.mu.Lock()
	defer a.host.mu.Unlock()
	if m := a.host.machines[a.id]; m != nil {
		m.resize = v
	}
	return nil
}
