package leftover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	m1 = "mch_01jdc000000000000000000001"
	m2 = "mch_01jdc000000000000000000002"
)

func thing(kind vitrine.ThingKind, name, machine string, change ...func(*vitrine.Thing)) vitrine.Thing {
	t := vitrine.Thing{Kind: kind, Name: name, Machine: machine, Since: now.Add(-time.Hour)}
	if machine == "" {
		t.Since = time.Time{}
	}
	if kind == vitrine.ThingMachine {
		t.Runtime = "gvisor"
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func young(t *vitrine.Thing)   { t.Since = now.Add(-10 * time.Second) }
func ahead(t *vitrine.Thing)   { t.Since = now.Add(time.Hour) }
func oldBoot(t *vitrine.Thing) { t.OldBoot = true; t.Since = now.Add(-10 * time.Second) }
func foreign(t *vitrine.Thing) { t.Foreign = "somebody else's" }
func detail(d string) func(*vitrine.Thing) {
	return func(t *vitrine.Thing) { t.Detail = d }
}

// all is a whole machine.
func all(id string) []vitrine.Thing {
	return []vitrine.Thing{
		thing(vitrine.ThingMachine, "/d/machines/gvisor/"+id, id), thing(vitrine.ThingCgroup, "/vitrine/"+id, id),
		thing(vitrine.ThingProcess, "77", id, detail(DetailSupervisor)),
		thing(vitrine.ThingNetNS, "/run/netns/vt-fcbr0-"+id, id), thing(vitrine.ThingPort, "vt123", id),
	}
}

var network = []vitrine.Thing{
	thing(vitrine.ThingBridge, "fcbr0", ""), thing(vitrine.ThingRules, "bridge vitrine_fcbr0", ""),
	thing(vitrine.ThingRules, "inet vitrine_fcbr0", ""), thing(vitrine.ThingForwarding, "/run/vitrine/network-forwarding.json", ""),
}

func session(state vitrine.State, age time.Duration) vitrine.Session {
	return vitrine.Session{ID: "ses_1", MachineID: m1, State: state, MemoryMB: 2048, VCPU: 2, Slot: 3, UpdatedAt: now.Add(-age)}
}

// show is a plan in lines: the deed or "keep", and its things.
func show(list []vitrine.Leftover) string {
	var b strings.Builder
	for _, l := range list {
		deed := string(l.Deed)
		if l.Deed == vitrine.DeedNone {
			deed = "keep"
		}
		fmt.Fprintf(&b, "%s:", deed)
		for _, t := range l.Things {
			fmt.Fprintf(&b, " %s", t.Kind)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	cases := []struct {
		name  string
		facts Facts
		want  string
		says  string // somewhere in Why or Keep
	}{
		{name: "a clean host", facts: Facts{}},
		{name: "a session lives", facts: Facts{Things: append(all(m1), network...), Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}}},
		{name: "a session starts", facts: Facts{Things: all(m1), Sessions: []vitrine.Session{session(vitrine.StateStarting, time.Second)}}},
		{name: "a session is being torn down", facts: Facts{Things: all(m1), Sessions: []vitrine.Session{session(vitrine.StateFailed, time.Second)}, Daemon: true}},
		{
			name:  "a zombie directory with all that belongs to it",
			facts: Facts{Things: append(all(m1), network...)},
			want:  "delete the machine: machine cgroup process\ntake the machine off the network: netns port\n", says: "no session has this machine",
		},
		{
			name:  "beside a machine that lives",
			facts: Facts{Things: append(append(all(m1), all(m2)...), network...), Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}},
			want:  "delete the machine: machine cgroup process\ntake the machine off the network: netns port\n",
		},
		{
			name:  "something in the making",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, young), thing(vitrine.ThingNetNS, "y", m1, young)}},
			want:  "keep: machine\nkeep: netns\n", says: "10s old and may be in the making",
		},
		{
			name:  "the journal knows that its session is over, however young it is",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, young)}, Released: map[string]string{m1: "ses_9"}},
			want:  "delete the machine: machine\n", says: "ses_9 is over",
		},
		{
			name:  "of an earlier boot, however young it is",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, oldBoot)}},
			want:  "delete the machine: machine\n", says: "earlier boot",
		},
		{
			name:  "the daemon probes a runtime",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, young, detail(DetailProbe)), thing(vitrine.ThingCgroup, "y", m1, young)}, Daemon: true},
		},
		{
			name:  "the daemon was killed in its probes",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, young, detail(DetailProbe))}},
			want:  "keep: machine\n",
		},
		{
			name:  "an earlier daemon was killed in its probes",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, detail(DetailProbe))}, Daemon: true},
			want:  "delete the machine: machine\n",
		},
		{
			name:  "the clock was set back",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingMachine, "x", m1, ahead)}},
			want:  "keep: machine\n", says: "ahead of the clock",
		},
		{
			name:  "the database cannot be read",
			facts: Facts{Things: all(m1), Unreadable: "it is damaged"},
			want:  "keep: machine cgroup process\nkeep: netns port\n", says: "it is damaged",
		},
		{
			name:  "another data directory's machine in our cgroup",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingCgroup, "/vitrine/"+m1, m1, foreign), thing(vitrine.ThingNetNS, "n", m1)}},
			want:  "keep: cgroup\nkeep: netns\n", says: "not touched: somebody else's",
		},
		{
			name:  "a cgroup whose directory has gone",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingCgroup, "/vitrine/"+m1, m1)}},
			want:  "kill what is in the cgroup and remove it: cgroup\n",
		},
		{
			name: "a supervisor, a VMM, a mount and a loop device whose directory has gone",
			facts: Facts{Things: []vitrine.Thing{
				thing(vitrine.ThingLoop, "/dev/loop0", m1), thing(vitrine.ThingMount, "/mnt", m1),
				thing(vitrine.ThingProcess, "7", m1, detail(DetailSupervisor)), thing(vitrine.ThingProcess, "8", m1, detail("qemu-system-x86_64")),
			}},
			want: "kill the process: process process\nunmount it: mount\nfree the loop device: loop\n",
		},
		{
			name:  "the supervisors' cgroup, when no machine is there",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingCgroup, "/vitrine/supervisors", "")}},
			want:  "kill what is in the cgroup and remove it: cgroup\n",
		},
		{
			name:  "the supervisors' cgroup, beside a machine",
			facts: Facts{Things: append(all(m1), thing(vitrine.ThingCgroup, "/vitrine/supervisors", "")), Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}},
		},
		{
			name:  "a bridge with no member",
			facts: Facts{Things: network},
			want:  "remove bridge, firewall rules and forwarding: bridge rules rules forwarding\n", says: "no machine is attached",
		},
		{
			name:  "a bridge with no member, and the interfaces could not be listed",
			facts: Facts{Things: network, Blind: []string{BlindNetwork}},
			want:  "keep: bridge rules rules forwarding\n",
		},
		{
			name:  "an interface of somebody else's that has our bridge's name",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingBridge, "fcbr0", "", foreign)}},
			want:  "keep: bridge\n", says: "somebody else's",
		},
		{
			name:  "an interface of somebody else's in our bridge",
			facts: Facts{Things: append(append(all(m1), network...), thing(vitrine.ThingPort, "eth7", "", foreign)), Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}},
			want:  "keep: port\n",
		},
		{
			name:  "a port that was never named",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingPort, "vt1230000000000", "")}},
			want:  "remove the interface: port\n",
		},
		{
			name:  "the firewall lets a port in that has gone",
			facts: Facts{Things: append(append(all(m1), network...), thing(vitrine.ThingElement, "vt9", "")), Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}},
			want:  "write the firewall rules anew: element\n",
		},
		{
			name:  "a killed build, a killed doctor, a killed daemon's socket, a ticket",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingSocket, "s", ""), thing(vitrine.ThingTicket, "tkt_1", ""), thing(vitrine.ThingBuild, "b", ""), thing(vitrine.ThingProbe, "p", "")}},
			want:  "remove the directory: build\nremove the directory: probe\nremove the socket: socket\nrevoke the ticket: ticket\n",
		},
		{
			name:  "a build that was killed just now",
			facts: Facts{Things: []vitrine.Thing{thing(vitrine.ThingBuild, "b", "", young)}},
			want:  "keep: build\n",
		},
		{
			name:  "memory is held for a session that is over, and no daemon is there",
			facts: Facts{Sessions: []vitrine.Session{session(vitrine.StateFailed, time.Hour)}},
			want:  "give the reservation back: reservation\n", says: "2048 MiB, 2 vCPU, slot 3",
		},
		{
			name:  "memory is held for a session that is over, and the daemon fails at it",
			facts: Facts{Sessions: []vitrine.Session{session(vitrine.StateFailed, time.Hour)}, Daemon: true},
			want:  "keep: reservation\n", says: "its log says",
		},
		{
			name:  "a teardown that does not work",
			facts: Facts{Things: all(m1), Sessions: []vitrine.Session{session(vitrine.StateStopping, time.Hour)}, Daemon: true},
			want:  "keep: machine cgroup process\nkeep: netns port\n", says: "ses_1 is stopping for 1h",
		},
		{
			name:  "a teardown that the daemon was killed in",
			facts: Facts{Things: all(m1), Sessions: []vitrine.Session{session(vitrine.StateEnded, time.Hour)}},
			want:  "delete the machine: machine cgroup process\ntake the machine off the network: netns port\ngive the reservation back: reservation\n",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Now = now
			got := Plan(c.facts, Rules{AgeGuard: time.Minute, Budget: 100})
			if show(got) != c.want {
				t.Errorf("planned\n%swant\n%s", show(got), c.want)
			}
			said := ""
			for _, l := range got {
				said += l.Why + "; " + l.Keep + "; "
				for _, t := range l.Things {
					said += t.Detail + "; "
				}
				if (l.Deed == vitrine.DeedNone) != (l.Keep != "") {
					t.Errorf("deed %q and keep %q", l.Deed, l.Keep)
				}
				if l.Why == "" {
					t.Errorf("no reason: %+v", l)
				}
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it says %q, want %q", said, c.says)
			}
		})
	}
}

