package leftover

import (
	"slices"

	"github.com/vitrine-dev/vitrine"
)

// instance plans for what is not one machine's: bridge, rules, forwarding, the
// supervisors' cgroup, builds, sockets.
func (p *planner) instance(things []vitrine.Thing, byMachine map[string][]vitrine.Thing) {
	// The network is in use while any machine is attached, whosever it is: the
	// last one to go takes it along.
	attached := false
	running := false
	for _, list := range byMachine {
		for _, t := range list {
			switch t.Kind {
			case vitrine.ThingNetNS, vitrine.ThingPort:
				attached = true
			case vitrine.ThingProcess, vitrine.ThingMachine:
				running = true
			}
		}
	}
	var network []vitrine.Thing
	for _, t := range things {
		switch t.Kind {
		case vitrine.ThingBridge, vitrine.ThingRules, vitrine.ThingForwarding:
			if !attached || t.Foreign != "" {
				network = append(network, t)
			}
		case vitrine.ThingElement:
			p.single(t, vitrine.DeedMendRules, "no such port is there", !attached)
		case vitrine.ThingPort:
			p.single(t, vitrine.DeedRemoveLink, "it is of no machine", false)
		case vitrine.ThingCgroup:
			p.single(t, vitrine.DeedRemoveCgroup, "no machine runs", running)
		case vitrine.ThingProcess:
			p.single(t, vitrine.DeedKill, "it is of no machine", false)
		case vitrine.ThingProbe:
			p.single(t, vitrine.DeedRemoveDir, "the doctor that made it is gone", false)
		case vitrine.ThingBuild:
			p.single(t, vitrine.DeedRemoveDir, "no build is running", false)
		case vitrine.ThingSocket:
			p.single(t, vitrine.DeedRemoveSocket, "no daemon is running", false)
		case vitrine.ThingTicket:
			p.single(t, vitrine.DeedRevoke, "its session gave everything back", false)
		case vitrine.ThingMount:
			p.single(t, vitrine.DeedUnmount, "it is of no machine", false)
		case vitrine.ThingLoop:
			p.single(t, vitrine.DeedFreeLoop, "it is of no machine", false)
		}
	}
	p.network(network)
}

// single plans for one thing of the instance, unless it is in use.
func (p *planner) single(t vitrine.Thing, d vitrine.Deed, why string, inUse bool) {
	if inUse {
		return
	}
	l := vitrine.Leftover{Things: []vitrine.Thing{t}, Why: why, Deed: d}
	switch young := p.young(l.Things); {
	case t.Foreign != "":
		l.Keep = "not touched: " + t.Foreign
	case young != "" && !t.OldBoot:
		l.Keep, l.Young = young, true
	}
	if l.Keep != "" {
		l.Deed = vitrine.DeedNone
	}
	p.out = append(p.out, l)
}

// network plans for bridge, rules and forwarding, which go together.
func (p *planner) network(things []vitrine.Thing) {
	foreign := slices.DeleteFunc(slices.Clone(things), func(t vitrine.Thing) bool { return t.Foreign == "" })
	for _, t := range foreign {
		p.single(t, vitrine.DeedNone, "it stands in this instance's place", false)
	}
	ours := slices.DeleteFunc(slices.Clone(things), func(t vitrine.Thing) bool { return t.Foreign != "" })
	if len(ours) == 0 {
		return
	}
	l := vitrine.Leftover{Things: ours, Why: "no machine is attached", Deed: vitrine.DeedRemoveBridge}
	l.Keep = p.young(ours)
	if l.Young = l.Keep != ""; !l.Young && slices.Contains(p.f.Blind, BlindNetwork) {
		l.Keep = "not all machines' interfaces could be seen"
	}
	if l.Keep != "" {
		l.Deed = vitrine.DeedNone
	}
	p.out = append(p.out, l)
}

// BlindNetwork is how Blind says that the namespaces or interfaces could not be
// listed.
const BlindNetwork = "network"
