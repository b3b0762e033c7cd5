package host

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
)

// decoys are things that look like ours and are not, or are another instance's.
// Nobody may list them, let alone touch them.
func (l *lab) decoys() {
	id := newMachine()
	l.mkdir(filepath.Join(l.cfg.DataDir, "machines/qemu/cache-1"))
	l.mkdir(filepath.Join(l.cfg.DataDir, "machines/process/mch_short"))
	l.mkdir(filepath.Join(l.cfg.DataDir, "elsewhere", id))
	l.mkdir(filepath.Join(l.cfg.ImageDir, "0123456789abcdef"))
	l.mkdir(filepath.Join(l.cfg.TempDir, "vitrine-bench-data-1"))
	l.write("/run/netns/vt-other0-"+id, "")
	l.write("/run/netns/mine", "")
	sh(l.t, "nft 'add table inet vitrine_other0; add table bridge vitrine; add table inet filter'")
	sh(l.t, "ip link add vtother0 type bridge; ip link set vtother0 alias vitrine/other0; ip link add dummy1 type veth peer name dummy2")
	l.stand(nil, "less", "/var/log/"+id)
	l.stand(nil, "qemu-system-x86_64", "-name", newMachine()) // of somebody whose machine we know nothing of
	l.t.Cleanup(func() {
		sh(l.t, "ip link delete vtother0; ip link delete dummy1; rm -f /run/netns/*; nft flush ruleset")
	})
}

