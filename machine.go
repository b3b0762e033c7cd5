package vitrine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// Isolation is what stands between a machine and the host. Stronger is greater.
type Isolation string

// The isolations, weakest first (Rank).
const (
	IsolationNone       Isolation = "none"
	IsolationContainer  Isolation = "container"
	IsolationGVisor     Isolation = "gvisor"
	IsolationEmulatedVM Isolation = "emulated-vm"
	IsolationMicroVM    Isolation = "microvm"
)

// Rank orders isolations by strength; 0 for an unknown one.
func (i Isolation) Rank() int {
	switch i {
	case IsolationNone:
		return 1
	case IsolationContainer:
		return 2
	case IsolationGVisor:
		return 3
	case IsolationEmulatedVM:
		return 4
	case IsolationMicroVM:
		return 5
	}
	return 0
}

// OwnKernel says whether the machine has a kernel of its own: its agent then
// sets its address, and its console may tell of a panic.
func (i Isolation) OwnKernel() bool { return i == IsolationEmulatedVM || i == IsolationMicroVM }

// MachineSpec is all a runtime needs to make a machine. It is complete: a
// runtime looks nothing up.
type MachineSpec struct {
	ID          string // mch_…; everything made for the machine is named after it
	SessionID   string
	Slot        int // 1..253, unique among live machines; the uid range derives from it
	Kind        Kind
	RootFS      string // the image's root directory on the host; read-only, shared by machines
	ImageDigest string
	VCPU        int
	MemoryBytes int64 // the hard limit of everything in the machine
	MaxPIDs     int
	Net         Attachment

	// AgentConfig is agentproto.Config as JSON; it holds the machine's secret.
	// The runtime places it at /run/vitrine/config.json, mode 0600, owned by the
	// machine's root.
	AgentConfig []byte
}

// MachineState is what a runtime sees of a machine.
type MachineState string

// The machine states.
const (
	MachineCreated MachineState = "created" // made, not started
	MachineRunning MachineState = "running"
	MachineExited  MachineState = "exited" // ran and left; not yet deleted
)

// MachineStatus is a runtime's answer to Inspect. ExitCode and OOMKilled are
// meaningful only when exited; OOMKilled means that the machine's own memory
// limit killed a process in it (also reported while running).
type MachineStatus struct {
	ID        string
	State     MachineState
	PID       int // of the machine's outermost process on the host; 0 when not running
	StartedAt time.Time
	ExitedAt  time.Time
	ExitCode  int
	OOMKills  int // processes killed for want of memory so far
	Memory    MemoryUse
}

// MemoryUse is a machine's memory as the host's limit sees it, in bytes.
type MemoryUse struct {
	Current int64
	Limit   int64
}

// AgentPort is the port that Dial takes for the agent. It is a vsock port where
// the runtime has vsock, a name for the agent's socket elsewhere.
const AgentPort = 1024

// Runtime runs machines. Every call may be made from any goroutine and at any
// time, is idempotent, and bounds its own time by ctx. Calls on one machine are
// serialised by the runtime itself.
//
// A machine outlives the process that made it: a new Runtime over the same
// directory Lists, Inspects, Dials, Stops and Deletes machines of an earlier
// one.
type Runtime interface {
	// Name is "container", "gvisor", "process", …; stable, part of the API.
	Name() string
	// Isolation is what the runtime really gives.
	Isolation() Isolation
	// Probe says whether the runtime works on this host by running something
	// real, and why not if it does not. It takes at most a few seconds.
	Probe(ctx context.Context) Probe
	// Create makes what a machine needs and starts nothing. A second Create of
	// the same id is a no-op. On error nothing is left.
	Create(ctx context.Context, spec MachineSpec) error
	// Start runs a created machine. Starting a running one is a no-op; starting
	// one that exited is ErrMachineExited.
	Start(ctx context.Context, id string) error
	// Stop asks the machine to end, and kills it after grace. Stopping one that
	// does not run, or does not exist, is a no-op.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Delete kills the machine if it runs and removes everything that belongs
	// to it on the host (processes, mounts, cgroup, directory), but not its
	// network attachment, which is the Network's. Deleting what does not exist
	// is a no-op. When it returns nil, nothing is left.
	Delete(ctx context.Context, id string) error
	// Inspect sees one machine; a NotFound error when there is none.
	Inspect(ctx context.Context, id string) (MachineStatus, error)
	// List sees every machine of this runtime on the host, also half-made ones.
	List(ctx context.Context) ([]MachineStatus, error)
	// Dial opens a stream to a port of the machine's agent. It fails at once
	// (with a ClassUnavailable error) when nothing listens yet.
	Dial(ctx context.Context, id string, port uint32) (net.Conn, error)
	// Console reads what the machine has printed so far: the last bytes, at
	// most a mebibyte. It works after the machine exited, until Delete.
	Console(ctx context.Context, id string) (io.ReadCloser, error)
}

