package faults

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/client"
)

// hostFaults are those of the host around the machines: room, disk, network,
// programs, KVM.
func hostFaults() []fault {
	return []fault{
		{
			name: "asked for less memory than the image needs", code: vitrine.FailMemoryBelowMinimum, on: []string{host}, quick: true, bare: true,
			make: func(w *world) told { return w.refused(tiny(8)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "memory_mb of 32 or more")
				w.works(tiny(32))
			},
		},
		{
			name: "as many sessions as are allowed", code: vitrine.FailHostNoCapacity, on: []string{host}, quick: true, bare: true,
			settings: []string{"VITRINE_MAX_SESSIONS=1"},
			make: func(w *world) told {
				w.create(tiny(0))
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) { w.endOne(remedy) },
		},
		{
			name: "no address is left in the subnet", code: vitrine.FailHostNoCapacity, on: []string{host}, bare: true,
			settings: []string{"VITRINE_SUBNET=192.168.202.0/29"},
			make: func(w *world) told {
				for range 5 { // eight addresses, less network, broadcast and bridge
					w.create(tiny(0))
				}
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) { w.endOne(remedy) },
		},
		{
			name: "all memory is lent", code: vitrine.FailHostNoCapacity, on: []string{host}, bare: true,
			make: func(w *world) told {
				st, err := w.api.Status(w.t.Context())
				if err != nil {
					w.t.Fatal(err)
				}
				w.begin(tiny(st.Capacity.MemoryMB - 300))
				return w.refused(tiny(512))
			},
			cure: func(w *world, remedy string) { w.endOne(remedy) },
		},
		{
			name: "the data directory's disk is low", code: vitrine.FailHostDiskFull, on: []string{host}, quick: true,
			settings: []string{"VITRINE_DISK_LOW_MB=100", "VITRINE_DISK_STOP_MB=0"},
			before:   func(w *world) { w.smallDisk() },
			make: func(w *world) told {
				w.fillDisk(50 << 20)
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "free space")
				w.follow(remedy, "vitrine gc --dry-run")
				w.freeDisk()
			},
		},
		{
			name: "the disk is full, and nothing watches it", code: vitrine.FailHostDiskFull, on: []string{qemu}, noBundle: true,
			settings: []string{"VITRINE_DISK_LOW_MB=0", "VITRINE_DISK_STOP_MB=0"},
			before:   func(w *world) { w.smallDisk() },
			make: func(w *world) told {
				w.probed()
				w.fillDisk(1 << 20) // the database can still be written
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "free space")
				w.freeDisk()
			},
		},
		{
			name: "the bridge's name is somebody else's", code: vitrine.FailHostNetworkFailed, on: []string{host}, quick: true,
			before: func(w *world) { w.must("ip", "-n", w.netns, "link", "add", w.bridge, "type", "bridge") },
			make:   func(w *world) told { return w.refused(tiny(0)) },
			cure:   func(w *world, remedy string) { w.follow(remedy, "ip link delete "+w.bridge) },
		},
		{
			name: "the subnet is somebody else's", code: vitrine.FailHostNetworkFailed, on: []string{host},
			before: func(w *world) {
				w.must("ip", "-n", w.netns, "link", "add", "other0", "type", "bridge")
				w.must("ip", "-n", w.netns, "addr", "add", "192.168.202.77/24", "dev", "other0")
				w.must("ip", "-n", w.netns, "link", "set", "other0", "up")
			},
			make: func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "VITRINE_SUBNET")
				w.restart("VITRINE_SUBNET=192.168.204.0/24")
			},
		},
		{
			name: "nft is not installed", code: vitrine.FailHostNetworkFailed, on: []string{host},
			before: func(w *world) { w.without("nft") },
			make:   func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "apt-get install nftables")
				w.doctorNames("nft")
				w.restart("PATH=" + os.Getenv("PATH"))
			},
		},
		{
			name: "crun is not installed", code: vitrine.FailRuntimeMissing, on: []string{container}, quick: true,
			before: func(w *world) { w.without("crun", "runc") },
			make:   func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "apt-get install crun")
				w.restart("PATH=" + os.Getenv("PATH"))
			},
		},
		{
			name: "runsc is not where it should be", code: vitrine.FailRuntimeMissing, on: []string{gvisor},
			settings: []string{"VITRINE_RUNSC=/nowhere/runsc"},
			make:     func(w *world) told { return w.refused(tiny(0)) },
			cure:     func(w *world, remedy string) { w.restart("VITRINE_RUNSC=") },
		},
		{
			name: "QEMU is not installed", code: vitrine.FailRuntimeMissing, on: []string{qemu},
			before: func(w *world) { w.without("qemu-system-x86_64") },
			make:   func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "apt-get install qemu-system-x86")
				w.restart("PATH=" + os.Getenv("PATH"))
			},
		},
		{
			name: "there is no /dev/kvm", code: vitrine.FailHostKVMUnusable, on: []string{host},
			settings: []string{"VITRINE_RUNTIME=firecracker"},
			before: func(w *world) {
				// The fault is the device's; the programs need only be there.
				w.set("VITRINE_FIRECRACKER="+w.saying("firecracker", "Firecracker v1.16.1"), "VITRINE_JAILER="+w.saying("jailer", "Jailer v1.16.1"))
				w.prefix = []string{"unshare", "--mount", "sh", "-ec", `if [ -e /dev/kvm ]; then mount --bind /dev/null /dev/kvm; fi; exec "$@"`, "sh"}
			},
			make: func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "VITRINE_RUNTIME=gvisor")
				w.prefix = nil
				w.restart("VITRINE_RUNTIME=gvisor", "VITRINE_FIRECRACKER=", "VITRINE_JAILER=")
			},
		},
	}
}

