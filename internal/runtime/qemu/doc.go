// Package qemu runs machines in virtual machines of QEMU: its microvm machine,
// with virtio devices and nothing else. With hardware KVM that is a microVM like
// any other; without, QEMU emulates the processor in software, which runs
// anywhere, is twenty times slower, and says "emulated-vm" on each session.
//
// QEMU is the machine's one process. It starts as root in the machine's network
// namespace, cgroup and private mounts, opens what it is given by name, and
// before it runs one instruction of the guest it is the slot's own user, without
// capabilities, in a root that holds only its own sockets, under its own seccomp
// filter: no new program, no change of user, no other namespace is within reach
// of a guest that has taken it over. Its console is its standard output.
//
// The guest stands still until Boot has spoken to QEMU over QMP: what QEMU says
// there is a compromised program's word, so replies are bounded in length, in
// number and in time, and the parser is fuzzed. The agent is reached by
// virtio-serial ports, each with a socket in the machine's share directory and a
// lock in its directory, so any process may dial and a killed one frees its port.
//
// Pausing freezes the machine's cgroup, as for the other runtimes: QMP's "stop"
// would need the VMM's good will, and would leave the guest's clock behind by
// the length of the pause.
//
// It may run qemu-system-x86_64 and change what package vm may; it must not put
// anything secret on QEMU's command line.
package qemu