// ErrMachineExited is Start's answer for a machine that ran and left.
var ErrMachineExited = errors.New("the machine has exited")

// Watcher is a Runtime that tells when a machine exits without being polled.
type Watcher interface {
	// Wait blocks until the machine is not running, then gives its status.
	Wait(ctx context.Context, id string) (MachineStatus, error)
}

// Overheader is a Runtime whose machines take more of the host than their own
// memory.
type Overheader interface {
	// Overhead is what the host's limit of a machine allows beyond the memory the
	// machine is given, both in bytes.
	Overhead(memory int64) int64
}

// Pauser is a Runtime that can freeze machines.
type Pauser interface {
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
}

// Snapshotter is a Runtime that can write a running machine to a directory, and
// make new machines of it. Snapshots stay on the host that made them.
type Snapshotter interface {
	// Snapshot writes the machine's memory, state and disk to dir, an absolute path
	// that does not exist yet; on error it does not exist after. The machine stands
	// still meanwhile (a copy of its memory long) and then goes on. What dir holds
	// is as secret as the machine was; its mode is 0700.
	Snapshot(ctx context.Context, id, dir string) error
	// Restore creates and starts the machine of spec from what Snapshot wrote:
	// Create and Start in one. It has the snapshot's memory and vCPU, which spec must
	// ask for, and its image, and it is a new machine: when Restore returns it has
	// its own name, address, secret, time and random numbers. Until then it reaches
	// nobody; if it cannot be made so it is killed. dir must stay until the machine
	// is deleted.
	Restore(ctx context.Context, spec MachineSpec, dir string) error
}

// Probe is what a runtime found out about itself on this host.
type Probe struct {
	OK      bool
	Reason  string        // why not, or what was seen ("runsc 20260905 ran true in 180 ms")
	Remedy  string        // what to type when not OK
	Code    FailureCode   // which failure that is; "": FailRuntimeMissing
	Took    time.Duration // how long the probe's machine took
	Version string
}

// ProbePending is the Reason of a probe that has not ended yet.
const ProbePending = "not probed yet"

// Attachment is a machine's place on the network, made by a Network.
type Attachment struct {
	NetNS   string       // path of the network namespace, e.g. /run/netns/vt-…; "" for none
	Device  string       // the interface's name inside it, e.g. eth0
	Address netip.Prefix // e.g. 192.168.100.7/24
	Gateway netip.Addr
	MAC     string
	DNS     []netip.Addr
}

// Network places machines on the host's bridge and takes them off. All calls
// are idempotent and safe from any goroutine.
type Network interface {
	// Attach makes the machine's namespace, pair, port, address and firewall
	// elements; the bridge and rules too when it is the first. On error nothing
	// of this machine is left.
	Attach(ctx context.Context, machineID string, slot int, addr netip.Addr) (Attachment, error)
	// Detach removes them all; the bridge and rules too when it was the last.
	Detach(ctx context.Context, machineID string) error
	// List gives the ids of all attached machines, also half-made ones.
	List(ctx context.Context) ([]string, error)
	// Check says whether attachments can be made here, changing nothing.
	Check(ctx context.Context) error
}
