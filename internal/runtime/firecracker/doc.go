// Package firecracker runs machines as Firecracker microVMs: a kernel of their
// own on hardware virtualisation, with a virtual machine monitor (VMM) of a few
// megabytes that is jailed besides.
//
// The VMM runs under the supervisor (packages supervised and shim) that all
// machines have: its standard output is the guest's serial console, and it
// outlives the daemon. Firecracker's own jailer starts it with a uid and gid of
// the machine's slot, in a pid namespace of its own, in the machine's network
// namespace, and in a root that is a tmpfs of the supervisor's: what it needs of
// the host is bound into it file by file, read-only but for the machine's own
// disk. When the last process of the machine ends, that tmpfs ends with it, so
// there is no chroot to clean, ever. Once the VMM's API socket is there, Boot
// describes the machine to it and starts the guest.
//
// The jailer's own cgroup flags are not used: it makes its groups in one version
// of cgroups only, nobody removes them, and they hold the VMM alone. Package
// cgroup does the same for all runtimes, from the jailer's first instruction.
//
// The agent is reached by vsock: a unix socket of the VMM's, on which CONNECT
// and a port are asked for. It does not depend on the guest's network.
//
// Trust: a guest may have taken its VMM over. Then it holds an empty root, one
// uid, no network but its own, and /dev/kvm; what it answers on its two sockets is
// bounded, and no link that it makes is followed. Nothing secret is in the VMM's
// arguments or the kernel's: the agent's secret is on the boot drive, which is
// 0600 and this machine's alone.
package firecracker