func TestEachLeftoverIsNamedThenRemovedAndNothingElse(t *testing.T) {
	cases := []struct {
		name  string
		make  func(l *lab, id string)
		kinds string // what the audit names
	}{
		{"a directory, killed before its spec was written", func(l *lab, id string) { l.machineDir(id) }, "machine"},
		{"a directory with a torn spec", func(l *lab, id string) { l.write(l.machineDir(id)+"/spec.json", `{"BootID":"x`) }, "machine"},
		{"a directory of an earlier boot", func(l *lab, _ string) {
			young := vitrine.NewID(vitrine.PrefixMachine, time.Now())
			l.write(l.machineDir(young)+"/spec.json", `{"BootID":"earlier"}`)
		}, "machine"},
		{"a machine that was created and never started", func(l *lab, id string) {
			if err := l.rt.Create(l.t.Context(), vitrine.MachineSpec{ID: id, Slot: 1, VCPU: 1, MemoryBytes: 64 << 20, MaxPIDs: 50, AgentConfig: []byte("{}")}); err != nil {
				l.t.Fatal(err)
			}
		}, "cgroup machine"},
		{"a cgroup whose directory has gone, with a process in it", func(l *lab, id string) {
			g := l.group(id)
			if err := g.Create(cgroup.Limits{PIDs: 20}); err != nil {
				l.t.Fatal(err)
			}
			l.stand(g, "chromium")
		}, "cgroup"},
		{"an empty cgroup of supervisors", func(l *lab, _ string) {
			if err := l.group("supervisors").Create(cgroup.Limits{}); err != nil {
				l.t.Fatal(err)
			}
		}, "cgroup"},
		{"a supervisor whose directory has gone", func(l *lab, id string) {
			l.stand(nil, "vitrine", "shim", "run", filepath.Join(l.cfg.DataDir, "machines/process", id))
		}, "process"},
		{"a VMM outside its cgroup", func(l *lab, id string) {
			l.machineDir(id)
			l.stand(nil, "qemu-system-x86_64", "-name", id)
		}, "machine process"},
		{"a name of a network namespace, killed before it was bound", func(l *lab, id string) {
			l.write("/run/netns/vt-"+bridgeName+"-"+id, "")
		}, "netns"},
		{"a whole attachment", func(l *lab, id string) { l.attach(id, 3) }, "netns port"},
		{"a port whose namespace's name is gone", func(l *lab, id string) {
			sh(l.t, "ip link add %s type veth peer name vtpeer0; ip link set %s alias vitrine/%s/%s/192.168.177.4",
				l.cfg.portName(id), l.cfg.portName(id), bridgeName, id)
		}, "port"},
		{"a port that was killed before it was named, beside its namespace's name", func(l *lab, id string) {
			l.write("/run/netns/vt-"+bridgeName+"-"+id, "")
			sh(l.t, "ip link add %s type veth peer name vtpeer0", l.cfg.portName(id))
		}, "netns port"},
		{"a bridge with no member, its rules and its note", func(l *lab, id string) {
			l.attach(id, 3)
			sh(l.t, "ip link delete %s; umount /run/netns/vt-%s-%s; rm /run/netns/vt-%s-%s", l.cfg.portName(id), bridgeName, id, bridgeName, id)
		}, "bridge rules rules"},
		{"firewall rules without a bridge", func(l *lab, _ string) {
			sh(l.t, "nft 'add table inet vitrine_%s; add table bridge vitrine_%s'", bridgeName, bridgeName)
		}, "rules rules"},
		{"forwarding that was switched on and never back", func(l *lab, _ string) {
			l.mkdir("/run/vitrine")
			l.write("/run/vitrine/"+forwardingNote, `{"interfaces":["dummy1"]}`)
			sh(l.t, "ip link delete vtother0; echo 1 > /proc/sys/net/ipv4/conf/dummy1/forwarding")
			l.t.Cleanup(func() {
				if got := sh(l.t, "cat /proc/sys/net/ipv4/conf/dummy1/forwarding; ip link add vtother0 type bridge"); got != "0\n" {
					l.t.Errorf("forwarding of the interface is still %q", got)
				}
			})
		}, "forwarding"},
		{"a mount in the host's own table", func(l *lab, id string) {
			sh(l.t, "mkdir -p %s/m && mount -t tmpfs vitrine-stage %s/m", l.machineDir(id), l.machineDir(id))
		}, "machine mount"},
		{"a loop device over a disk that is deleted", func(l *lab, id string) {
			if _, err := os.Stat("/dev/loop-control"); err != nil {
				l.t.Skip("needs loop devices")
			}
			dir := l.machineDir(id)
			sh(l.t, "truncate -s 1M %s/scratch.img && losetup -f %s/scratch.img && rm -r %s", dir, dir, dir)
		}, "loop"},
		{"a killed build", func(l *lab, _ string) {
			l.write(l.mkdir(filepath.Join(l.cfg.ImageDir, ".tmp-desktop-1/image/rootfs"))+"/x", "x")
			old(l, filepath.Join(l.cfg.ImageDir, ".tmp-desktop-1"))
		}, "build"},
		{"a killed maker of a drive that virtual machines share", func(l *lab, _ string) {
			vm := l.mkdir(filepath.Join(l.cfg.DataDir, "vm"))
			l.write(l.mkdir(vm+"/agent-tree-1")+"/vitrine-agent", "x")
			l.write(vm+"/agent-0123.ext4.tmp", "x")
			l.write(vm+"/agent-0123.ext4", "the good one")
			old(l, vm+"/agent-tree-1")
			old(l, vm+"/agent-0123.ext4.tmp")
		}, "build build"},
		{"a killed doctor, its probe's cgroup and its supervisor", func(l *lab, id string) {
			dir := l.mkdir(filepath.Join(l.cfg.TempDir, "vitrine-doctor-1/machines/gvisor", id))
			if err := l.group(id).Create(cgroup.Limits{}); err != nil {
				l.t.Fatal(err)
			}
			l.stand(nil, "vitrine", "shim", "run", dir)
			old(l, filepath.Join(l.cfg.TempDir, "vitrine-doctor-1"))
		}, "cgroup probe process"},
		{"a killed daemon's socket", func(l *lab, _ string) {
			s, err := net.Listen("unix", filepath.Join(l.cfg.DataDir, socketName))
			if err != nil {
				l.t.Fatal(err)
			}
			s.(*net.UnixListener).SetUnlinkOnClose(false)
			s.Close()
			old(l, filepath.Join(l.cfg.DataDir, socketName))
		}, "socket"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.decoys()
			decoys := len(l.strays)
			clean := l.traces()
			if strings.HasSuffix(c.name, "machines share") {
				l.write(l.mkdir(filepath.Join(l.cfg.DataDir, "vm"))+"/agent-0123.ext4", "")
				clean = l.traces()
			}
			if strings.HasPrefix(c.name, "forwarding") { // another instance's bridge needs it as well
				clean = strings.Replace(clean, "vtother0\n", "", 1)
			}
			if found := l.audit(); len(found) != 0 {
				t.Fatalf("before anything is left over: %+v", found)
			}
			c.make(l, newMachine())
			found := l.audit()
			if got := kinds(found); got != c.kinds {
				t.Errorf("the audit names %q, want %q: %+v", got, c.kinds, found)
			}
			with := l.traces()
			dry, err := l.sweeper.Collect(t.Context(), true, 0)
			if err != nil || kinds(dry.Leftovers) != c.kinds || l.traces() != with {
				t.Errorf("a dry run lists %q, %v", kinds(dry.Leftovers), err)
			}
			done, err := l.sweeper.Collect(t.Context(), false, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range done.Leftovers {
				if !one.Done || one.Err != "" {
					t.Errorf("%s: done %v, %s%s", one.Deed, one.Done, one.Err, one.Keep)
				}
			}
			for i, s := range l.strays {
				if i < decoys {
					if err := s.Process.Signal(unix.Signal(0)); err != nil {
						t.Errorf("a stranger's process was killed: %v", s.Args)
					}
				} else if !dead(s) {
					t.Errorf("%v still runs", s.Args)
				}
			}
			// What takes the network along, such as the bridge after its last
			// machine, may take a second look.
			if again := l.audit(); len(again) != 0 {
				t.Errorf("after it: %+v", again)
			}
			if now := l.traces(); now != clean {
				t.Errorf("the host is not as before.\nbefore:\n%s\nnow:\n%s", clean, now)
			}
		})
	}
}