// endOne ends the newest session in the way that a remedy for a full host says.
func (w *world) endOne(remedy string) {
	w.t.Helper()
	w.says(remedy, "vitrine session rm")
	list, err := w.api.ListSessions(w.t.Context(), client.ListOptions{})
	if err != nil || len(list.Sessions) == 0 {
		w.t.Fatalf("the sessions: %+v, %v", list, err)
	}
	if out, err := w.vitrine("session", "rm", list.Sessions[0].ID); err != nil {
		w.t.Fatalf("vitrine session rm: %v\n%s", err, out)
	}
}

// smallDisk gives the data directory a disk of 160 MiB.
func (w *world) smallDisk() {
	w.t.Helper()
	w.must("mkdir", "-p", w.data())
	w.must("mount", "-t", "tmpfs", "-o", "size=160m,mode=0700", "vitrine-faults", w.data())
	w.atEnd(func() { w.must("umount", w.data()) })
}

func (w *world) filler() string { return filepath.Join(w.data(), "somebody's file") }

// fillDisk leaves so many bytes free on the data directory's disk.
func (w *world) fillDisk(leave int64) {
	w.t.Helper()
	f, err := os.Create(w.filler())
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Statfs(w.data(), &st); err != nil {
		w.t.Fatal(err)
	}
	// To the last byte only by writing: the file system takes some for itself.
	n, err := io.Copy(f, io.LimitReader(zeros{}, int64(st.Bavail)*st.Bsize-leave))
	if err != nil && (leave > 0 || !errors.Is(err, syscall.ENOSPC)) {
		w.t.Fatalf("after %d bytes: %v", n, err)
	}
}

// probed waits until the daemon knows which runtimes work.
func (w *world) probed() {
	w.t.Helper()
	within(w.t, time.Minute, "the runtimes are probed", func() bool {
		st, err := w.api.Status(w.t.Context())
		return err == nil && !slices.ContainsFunc(st.Runtimes, func(r api.RuntimeStatus) bool { return r.Probe.Reason == vitrine.ProbePending })
	})
}

// probedAgain waits until a runtime that did not work is asked again by the next
// create, which is every 15 s at most.
func (w *world) probedAgain() {
	w.t.Helper()
	within(w.t, 30*time.Second, "the runtime is tried again", func() bool {
		s, err := w.api.CreateSession(w.t.Context(), tiny(0), client.CreateOptions{})
		if err == nil {
			_, err = w.api.DeleteSession(w.t.Context(), s.ID, true)
		}
		return err == nil
	})
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func (w *world) freeDisk() {
	w.t.Helper()
	if err := os.Remove(w.filler()); err != nil {
		w.t.Fatal(err)
	}
}

// without gives the next daemon a PATH on which some programs are not.
func (w *world) without(programs ...string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "path")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(from)
		for _, e := range entries {
			_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())) // the first of a name counts
		}
	}
	for _, p := range programs {
		if err := os.Remove(filepath.Join(dir, p)); err != nil && !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
	}
	w.set("PATH=" + dir)
}

// saying makes a program that says its version and does nothing else.
func (w *world) saying(name, version string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+version+"'\n"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// doctorNames wants the doctor to fail for what is wrong.
func (w *world) doctorNames(what string) {
	w.t.Helper()
	out, err := w.vitrine("doctor")
	for line := range strings.Lines(out) {
		if strings.Contains(line, what) && strings.HasPrefix(line, "fail") {
			return
		}
	}
	w.t.Errorf("vitrine doctor does not name %s: %v\n%s", what, err, out)
}
