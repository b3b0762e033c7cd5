package faults

import (
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine"
)

// guestFaults are those of machines that were ready.
func guestFaults() []fault {
	return []fault{
		{
			name: "the agent is killed", code: vitrine.FailAgentCrashed, on: []string{container, gvisor, qemu}, quick: true,
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.kill9(w.outermost(w.theMachine(s.ID)))
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "vitrine session logs") },
		},
		{
			name: "the agent hangs", code: vitrine.FailAgentTimeout, on: []string{container, gvisor},
			make: func(w *world) told {
				s := w.create(tiny(0))
				if w.signal(w.theMachine(s.ID), "", syscall.SIGSTOP) == 0 {
					w.t.Fatal("the machine has no process")
				}
				return w.fails(s.ID) // after a minute of silence
			},
			cure: func(w *world, remedy string) { w.says(remedy, "vitrine session logs") },
		},
		{
			name: "the machine loses its address", code: vitrine.FailGuestNetworkDown, on: []string{container}, quick: true,
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.must("ip", "-n", w.netnsOf(w.theMachine(s.ID)), "addr", "flush", "dev", "eth0")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "vitrine doctor") },
		},
		{
			name: "the machine's interface goes down", code: vitrine.FailGuestNetworkDown, on: []string{qemu},
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.in(s.ID, "ip", "link", "set", "eth0", "down")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "vitrine doctor") },
		},
		{
			name: "a program takes all memory", code: vitrine.FailGuestOOM, on: []string{gvisor},
			make: func(w *world) told {
				s := w.create(tiny(96))
				w.in(s.ID, "tail", "/dev/zero")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "more than 96 MiB") },
		},
		{
			name: "the kernel panics for want of memory", code: vitrine.FailGuestOOM, on: []string{qemu},
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.in(s.ID, "sh", "-c", "echo 2 >/proc/sys/vm/panic_on_oom; echo 1 >/proc/sys/vm/overcommit_memory; dd if=/dev/zero of=/dev/null bs=2048M count=1")
				return w.fails(s.ID)
			},
			cure: func(w *world, remedy string) { w.says(remedy, "memory_mb") },
		},
		{
			name: "the kernel panics", code: vitrine.FailGuestKernelPanic, on: []string{qemu},
			make: func(w *world) told {
				s := w.create(tiny(0))
				w.in(s.ID, "sh", "-c", "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
				got := w.fails(s.ID)
				if !strings.Contains(strings.Join(got.failure.Evidence, "\n"), "sysrq triggered crash") {
					w.t.Errorf("the evidence does not hold the panic's cause")
				}
				return got
			},
			cure: func(w *world, remedy string) { w.says(remedy, "keep the evidence") },
		},
	}
}
