// Package shim is the supervisor of one machine: a small process that outlives
// the daemon, so that `kill -9` of the daemon, its crash or its upgrade costs no
// machine anything. It needs no systemd.
//
// Per machine there is one: `vitrine shim run DIR`, started by Launch in a
// session and mount namespace of its own and in a cgroup beside the machine's.
// It puts the machine's file systems together (plan.go says which), starts the
// OCI runtime or the program inside the machine's cgroup, keeps the console in a
// ring of two files, waits for the end and writes exit.json. SIGTERM asks the
// machine to end. All mounts live in its mount namespace only, so they are gone
// with its last process and there is nothing to unmount, ever.
//
// When the supervisor itself is killed the machine goes on: its output waits in
// a FIFO, and the runtime starts `shim watch DIR`, which takes over console and
// exit.json. A watcher is not the parent, so it does not learn the exit code and
// says -1 (unknown).
//
// Trust: everything it reads was written by the daemon, except the console,
// which is bytes to it. It must not import the domain, log the machine's
// secret, or grow: it is resident once per machine.
package shim
