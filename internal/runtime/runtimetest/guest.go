package runtimetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// awaitExit waits until the machine has ended and gives how.
func (b *bench) awaitExit(id string) vitrine.MachineStatus {
	b.t.Helper()
	st, err := b.rt.(vitrine.Watcher).Wait(b.ctx(), id)
	must(b.t, err)
	if st.State != vitrine.MachineExited {
		b.t.Fatalf("Wait came back and the machine is %+v", st)
	}
	return st
}

// number reads a number that a command in the machine prints.
func (b *bench) number(id, line string) int64 {
	b.t.Helper()
	n, err := strconv.ParseInt(b.sh(id, line), 10, 64)
	must(b.t, err)
	return n
}

// kernelKeeps is how much of a guest's memory its kernel may keep for itself:
// code, page structures and what firmware holds; 37 MiB of 256 were seen.
const kernelKeeps = 64 << 20

// takeAll takes 1 GiB, which a guest's kernel would refuse at once if it were not
// told to promise anything.
const takeAll = "echo 1 >/proc/sys/vm/overcommit_memory; dd if=/dev/zero of=/dev/null bs=1024M count=1"

// guestMemory asks for two sizes and looks from inside, then fills the memory:
// the guest's own kernel must end what took it, say so on the console, and the
// VMM must live on.
func guestMemory(b *bench) {
	s := b.spec()
	s.VCPU, s.MemoryBytes = 2, 384<<20
	if b.f.VM.OneCPU {
		s.VCPU = 1
	}
	must(b.t, b.rt.Create(b.ctx(), s))
	b.start(s.ID)
	b.awaitAgent(s.ID)
	if got := b.sh(s.ID, "grep -c ^processor /proc/cpuinfo"); got != itoa(s.VCPU) {
		b.t.Errorf("a guest with %d vCPU sees %s processors", s.VCPU, got)
	}
	total := b.number(s.ID, "while read k v u; do [ $k = MemTotal: ] && echo $v; done </proc/meminfo; true") << 10
	b.t.Logf("MemTotal is %d MiB of 384", total>>20)
	if total > s.MemoryBytes || total < s.MemoryBytes-kernelKeeps {
		b.t.Errorf("a guest with 384 MiB has %d MiB", total>>20)
	}
	r, err := b.exec(s.ID, takeAll)
	if err == nil && r.ExitCode == 0 {
		b.t.Fatal("a process took 1 GiB in a guest of 384 MiB")
	}
	b.await("the guest kernel says on the console that it killed for want of memory", func() bool {
		return strings.Contains(b.console(s.ID), "Out of memory: Killed process")
	})
	if r, err := b.exec(s.ID, "echo alive"); err != nil || string(r.Stdout) != "alive\n" {
		b.t.Errorf("the guest does not live on: %q, %v; its console:\n%s", r.Stdout, err, b.console(s.ID))
	}
	if st := b.inspect(s.ID); st.OOMKills != 0 {
		b.t.Errorf("the host killed %d processes: the guest's memory does not fit the VMM's limit (%+v)", st.OOMKills, st.Memory)
	}
}

// guestProcesses forks without end: the guest's kernel must say no, and the VMM
// must take no more threads on the host than it may.
func guestProcesses(b *bench) {
	id := b.ready()
	_, _ = b.exec(id, "i=0; while [ $i -lt 400 ]; do sleep 60 >/dev/null 2>&1 & i=$((i+1)); done; true")
	running := b.number(id, "n=0; for p in /proc/[0-9]*; do n=$((n+1)); done; echo $n") // no fork
	dir := b.cgroup(id).Dir("pids")
	limit, current := readNumber(dir, "pids.max"), readNumber(dir, "pids.current")
	b.t.Logf("%d processes in the guest after 400 forks, %d of at most %d threads on the host", running, current, limit)
	if running > 128+150 {
		b.t.Errorf("the guest runs %d processes and may run 128 besides its kernel's", running)
	}
	if running < 100 {
		b.t.Errorf("the guest runs only %d: the test does not test", running)
	}
	if limit <= 0 || current > limit {
		b.t.Errorf("the VMM has %d threads on the host, its limit is %d", current, limit)
	}
}

// status is a line of /proc/PID/status.
func status(pid int, key string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}

