// Package machinedir is a machine's directory on the host: what is in it, who
// writes what, and how it is read by a process that did not make it.
//
//	<base>/<machine id>/          0700, root's
//	  spec.json                   0600; first thing made, so a half-made machine is found. Holds the agent's secret
//	  plan.json                   0600; what the supervisor is to do (package shim)
//	  supervisor.lock             locked by the supervisor as long as it lives
//	  supervisor.json             which process that is
//	  machine.json                which process the machine is; there as soon as it runs
//	  exit.json                   how it ended; there as soon as it has
//	  console.log, console.log.1  what it printed: a ring of two files of 1 MiB
//	  console.fifo                its standard output
//	  runtime.log                 the last lines of the OCI runtime's or VMM's log, once it has ended
//	  scratch.img                 the machine's writable disk, a sparse file (container, virtual machines)
//	  boot.img                    a virtual machine's boot drive, with its secret; 0600
//	  booted                      there when a VMM was told to run its guest
//	  stage/                      what a VMM's root is mounted on
//	  port*.lock, answered        who has which of QEMU's ports; that its agent has answered once
//	  disk/                       the file that holds what it writes (gvisor)
//	  share/                      the agent's directory (process)
//	  deleting                    there once a Delete has begun
//
// A process is named by pid, start time and boot id together, and signalled by
// pidfd only: a pid alone may be somebody else's by now.
//
// It may touch files below a base directory and /proc. It must start nothing
// and must not know what a runtime is.
package machinedir
