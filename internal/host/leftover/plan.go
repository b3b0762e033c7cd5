package leftover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Plan lists what belongs to no live session, with what to do about each, in
// the order in which to do it.
func Plan(f Facts, r Rules) []vitrine.Leftover {
	p := planner{f: f, r: r, owner: map[string]*vitrine.Session{}}
	for i := range f.Sessions {
		p.owner[f.Sessions[i].MachineID] = &f.Sessions[i]
	}
	byMachine := map[string][]vitrine.Thing{}
	var ids []string
	var instance []vitrine.Thing
	for _, t := range f.Things {
		if t.Machine == "" {
			instance = append(instance, t)
			continue
		}
		if byMachine[t.Machine] == nil {
			ids = append(ids, t.Machine)
		}
		byMachine[t.Machine] = append(byMachine[t.Machine], t)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p.machine(id, byMachine[id])
	}
	for i := range f.Sessions {
		p.reservation(&f.Sessions[i], len(byMachine[f.Sessions[i].MachineID]) > 0)
	}
	p.instance(instance, byMachine)
	slices.SortStableFunc(p.out, func(a, b vitrine.Leftover) int { return cmp.Compare(order[a.Deed], order[b.Deed]) })
	return p.within(p.out)
}

type planner struct {
	f     Facts
	r     Rules
	owner map[string]*vitrine.Session
	out   []vitrine.Leftover
}

// verdict is what follows for the things of one machine.
type verdict struct {
	mine  bool   // a live session's: nothing is left over
	why   string // why they are nobody's
	keep  string // why nothing is done now
	young bool   // they may be in the making
}

// judge says whose the things of a machine are.
func (p *planner) judge(id string, things []vitrine.Thing) verdict {
	for _, t := range things {
		if t.Foreign != "" {
			return verdict{why: "it stands in this instance's place", keep: "not touched: " + t.Foreign}
		}
	}
	if p.f.Unreadable != "" {
		return verdict{why: "whose it is cannot be told", keep: "the sessions cannot be read: " + p.f.Unreadable}
	}
	if s := p.owner[id]; s != nil {
		return p.owned(s)
	}
	if ses := p.f.Released[id]; ses != "" {
		return verdict{why: "session " + ses + " is over and gave everything back"}
	}
	v := verdict{why: "no session has this machine"}
	if slices.ContainsFunc(things, func(t vitrine.Thing) bool { return t.OldBoot }) {
		v.why += "; it is of an earlier boot"
		return v
	}
	v.keep = p.young(things)
	v.young = v.keep != ""
	// A daemon probes its runtimes when it starts, and ends its probes itself.
	probe := slices.ContainsFunc(things, func(t vitrine.Thing) bool { return t.Detail == DetailProbe })
	v.mine = v.young && probe && p.f.Daemon
	return v
}

// owned judges the things of a session that is not released.
func (p *planner) owned(s *vitrine.Session) verdict {
	ending := s.State.Over() || s.State == vitrine.StateStopping
	if !ending {
		return verdict{mine: true}
	}
	since := p.f.Now.Sub(s.UpdatedAt)
	if since < p.r.AgeGuard {
		return verdict{mine: true} // it is being torn down
	}
	v := verdict{why: fmt.Sprintf("session %s is %s for %s and its machine is still there", s.ID, s.State, roughly(since))}
	if p.f.Daemon {
		v.keep = "the daemon tries again by itself; its log says what stands in the way"
	}
	return v
}

// young says that something may be in the making, "" when nothing is.
func (p *planner) young(things []vitrine.Thing) string {
	for _, t := range things {
		if t.Since.IsZero() {
			continue
		}
		switch age := p.f.Now.Sub(t.Since); {
		case age < 0 && p.r.AgeGuard > 0:
			return fmt.Sprintf("it is dated %s ahead of the clock: it may be in the making", roughly(-age))
		case age < p.r.AgeGuard:
			return fmt.Sprintf("it is %s old and may be in the making; anything older than %s is removed", roughly(age), roughly(p.r.AgeGuard))
		}
	}
	return ""
}