// vmmConfined looks at the VMM as the host sees it: whoever broke out of the
// guest is this process.
func vmmConfined(b *bench) {
	one, two := b.ready(), b.started()
	pid, other := b.inspect(one).PID, b.inspect(two).PID
	kept := map[string]string{
		"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapAmb": "0000000000000000",
		"NoNewPrivs": "1", "Seccomp": "2",
	}
	if b.f.VM.Unfiltered {
		b.t.Log("this build of the VMM has no seccomp filters, and none are looked for")
		delete(kept, "Seccomp")
	}
	for key, want := range kept {
		if got := status(pid, key); got != want {
			b.t.Errorf("the VMM's %s is %q, want %q", key, got, want)
		}
	}
	uids, theirs := strings.Fields(status(pid, "Uid")), strings.Fields(status(other, "Uid"))
	if len(uids) != 4 || uids[0] == "0" || uids[0] != uids[1] || uids[0] != uids[2] || uids[0] == theirs[0] {
		b.t.Errorf("the VMM's users are %v, another's are %v; want one of its own, and not root", uids, theirs)
	}
	if groups := strings.Fields(status(pid, "Groups")); len(groups) > 1 || len(groups) == 1 && groups[0] != uids[0] {
		b.t.Errorf("the VMM is in the groups %v", groups)
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	entries, err := os.ReadDir(proc + "root/")
	must(b.t, err)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "dev" && e.Name() != "run" {
			b.t.Errorf("the VMM's root holds the directory %s", e.Name())
		}
	}
	if len(entries) > 64 {
		b.t.Errorf("the VMM's root holds %d things: it is not a root of its own", len(entries))
	}
	for _, ns := range []string{"net", "mnt"} {
		ours, _ := os.Readlink("/proc/self/ns/" + ns)
		its, _ := os.Readlink(proc + "ns/" + ns)
		if its == "" || its == ours {
			b.t.Errorf("the VMM is in the node's own %s namespace", ns)
		}
	}
	for _, f := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(proc + f)
		must(b.t, err)
		if bytes.Contains(text, []byte(secret)) {
			b.t.Errorf("the machine's secret stands in the VMM's %s", f)
		}
	}
	if got := b.sh(one, "cat /proc/cmdline"); strings.Contains(got, secret) {
		b.t.Error("the machine's secret stands in the kernel's arguments")
	}
}

// guestConfined tries from inside what must change nothing outside.
func guestConfined(b *bench) {
	id := b.ready()
	disk := filepath.Join(filepath.Dir(b.root), "disk.squashfs")
	before := sum(b, disk)
	for _, c := range []struct{ name, line, want string }{
		{"the host's name is not seen", "cat /proc/sys/kernel/hostname", "testbox"},
		{"the guest has its four drives and no more", "ls /sys/block | grep -c '^vd'", "4"},
		{"the agent cannot be replaced", "(echo x >/run/vitrine/agent) 2>/dev/null && echo written; rm -f /run/vitrine/agent 2>/dev/null && echo removed; true", ""},
		{"the agent's secret is not the user's to read", "stat -c %a /run/vitrine/config.json", "600"},
		{"the image's and the agent's drive refuse to be written", "for d in /sys/block/vd*; do [ $(cat $d/ro) = 1 ] && echo read-only; done", "read-only\nread-only\nread-only"},
		{"what stands in them cannot be changed in spite of it", "for d in a b c d; do [ $(cat /sys/block/vd$d/ro) = 1 ] && echo 0 >/sys/block/vd$d/force_ro; dd if=/dev/zero of=/dev/vd$d bs=4096 count=1 conv=notrunc 2>/dev/null; done; true", ""},
	} {
		r, err := b.exec(id, c.line+" 2>/dev/null")
		if got := strings.TrimSpace(string(r.Stdout)); err != nil || got != c.want {
			b.t.Errorf("%s: got %q (%s), %v; want %q", c.name, got, r.Stderr, err, c.want)
		}
	}
	if sum(b, disk) != before {
		b.t.Error("the guest has written into the image that all machines share")
	}
	agents, _ := filepath.Glob(filepath.Join(b.env.Guest.CacheDir, "agent-*"))
	if len(agents) != 1 {
		b.t.Fatalf("the cache holds the agent's drives %v", agents)
	}
	if text, err := os.ReadFile(agents[0]); err != nil || !bytes.Equal(text[1080:1082], []byte{0x53, 0xef}) {
		b.t.Errorf("the agent's drive is no ext4 any more (%v)", err)
	}
}

func sum(b *bench, file string) [sha256.Size]byte {
	text, err := os.ReadFile(file)
	must(b.t, err)
	return sha256.Sum256(text)
}

// boots is how often a Linux has begun to boot on the console.
func boots(console string) int { return strings.Count(console, "Linux version ") }

func consoleWhole(b *bench) {
	id := b.ready()
	b.sh(id, "echo between the first and the last >/dev/console")
	must(b.t, b.rt.Stop(b.ctx(), id, 30*time.Second))
	if st := b.wantState(id, vitrine.MachineExited); st.ExitCode != 0 {
		b.t.Errorf("a machine that was asked to end left with %d", st.ExitCode)
	}
	text := b.console(id)
	first, _, _ := strings.Cut(text, "\n")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if !strings.Contains(first, "Linux version") {
		b.t.Errorf("the console begins with %q", first)
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, "reboot:") {
		b.t.Errorf("the console ends with %q", last)
	}
	if !strings.Contains(text, "between the first and the last") || boots(text) != 1 {
		b.t.Errorf("the console holds:\n%s", text)
	}
	if strings.Contains(text, secret) {
		b.t.Error("the machine's secret stands on the console")
	}
}

