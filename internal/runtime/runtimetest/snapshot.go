package runtimetest

import (
	"encoding/json"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// restored takes a snapshot of a machine that is at work, and makes another of it
// while the first goes on: the second must have all that the first had in memory
// and on its disk, and nothing that would let it pass for the first.
func restored(b *bench) {
	sn, ok := b.rt.(vitrine.Snapshotter)
	if !ok {
		b.t.Skip("the runtime takes no snapshots")
	}
	n := b.lab()
	one := b.attach(n, 1)
	must(b.t, b.rt.Create(b.ctx(), one))
	b.start(one.ID)
	b.awaitAgent(one.ID)
	const old = "0123456789abcdef0123456789abcdef"
	b.sh(one.ID, "echo "+old+" >/etc/machine-id; echo kept >/root/mark; mkdir -p /dev/shm; echo in-memory >/dev/shm/mark; (i=0; while sleep 1; do i=$((i+1)); echo $i >/dev/shm/count; done) >/dev/null 2>&1 &")
	b.await("the machine is at work", func() bool { return b.count(one.ID) > 0 })

	dir := filepath.Join(b.t.TempDir(), "snapshot")
	began := time.Now()
	must(b.t, sn.Snapshot(b.ctx(), one.ID, dir))
	b.t.Logf("the snapshot took %s", time.Since(began).Round(time.Millisecond))
	at := b.count(one.ID)
	b.await("the first machine goes on", func() bool { return b.count(one.ID) > at })

	two := b.attach(n, 2)
	var config agentproto.Config
	must(b.t, json.Unmarshal(two.AgentConfig, &config))
	config.MachineID, config.Secret, config.Hostname = two.ID, strings.Repeat("another-", 8), "copy"
	var err error
	two.AgentConfig, err = json.Marshal(config)
	must(b.t, err)
	began = time.Now()
	if err := sn.Restore(b.ctx(), two, dir); err != nil {
		b.t.Fatalf("%v; its console:\n%s", err, b.console(two.ID))
	}
	b.t.Logf("restored, and itself, in %s", time.Since(began).Round(time.Millisecond))

	if err := b.call(two.ID, http.MethodGet, agentproto.PathHealth, nil, &agentproto.Health{}); err == nil {
		b.t.Error("the copy answers to the first machine's secret")
	}
	b.secrets[two.ID] = config.Secret
	b.wantState(two.ID, vitrine.MachineRunning)
	// One command for each: a process is dear where its kernel is emulated.
	first, second := b.self(one.ID), b.self(two.ID)
	b.t.Logf("the first says %q, the copy %q", first, second)
	for i, c := range []struct{ name, first, second string }{
		{"what was on the disk", "kept", "kept"},
		{"what was in memory", "in-memory", "in-memory"},
		{"the host name", "testbox", "copy"},
		{"the address", one.Net.Address.String(), two.Net.Address.String()},
		{"the MAC", one.Net.MAC, two.Net.MAC},
		{"the mode of its config", "600", "600"},
		{"the machine-id", old, second[6]},
		{"the clock", first[7], second[7]},
		{"random bytes", first[8], second[8]},
		{"the way out", "you are 198.51.100.2", "you are 198.51.100.2"},
	} {
		if first[i] != c.first || second[i] != c.second {
			b.t.Errorf("%s is %q and %q; want %q and %q", c.name, first[i], second[i], c.first, c.second)
		}
	}
	if second[6] == old || len(second[6]) != 32 {
		b.t.Errorf("the copy's machine-id is %q", second[6])
	}
	clock, err := strconv.ParseInt(second[7], 10, 64)
	if off := math.Abs(float64(time.Now().Unix() - clock)); err != nil || off > 90 {
		b.t.Errorf("the copy's clock is off by %v s (%v)", off, err)
	}
	if first[8] == second[8] || second[8] == "" {
		b.t.Errorf("both machines draw %s", first[8])
	}
	at = b.count(two.ID)
	b.await("the copy goes on with the work", func() bool { return b.count(two.ID) > at })
	must(b.t, b.rt.Delete(b.ctx(), one.ID))
	must(b.t, b.rt.Stop(b.ctx(), two.ID, 30*time.Second))
	if st := b.wantState(two.ID, vitrine.MachineExited); st.ExitCode != 0 {
		b.t.Errorf("the copy was asked to end and left with %d", st.ExitCode)
	}
}

// self is what a machine says of itself, ten lines.
func (b *bench) self(id string) []string {
	b.t.Helper()
	said := strings.Split(b.sh(id, `cat /root/mark /dev/shm/mark /etc/hostname
		busybox ip -o -4 addr show dev eth0 | while read n dev fam addr rest; do echo $addr; done
		cat /sys/class/net/eth0/address; stat -c %a /run/vitrine/config.json; cat /etc/machine-id
		busybox date +%s; busybox od -An -N16 -tx1 /dev/urandom; busybox nc -w 60 203.0.113.10 80 </dev/null`), "\n")
	if len(said) != 10 {
		b.t.Fatalf("machine %s says %q", id, said)
	}
	return said
}

// count is how far the work of restored has come.
func (b *bench) count(id string) int {
	r, err := b.exec(id, "cat /dev/shm/count")
	if err != nil {
		b.t.Fatal(err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(r.Stdout)))
	return n
}