// An empty database put in place of the right one must not clear the host.
func TestAMistakeDoesNotClearTheHostInOneGo(t *testing.T) {
	f := Facts{Now: now}
	for i := range 100 {
		f.Things = append(f.Things, all(fmt.Sprintf("mch_%026d", i))...)
	}
	got := Plan(f, Rules{AgeGuard: time.Minute, Budget: DefaultBudget})
	done, kept := 0, 0
	for _, l := range got {
		switch {
		case Destructive(l.Deed):
			done++
		case strings.Contains(l.Keep, "budget"):
			kept++
		}
	}
	if done != DefaultBudget || kept != 200-DefaultBudget {
		t.Errorf("%d deeds and %d kept for the next run", done, kept)
	}
}

// Whatever is on the host: what a live session has, what is foreign, and what is
// anybody's while the sessions cannot be read, is never planned for.
func FuzzPlanNeverTouchesWhatLives(f *testing.F) {
	kinds := []vitrine.ThingKind{
		vitrine.ThingMachine, vitrine.ThingProcess, vitrine.ThingCgroup, vitrine.ThingNetNS, vitrine.ThingPort, vitrine.ThingLoop,
		vitrine.ThingMount, vitrine.ThingBridge, vitrine.ThingRules, vitrine.ThingElement, vitrine.ThingBuild, vitrine.ThingTicket,
	}
	f.Add([]byte{0, 1, 2, 3, 40, 77, 255}, false)
	f.Add([]byte("every kind of thing there is, and then some"), true)
	f.Fuzz(func(t *testing.T, bytes []byte, unreadable bool) {
		facts := Facts{Now: now, Sessions: []vitrine.Session{session(vitrine.StateReady, time.Hour)}}
		if unreadable {
			facts.Unreadable, facts.Sessions = "torn", nil
		}
		for i, b := range bytes[:min(len(bytes), 200)] {
			id := []string{m1, m2, ""}[int(b)%3]
			th := thing(kinds[int(b/3)%len(kinds)], fmt.Sprint(i), id)
			if b >= 200 {
				th.Foreign = "not ours"
			}
			facts.Things = append(facts.Things, th)
		}
		for _, l := range Plan(facts, Rules{AgeGuard: time.Minute, Budget: 5}) {
			if l.Deed == vitrine.DeedNone {
				continue
			}
			for _, th := range l.Things {
				if th.Machine == m1 || th.Foreign != "" || unreadable && th.Machine != "" {
					t.Fatalf("%s of %+v", l.Deed, th)
				}
			}
		}
	})
}