func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// machine plans for all that is named after one machine.
func (p *planner) machine(id string, things []vitrine.Thing) {
	v := p.judge(id, things)
	if v.mine {
		return
	}
	hasDir := slices.ContainsFunc(things, func(t vitrine.Thing) bool { return t.Kind == vitrine.ThingMachine })
	session := p.f.Released[id]
	if s := p.owner[id]; s != nil {
		session = s.ID
	}
	groups := map[vitrine.Deed][]vitrine.Thing{}
	var deeds []vitrine.Deed
	for _, t := range things {
		d := deedFor(t, hasDir)
		if groups[d] == nil {
			deeds = append(deeds, d)
		}
		groups[d] = append(groups[d], t)
	}
	for _, d := range deeds {
		l := vitrine.Leftover{Things: groups[d], Machine: id, Session: session, Why: v.why, Deed: d, Keep: v.keep, Young: v.young}
		if v.keep != "" {
			l.Deed = vitrine.DeedNone
		}
		p.out = append(p.out, l)
	}
}

// deedFor is what removes a machine's thing. A machine that has a directory is
// deleted by its runtime, which ends what runs in its cgroup.
func deedFor(t vitrine.Thing, hasDir bool) vitrine.Deed {
	switch t.Kind {
	case vitrine.ThingMachine:
		return vitrine.DeedDeleteMachine
	case vitrine.ThingProbe:
		return vitrine.DeedRemoveDir
	case vitrine.ThingCgroup:
		if hasDir {
			return vitrine.DeedDeleteMachine
		}
		return vitrine.DeedRemoveCgroup
	case vitrine.ThingProcess:
		if hasDir && t.Detail == DetailSupervisor {
			return vitrine.DeedDeleteMachine
		}
		return vitrine.DeedKill
	case vitrine.ThingMount:
		return vitrine.DeedUnmount
	case vitrine.ThingLoop:
		return vitrine.DeedFreeLoop
	case vitrine.ThingNetNS, vitrine.ThingPort:
		return vitrine.DeedDetach
	case vitrine.ThingTicket:
		return vitrine.DeedRevoke
	}
	return vitrine.DeedNone
}

// What is said of things that are judged by it: DetailSupervisor of a
// supervisor's process, where that of any other is its program, and DetailProbe
// of the directory of a machine that was made for no session.
const (
	DetailSupervisor = "supervisor"
	DetailProbe      = "a runtime's probe"
)

// reservation plans for a session that is over, holds memory and an address, and
// has nothing on the host: nobody would notice, but for the room it takes.
func (p *planner) reservation(s *vitrine.Session, onHost bool) {
	if onHost && p.f.Daemon || !s.State.Over() || p.f.Unreadable != "" {
		return
	}
	since := p.f.Now.Sub(s.UpdatedAt)
	if since < p.r.AgeGuard {
		return
	}
	l := vitrine.Leftover{
		Things: []vitrine.Thing{{
			Kind: vitrine.ThingReservation, Name: s.ID, Machine: s.MachineID, Since: s.UpdatedAt,
			Detail: fmt.Sprintf("%d MiB, %d vCPU, slot %d, address %s", s.MemoryMB, s.VCPU, s.Slot, address(s)),
		}},
		Machine: s.MachineID, Session: s.ID, Deed: vitrine.DeedRelease,
		Why: fmt.Sprintf("session %s is %s for %s and still holds its reservation", s.ID, s.State, roughly(since)),
	}
	if p.f.Daemon {
		l.Deed, l.Keep = vitrine.DeedNone, "the daemon gives it back by itself; its log says what stands in the way"
	}
	p.out = append(p.out, l)
}

func address(s *vitrine.Session) string {
	if !s.Address.IsValid() {
		return "none"
	}
	return s.Address.String()
}

// within holds a plan to the budget.
func (p *planner) within(list []vitrine.Leftover) []vitrine.Leftover {
	spent := 0
	for i := range list {
		if !Destructive(list[i].Deed) {
			continue
		}
		if spent++; p.r.Budget > 0 && spent > p.r.Budget {
			list[i].Deed, list[i].Keep = vitrine.DeedNone, fmt.Sprintf("over the budget of %d deeds a run: the next run goes on", p.r.Budget)
		}
	}
	return list
}
