package vitrine

import (
	"context"
	"time"
)

// ThingKind is a kind of thing that Vitrine makes on a host, or keeps in its
// store, for machines. The table in docs/data-directory.md says how each is
// named before it is made.
type ThingKind string

// The kinds.
const (
	ThingMachine     ThingKind = "machine"     // a machine's directory
	ThingProbe       ThingKind = "probe"       // the directory of a doctor that was killed
	ThingProcess     ThingKind = "process"     // a supervisor, OCI runtime or VMM
	ThingCgroup      ThingKind = "cgroup"      // of a machine, or of all supervisors
	ThingNetNS       ThingKind = "netns"       // a name below /run/netns
	ThingPort        ThingKind = "port"        // a machine's interface on the bridge
	ThingBridge      ThingKind = "bridge"      // the bridge
	ThingRules       ThingKind = "rules"       // an nftables table
	ThingElement     ThingKind = "element"     // what the tables still allow a port that has gone
	ThingForwarding  ThingKind = "forwarding"  // the note of interfaces that were switched to forwarding
	ThingLoop        ThingKind = "loop"        // a loop device over a machine's disk
	ThingMount       ThingKind = "mount"       // a mount in the host's own mount table
	ThingSocket      ThingKind = "socket"      // the admin socket of a daemon that was killed
	ThingBuild       ThingKind = "build"       // a killed image build's directory
	ThingReservation ThingKind = "reservation" // memory, vCPU, slot and address in the store
	ThingTicket      ThingKind = "ticket"      // one that still lets in to a session that is gone
)

// Thing is one of them, as it was found. Name is how a person would name it: a
// path, an interface, a process id, an id.
type Thing struct {
	Kind    ThingKind
	Name    string
	Machine string // the machine it is named after; "" for what is the instance's
	Runtime string // of a machine's directory
	Detail  string // what else was seen, in words
	// Since is since when it has been there, as far as can be told; zero: it
	// cannot. OldBoot says that it is of an earlier boot of the host, so that
	// nobody can be at work on it.
	Since   time.Time
	OldBoot bool
	// Foreign says why it is not known to be of this instance, though it stands
	// in its place. What is foreign is told and never touched.
	Foreign string
}

// Deed is what is done about a leftover.
type Deed string

// The deeds, in the order in which they are done.
const (
	DeedNone          Deed = ""
	DeedKill          Deed = "kill the process"
	DeedUnmount       Deed = "unmount it"
	DeedFreeLoop      Deed = "free the loop device"
	DeedDeleteMachine Deed = "delete the machine"
	DeedRemoveCgroup  Deed = "kill what is in the cgroup and remove it"
	DeedRemoveDir     Deed = "remove the directory"
	DeedDetach        Deed = "take the machine off the network"
	DeedRemoveLink    Deed = "remove the interface"
	DeedMendRules     Deed = "write the firewall rules anew"
	DeedRemoveBridge  Deed = "remove bridge, firewall rules and forwarding"
	DeedRemoveSocket  Deed = "remove the socket"
	DeedRelease       Deed = "give the reservation back"
	DeedRevoke        Deed = "revoke the ticket"
)

// Leftover is what belongs to no live session: the things that one deed
// removes, why they belong to nobody, and the deed. With DeedNone, Keep says why
// nothing is done now.
type Leftover struct {
	Things  []Thing
	Machine string
	Session string // whose machine it was, when the store still knows
	Why     string
	Deed    Deed
	Keep    string
	Young   bool // it is kept because it may be in the making
	// Done and Err are set after a collection.
	Done bool
	Err  string
}

// Host sees and removes what Vitrine makes on the host, for one instance.
type Host interface {
	// Things lists them all, half-made ones too, of live machines as well. What
	// could not be looked at is named in blind, in words: nothing that depends
	// on it may be removed.
	Things(ctx context.Context) (things []Thing, blind []string, err error)
	// Remove does a leftover's deed. It looks again at each thing first: what
	// is not any more what was found is left alone. Removing what has gone is
	// no error.
	Remove(ctx context.Context, l Leftover) error
}

// Collection is what a garbage collection did, or in a dry run would do.
type Collection struct {
	Leftovers []Leftover
	Blind     []string // what could not be looked at
	DryRun    bool
}

// Keeper audits the host and clears it up.
type Keeper interface {
	// Audit lists what belongs to no live session. It changes nothing.
	Audit(ctx context.Context) (Collection, error)
	// Collect removes what Audit lists, at most budget deeds; 0: the default.
	Collect(ctx context.Context, dryRun bool, budget int) (Collection, error)
}

// Verdict is how a check of the host ended.
type Verdict string

// The verdicts.
const (
	VerdictPass Verdict = "pass"
	VerdictWarn Verdict = "warn"
	VerdictFail Verdict = "fail"
)

// Finding is one line of doctor's report. Remedy can be typed.
type Finding struct {
	Check  string  `json:"check"`
	Result Verdict `json:"result"`
	Detail string  `json:"detail"`
	Remedy string  `json:"remedy,omitempty"`
}