// old makes a file look an hour old: directories and sockets have no id to tell.
func old(l *lab, path string) {
	l.t.Helper()
	if err := os.Chtimes(path, anHourAgo(), anHourAgo()); err != nil {
		l.t.Fatal(err)
	}
}

// What lives is never listed: a live session's machine, a build and a doctor at
// work.
func TestWhatLivesIsNotLeftOver(t *testing.T) {
	l := newLab(t)
	s := l.session(vitrine.StatePending)
	if err := l.rt.Create(t.Context(), vitrine.MachineSpec{ID: s.MachineID, SessionID: s.ID, Slot: s.Slot, VCPU: 1, MemoryBytes: 64 << 20, MaxPIDs: 50, AgentConfig: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	l.attach(s.MachineID, s.Slot)
	if err := l.group("supervisors").Create(cgroup.Limits{}); err != nil {
		t.Fatal(err)
	}
	l.stand(l.group("supervisors"), "vitrine", "shim", "run", l.machineDir(s.MachineID))
	hold := func(path string) {
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
		if errors.Is(err, unix.EISDIR) {
			f, err = os.Open(path)
		}
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	old(l, l.mkdir(filepath.Join(l.cfg.ImageDir, ".tmp-desktop-2")))
	hold(filepath.Join(l.cfg.ImageDir, ".lock"))
	probe := newMachine()
	l.mkdir(filepath.Join(l.cfg.TempDir, "vitrine-doctor-2/machines/gvisor", probe))
	if err := l.group(probe).Create(cgroup.Limits{}); err != nil {
		t.Fatal(err)
	}
	hold(filepath.Join(l.cfg.TempDir, "vitrine-doctor-2"))
	if found := l.audit(); len(found) != 0 {
		t.Errorf("left over: %+v", found)
	}
	before := l.traces()
	if _, err := l.sweeper.Collect(t.Context(), false, 0); err != nil || l.traces() != before {
		t.Errorf("a collection changed something: %v\n%s\nnow:\n%s", err, before, l.traces())
	}
	_ = l.group(probe).Remove(t.Context())
	if err := l.rt.Delete(t.Context(), s.MachineID); err != nil {
		t.Error(err)
	}
	if err := l.net.Detach(t.Context(), s.MachineID); err != nil {
		t.Error(err)
	}
}

// The firewall still lets in a port that has gone, beside a machine that lives.
func TestTheFirewallRemembersAPortThatHasGone(t *testing.T) {
	l := newLab(t)
	s := l.session(vitrine.StatePending)
	l.attach(s.MachineID, s.Slot)
	before := l.traces()
	sh(t, `nft 'add element bridge vitrine_%s ports { "%s" . 02:00:00:00:00:01 . 192.168.177.99 }'`, bridgeName, l.cfg.portName(newMachine()))
	if got := kinds(l.audit()); got != "element" {
		t.Errorf("the audit names %q", got)
	}
	if _, err := l.sweeper.Collect(t.Context(), false, 0); err != nil || l.traces() != before {
		t.Errorf("after it, %v:\n%s\nwant\n%s", err, l.traces(), before)
	}
	if err := l.net.Detach(t.Context(), s.MachineID); err != nil {
		t.Error(err)
	}
}

// session makes one in the store.
func (l *lab) session(state vitrine.State) vitrine.Session {
	l.t.Helper()
	at := anHourAgo()
	s, _, err := l.store.CreateSession(l.t.Context(), vitrine.CreateSession{Addresses: subnet(), Session: vitrine.Session{
		ID: vitrine.NewID(vitrine.PrefixSession, at), MachineID: vitrine.NewID(vitrine.PrefixMachine, at), CreatedAt: at, Kind: vitrine.KindDesktop,
		UserID: "ada", MemoryMB: 2048, VCPU: 2, State: vitrine.StatePending, Desired: vitrine.DesiredRunning, Runtime: "process",
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	if state != vitrine.StatePending {
		s, err = l.store.UpdateSession(l.t.Context(), s.ID, at, func(x *vitrine.Session) error { x.State = state; return nil })
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return s
}

// Memory and an address are held for a session that is over, its machine half
// torn down, and a ticket lets in to one that is gone.
func TestTheStoreHoldsForNobody(t *testing.T) {
	l := newLab(t)
	s := l.session(vitrine.StateFailed)
	l.machineDir(s.MachineID)
	l.attach(s.MachineID, s.Slot)
	gone := l.session(vitrine.StateFailed)
	if _, err := l.store.UpdateSession(t.Context(), gone.ID, anHourAgo(), func(x *vitrine.Session) error { x.Released = true; return nil }); err != nil {
		t.Fatal(err)
	}
	ticket := vitrine.Ticket{ID: vitrine.NewID(vitrine.PrefixTicket, anHourAgo()), Hash: [32]byte{1}, SessionID: gone.ID, UserID: "ada",
		Scope: vitrine.ScopeView, CreatedAt: anHourAgo(), ExpiresAt: time.Now().Add(time.Hour)}
	if err := l.store.PutTicket(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	if got := kinds(l.audit()); got != "machine netns port reservation ticket" {
		t.Errorf("the audit names %q", got)
	}
	c, err := l.sweeper.Collect(t.Context(), false, 0)
	if err != nil || len(l.audit()) != 0 {
		t.Errorf("collected %+v, %v; left %+v", c, err, l.audit())
	}
	if held, err := l.store.Reserved(t.Context()); err != nil || held != (vitrine.Capacity{}) {
		t.Errorf("still held: %+v, %v", held, err)
	}
	if k, err := l.store.Ticket(t.Context(), ticket.ID); err != nil || k.RevokedAt.IsZero() {
		t.Errorf("the ticket still lets in: %+v, %v", k, err)
	}
}

// What stands in our place and is not ours is told and left alone.
func TestWhatCannotBeAttributedIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name, says string
		make       func(l *lab)
	}{
		{"an interface that has our bridge's name", "without our alias", func(l *lab) {
			sh(l.t, "ip link add %s type bridge", bridgeName)
			l.t.Cleanup(func() { sh(l.t, "ip link delete %s", bridgeName) })
		}},
		{"a cgroup of a name that we never make", "makes a cgroup of this name", func(l *lab) {
			if err := l.group("backup").Create(cgroup.Limits{}); err != nil {
				l.t.Fatal(err)
			}
		}},
		{"a machine that its supervisor keeps in another data directory", "keeps it in /srv/other", func(l *lab) {
			id := newMachine()
			if err := l.group(id).Create(cgroup.Limits{}); err != nil {
				l.t.Fatal(err)
			}
			l.stand(nil, "vitrine", "shim", "watch", "/srv/other/machines/container/"+id)
			l.t.Cleanup(func() { _ = l.group(id).Remove(l.t.Context()) })
		}},
		{"an interface that only looks like a port", "nothing but its name", func(l *lab) {
			sh(l.t, "ip link add %s type veth peer name vtpeer1", l.cfg.portPrefix()+"0123456789")
			l.t.Cleanup(func() { sh(l.t, "ip link delete vtpeer1") })
		}},
		{"a note of forwarding that is torn", "cannot be read", func(l *lab) {
			l.mkdir("/run/vitrine")
			l.write("/run/vitrine/"+forwardingNote, "{")
			l.t.Cleanup(func() { os.Remove("/run/vitrine/" + forwardingNote) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			c.make(l)
			found := l.audit()
			if len(found) != 1 || found[0].Deed != vitrine.DeedNone || !strings.Contains(found[0].Keep, c.says) {
				t.Errorf("the audit says %+v, want %q", found, c.says)
			}
			before := l.traces()
			if _, err := l.sweeper.Collect(t.Context(), false, 0); err != nil || l.traces() != before {
				t.Errorf("it was touched: %v\n%s\nnow:\n%s", err, before, l.traces())
			}
		})
	}
}

// A maker of machines is killed at any moment between the naming of a thing and
// the end of its making. What it leaves is all found by name and all removed.
func TestKilledAnywhereInTheMaking(t *testing.T) {
	l := newLab(t)
	clean := l.traces()
	const kills = 12
	for i := range kills {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), makerEnv+"="+l.cfg.DataDir, "INSTANCE="+l.instance)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 200)
		if n, err := out.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "ready") {
			t.Fatalf("the maker says %q, %v", line[:n], err)
		}
		// A machine takes it some 60 ms: each kill is at another of its steps.
		time.Sleep(time.Duration(i*11+3) * time.Millisecond)
		_ = c.Process.Kill()
		rest := make([]byte, 500)
		n, _ := out.Read(rest)
		_ = c.Wait()
		if n > 0 {
			t.Fatalf("the maker failed before it was killed: %s", rest[:n])
		}
		left := kinds(l.audit())
		for round := 0; ; round++ {
			done, err := l.sweeper.Collect(t.Context(), false, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range done.Leftovers {
				if !one.Done {
					t.Errorf("kill %d left %q: %+v", i, left, one)
				}
			}
			if len(done.Leftovers) == 0 {
				break
			}
			if round == 3 {
				t.Fatalf("kill %d: still not clean: %+v", i, done.Leftovers)
			}
		}
		if now := l.traces(); now != clean {
			t.Fatalf("kill %d left %q; after the collection:\n%s\nbefore:\n%s", i, left, now, clean)
		}
		t.Logf("kill %d left: %s", i, left)
	}
}
