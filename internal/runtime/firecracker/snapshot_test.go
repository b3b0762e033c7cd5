package firecracker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

var floodLine = regexp.MustCompile(`tiny: flood (\d+)\r?\n`)

// count is the last number that a guest that floods has printed whole.
func (b *bench) count(id string) int {
	all := floodLine.FindAllStringSubmatch(b.console(id), -1)
	if len(all) == 0 {
		return -1
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	return n
}

// snapshotOf takes one of a guest that counts.
func (b *bench) snapshotOf(id string) string {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "snapshot")
	must(b.t, b.rt.Snapshot(b.ctx(), id, dir))
	return dir
}

func TestASnapshotIsTakenAndTheMachineGoesOn(t *testing.T) {
	b := newBench(t, "flood")
	id := b.start(b.attached())
	b.await("it counts", func() bool { return b.count(id) > 50 })
	dir := b.snapshotOf(id)
	after := b.count(id)
	b.await("it counts on", func() bool { return b.count(id) > after })
	for name, mode := range map[string]os.FileMode{".": 0o700, "manifest": 0o600, "mem": 0o444, "state": 0o444, "disk": 0o444, "agent": 0o444} {
		st, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		if st.Mode().Perm() != mode || st.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s has mode %s and owner %d", name, st.Mode(), st.Sys().(*syscall.Stat_t).Uid)
		}
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(b.inspect(id).PID) + "/root/snapshot/mem"); err == nil {
		t.Error("the VMM still sees the snapshot")
	}
	if err := b.rt.Snapshot(b.ctx(), id, dir); vitrine.ClassOf(err) != vitrine.ClassConflict {
		t.Errorf("a second snapshot at the same place: %v", err)
	}
	must(t, b.rt.Stop(b.ctx(), id, 0))
	if err := b.rt.Snapshot(b.ctx(), id, dir+"2"); vitrine.ClassOf(err) != vitrine.ClassConflict {
		t.Errorf("a snapshot of a machine that has left: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Dir(dir) + "/*"); len(left) != 1 {
		t.Errorf("beside the snapshot there is %v", left)
	}
}

// The tiny guest has no agent, so it cannot become a machine of its own: that it
// is killed is what is to be seen, and that it did run on from where it was. What
// becomes of a Linux is in linux_test.go.
func TestARestoredMachineWithoutAnAgentReachesNobody(t *testing.T) {
	b := newBench(t, "flood")
	one := b.start(b.attached())
	b.await("it counts", func() bool { return b.count(one) > 100 })
	dir := b.snapshotOf(one)
	must(t, b.rt.Delete(b.ctx(), one))

	s := b.attached()
	err := b.rt.Restore(b.ctx(), s, dir)
	wantFailure(t, err, vitrine.FailAgentTimeout, "did not become one of its own")
	if st := b.inspect(s.ID); st.State != vitrine.MachineExited {
		t.Errorf("it is %+v", st)
	}
	if n := b.count(s.ID); n < 100 || strings.Contains(b.console(s.ID), "flood 1\r\n") {
		t.Errorf("the restored guest counted to %d; want it to go on beyond 100:\n%.300s", n, b.console(s.ID))
	}
}

func TestASnapshotThatDoesNotFitIsRefused(t *testing.T) {
	b := newBench(t, "idle")
	dir := b.snapshotOf(b.up(b.spec()))
	for _, c := range []struct {
		name  string
		spec  func(*vitrine.MachineSpec)
		spoil func() error
		code  string
		mend  func() error
	}{
		{name: "more memory is wanted", spec: func(s *vitrine.MachineSpec) { s.MemoryBytes *= 2 }, code: "snapshot_unfit"},
		{name: "more vCPU are wanted", spec: func(s *vitrine.MachineSpec) { s.VCPU = 2 }, code: "snapshot_unfit"},
		{name: "another image is wanted", spec: func(s *vitrine.MachineSpec) { s.ImageDigest = "sha256:other" }, code: "snapshot_unfit"},
		{
			name: "a byte of its memory differs", code: "image_corrupt",
			spoil: func() error { return flip(filepath.Join(dir, "mem")) },
			mend:  func() error { return flip(filepath.Join(dir, "mem")) },
		},
		{
			name: "its disk was cut short", code: "image_corrupt",
			spoil: func() error { return os.Truncate(filepath.Join(dir, "disk"), 1<<20) },
			mend:  func() error { return nil },
		},
		{
			name: "its manifest is none", code: "image_corrupt",
			spoil: func() error { return os.WriteFile(filepath.Join(dir, "manifest"), []byte("{"), 0o600) },
		},
		{name: "it is gone", code: "not_found", spoil: func() error { return os.RemoveAll(dir) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := b.spec()
			if c.spec != nil {
				c.spec(&s)
			}
			if c.spoil != nil {
				must(t, c.spoil())
			}
			err := b.rt.Restore(b.ctx(), s, dir)
			if got := codeOf(err); got != c.code {
				t.Errorf("Restore: %v, want %s", err, c.code)
			}
			if _, err := b.rt.Inspect(b.ctx(), s.ID); vitrine.ClassOf(err) != vitrine.ClassNotFound {
				t.Errorf("a machine was made: %v", err)
			}
			if c.mend != nil {
				must(t, c.mend())
			}
		})
	}
}

func TestASnapshotThatDoesNotFitOnTheDiskLeavesNothing(t *testing.T) {
	b := newBench(t, "flood")
	id := b.start(b.spec())
	b.await("it counts", func() bool { return b.count(id) > 20 })
	small := t.TempDir()
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=16m"))
	defer func() { must(t, unix.Unmount(small, 0)) }()
	wantFailure(t, b.rt.Snapshot(b.ctx(), id, filepath.Join(small, "s")), vitrine.FailHostDiskFull, "MiB")
	if left, _ := os.ReadDir(small); len(left) > 0 {
		t.Errorf("it holds %v", left)
	}
	at := b.count(id)
	b.await("it counts on", func() bool { return b.count(id) > at })
}

// flip changes a byte in the middle of a file, and changes it back.
func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 1<<20); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b, 1<<20)
	return err
}

func TestAMachineThatWasLeftStandingGoesOn(t *testing.T) {
	b := newBench(t, "flood")
	id := b.start(b.spec())
	b.await("it counts", func() bool { return b.count(id) > 20 })
	// As a daemon leaves it that is killed while it takes a snapshot.
	stand(t, filepath.Join(b.set.Base, id), b.inspect(id).PID)
	var at int
	b.await("it stands", func() bool { was := at; at = b.count(id); return at == was })
	b.reopen()
	_, err := b.rt.List(b.ctx())
	must(t, err)
	b.await("it counts on", func() bool { return b.count(id) > at })
}
