package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// slotsWithoutPool is how many machines fit when there is no subnet (machines
// without a network): the number of slots of a /24.
const slotsWithoutPool = 253

// retryAfter is what a caller is told to wait for room: about the time in which
// a person ends a session or an idle one is collected.
const retryAfter = 10 * time.Second

// holding is what one session that is not released holds of the host.
type holding struct {
	id           string
	memory, vcpu int64 // bytes, and processors
	slot         int
}

// resource is one thing of which the host has so much.
type resource struct {
	what              string
	want, held, limit int64 // limit 0: no bound
	unit              int64 // in which it is told
}

// never says that the host could not even hold this session alone.
func (r resource) never() bool { return r.limit > 0 && r.want > r.limit }

func (r resource) full() bool { return r.limit > 0 && r.held+r.want > r.limit }

// tell gives an amount in the unit; what is asked for is rounded up.
func (r resource) tell(n int64) int64 { return (n + r.unit - 1) / r.unit }

// lend gives the session its slot and address if the host has room for it; else
// it gives the refusal and changes nothing. Creates and admissions run one after
// the other (dialect.admission), so that what is free is free until the commit.
func (t *tx) lend(ctx context.Context, limit vitrine.Capacity, pool vitrine.AddressPool, one *vitrine.Session) (refusal *vitrine.Error, err error) {
	held, err := t.holdings(ctx)
	if err != nil {
		return nil, err
	}
	slots := slotsWithoutPool
	if pool.Subnet.IsValid() {
		slots = pool.Slots()
	}
	n := int64(len(held))
	memory := resource{what: "MiB of memory", want: one.ReservedBytes(), limit: int64(limit.MemoryMB) << 20, unit: 1 << 20}
	vcpu := resource{what: "vCPU", want: int64(one.VCPU), limit: int64(limit.VCPU), unit: 1}
	taken := map[int]bool{}
	for _, h := range held {
		memory.held += h.memory
		vcpu.held += h.vcpu
		taken[h.slot] = true
	}
	all := []resource{
		memory, vcpu, {what: "places for sessions", want: 1, held: n, limit: int64(limit.Sessions), unit: 1},
		{what: "addresses", want: 1, held: n, limit: int64(slots), unit: 1},
	}
	for _, r := range all {
		if r.never() {
			return tooMuch(r, one), nil
		}
	}
	for _, r := range all {
		if r.full() {
			return full(r, one, held), nil
		}
	}
	var last int
	var lease int64
	err = t.queryRow(ctx, `SELECT slot, lease FROM sessions WHERE lease > 0 ORDER BY lease DESC LIMIT 1`).Scan(&last, &lease)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	slot := pickSlot(taken, last, slots)
	if slot == 0 { // a subnet smaller than the one that old sessions have their slots of
		return full(all[3], one, held), nil
	}
	if pool.Subnet.IsValid() {
		if one.Address, err = pool.Address(slot); err != nil {
			return nil, err
		}
	}
	one.Slot, t.lease = slot, lease+1
	return nil, nil
}

// holdings lists what is held, the greatest first.
func (t *tx) holdings(ctx context.Context) ([]holding, error) {
	rows, err := t.query(ctx, `SELECT id, memory_mb * 1048576 + overhead_bytes AS memory, vcpu, slot FROM sessions
		WHERE released = 0 AND queue_position = 0 ORDER BY memory DESC, id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var held []holding
	for rows.Next() {
		var h holding
		if err := rows.Scan(&h.id, &h.memory, &h.vcpu, &h.slot); err != nil {
			return nil, err
		}
		held = append(held, h)
	}
	return held, rows.Err()
}

// pickSlot gives the first free slot after the one lent last, going round, so
// that an address rests as long as possible before another machine has it; 0
// when all are taken.
func pickSlot(taken map[int]bool, last, slots int) int {
	for i := range slots {
		if n := (last+i)%slots + 1; !taken[n] {
			return n
		}
	}
	return 0
}

// asked says what a session wants of a resource.
func asked(r resource, one *vitrine.Session) string {
	text := fmt.Sprintf("%d %s asked for", r.tell(r.want), r.what)
	if one.OverheadBytes > 0 && r.unit > 1 {
		text += fmt.Sprintf(" (%d for the machine, %d for what runs it under %s)", one.MemoryMB, r.tell(one.OverheadBytes), one.Runtime)
	}
	return text
}

// toldHolders is how many holders a refusal names.
const toldHolders = 5

// full refuses for want of what others hold, and says what would free it.
func full(r resource, one *vitrine.Session, by []holding) *vitrine.Error {
	var who []string
	for i, h := range by {
		if i == toldHolders {
			who = append(who, fmt.Sprintf("and %d more", len(by)-i))
			break
		}
		who = append(who, fmt.Sprintf("%s (%d MiB, %d vCPU)", h.id, (h.memory+1<<20-1)>>20, h.vcpu))
	}
	msg := fmt.Sprintf("%s, but %d of %d are held", asked(r, one), r.tell(r.held), r.limit/r.unit)
	if len(who) > 0 {
		msg += " by " + strings.Join(who, ", ")
	}
	msg += fmt.Sprintf("; %d more must come free", r.tell(r.held+r.want-r.limit))
	return noCapacity(msg, "end a session (`vitrine session list`, `vitrine session rm ID`), ask for less, or wait for room: queue_seconds (`vitrine session create --queue 5m`)")
}

// tooMuch refuses what no end of a session could make room for.
func tooMuch(r resource, one *vitrine.Session) *vitrine.Error {
	remedy := fmt.Sprintf("ask for at most %d %s", r.limit, r.what)
	if r.unit > 1 {
		remedy = "lower VITRINE_HOST_RESERVE_MB, or use a runtime that takes less itself"
		if most := (r.limit - one.OverheadBytes) / r.unit; most > 0 {
			remedy = fmt.Sprintf("ask for at most %d MiB (memory_mb), or lower VITRINE_HOST_RESERVE_MB", most)
		}
	}
	e := noCapacity(fmt.Sprintf("%s, but this host lends %d in all", asked(r, one), r.limit/r.unit), remedy)
	e.Retryable, e.RetryAfter, e.Failure.Retryable = false, 0, false
	return e
}

func noCapacity(msg, remedy string) *vitrine.Error {
	f := vitrine.NewFailure(vitrine.FailHostNoCapacity, nil, "%s", msg)
	f.Remedy = remedy
	e := f.AsError()
	e.RetryAfter = retryAfter
	return e
}

// Reserved sums what is held by sessions that are not released.
func (s *Store) Reserved(ctx context.Context) (vitrine.Capacity, error) {
	var c vitrine.Capacity
	var memory int64
	err := s.queryRow(ctx, `SELECT CAST(coalesce(sum(memory_mb * 1048576 + overhead_bytes), 0) AS BIGINT),
		CAST(coalesce(sum(vcpu), 0) AS BIGINT), count(*)
		FROM sessions WHERE released = 0 AND queue_position = 0`).Scan(&memory, &c.VCPU, &c.Sessions)
	c.MemoryMB = int((memory + 1<<20 - 1) >> 20)
	return c, s.told("summing reservations", err)
}