func guestPanics(b *bench) {
	id := b.ready()
	began := time.Now()
	_, _ = b.exec(id, "echo c >/proc/sysrq-trigger")
	st := b.awaitExit(id)
	b.t.Logf("the end was seen %s after the panic", time.Since(began).Round(10*time.Millisecond))
	text := b.console(id)
	for _, want := range []string{"Kernel panic - not syncing: sysrq triggered crash", "Call Trace:", "Rebooting in 1 seconds"} {
		if !strings.Contains(text, want) {
			b.t.Errorf("the console does not hold %q:\n%s", want, text)
		}
	}
	if n := boots(text); n != 1 {
		b.t.Errorf("the guest was booted %d times", n)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", st.PID)); st.PID != 0 && err == nil {
		b.t.Errorf("the VMM %d is still there", st.PID)
	}
}

func guestPanicsOnOOM(b *bench) {
	id := b.ready()
	_, _ = b.exec(id, "echo 1 >/proc/sys/vm/panic_on_oom; "+takeAll)
	b.awaitExit(id)
	if text := b.console(id); !strings.Contains(text, "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled") {
		b.t.Errorf("the console does not say why:\n%s", text)
	}
}

func guestReboots(b *bench) {
	id := b.ready()
	_, _ = b.exec(id, "busybox reboot -f")
	if st := b.awaitExit(id); st.ExitCode != 0 {
		b.t.Errorf("a guest that rebooted left with %d", st.ExitCode)
	}
	if n := boots(b.console(id)); n != 1 {
		b.t.Errorf("the guest was booted %d times", n)
	}
}

// dialledOften asks the agent again and again, each time by a connection of its
// own, right after each other and some at once.
func dialledOften(b *bench) {
	id := b.ready()
	times := 200
	if Full() {
		times = 2000
	}
	var slowest time.Duration
	for range times {
		began := time.Now()
		must(b.t, b.call(id, http.MethodGet, agentproto.PathHealth, nil, &agentproto.Health{}))
		slowest = max(slowest, time.Since(began))
	}
	b.t.Logf("%d questions; the slowest took %s", times, slowest.Round(time.Millisecond))
	errs := make(chan error)
	for range 8 {
		go func() {
			var all []error
			for range 5 {
				all = append(all, b.call(id, http.MethodGet, agentproto.PathHealth, nil, &agentproto.Health{}))
			}
			errs <- errors.Join(all...)
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			b.t.Error(err)
		}
	}
}

// daemonKilledBeforeBoot kills the daemon when its VMM runs and its guest does
// not yet: that machine must be started afresh, not taken for one that runs.
func daemonKilledBeforeBoot(b *bench) {
	id, cmd, _ := b.maker()
	b.await("the VMM runs", func() bool {
		_, err := os.Stat(b.file(id, machinedir.MachineFile))
		return err == nil
	})
	must(b.t, cmd.Process.Kill())
	_ = cmd.Wait()
	_, err := os.Stat(b.file(id, machinedir.BootedFile))
	b.t.Logf("the guest was not started yet: %v", err != nil)
	first := b.inspect(id).PID
	b.reopen()
	b.start(id)
	b.awaitAgent(id)
	if now := b.inspect(id).PID; err != nil && now == first {
		b.t.Errorf("the VMM is still %d, whose guest nobody started", now)
	}
	if n := boots(b.console(id)); n != 1 {
		b.t.Errorf("the console shows %d boots", n)
	}
}

// startsInARow starts machines and kills each at another moment of its start,
// from before its kernel to after its agent, and looks after each at what is
// left.
func startsInARow(b *bench) {
	var slowest time.Duration
	slot := b.slot + 1
	for n := range b.f.VM.Starts {
		s := b.spec()
		s.Slot = slot // as a host's address pool does
		must(b.t, b.rt.Create(b.ctx(), s))
		began := time.Now()
		b.start(s.ID)
		slowest = max(slowest, time.Since(began))
		if n%5 == 4 {
			b.awaitAgent(s.ID)
		} else {
			<-time.After(time.Duration(n%5) * 200 * time.Millisecond)
		}
		vmm := b.inspect(s.ID).PID
		if n%2 == 0 && vmm != 0 {
			p, err := os.FindProcess(vmm)
			must(b.t, err)
			_ = p.Kill()
		}
		must(b.t, b.rt.Delete(b.ctx(), s.ID))
		if left := snapshot(s.ID); len(left) > 0 {
			b.t.Fatalf("after start %d this is left:\n%s", n+1, strings.Join(left, "\n"))
		}
	}
	b.t.Logf("%d machines; the slowest start took %s", b.f.VM.Starts, slowest.Round(time.Millisecond))
	entries, err := os.ReadDir(b.env.Guest.CacheDir)
	must(b.t, err)
	if len(entries) > 4 { // an initramfs, an agent's drive, an empty disk, a lock
		b.t.Errorf("the cache holds %v", entries)
	}
}
