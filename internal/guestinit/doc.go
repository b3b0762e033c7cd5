// Package guestinit turns a booted kernel into a machine: it is what runs in a
// virtual machine before the agent, out of the initramfs.
//
// It loads the modules that lie in /modules, finds the machine's four drives by
// what is on them, puts the image's read-only tree and the machine's own writable
// drive together as one root (overlayfs), mounts what programs expect (/proc,
// /sys, /dev, /run), writes the files of the boot drive, and becomes the agent
// (`agent init --vm`), which is the machine's first process from then on.
//
//	base     squashfs                       read-only; the image, shared by all its machines
//	agent    ext4, label vitrine-agent      read-only; holds /vitrine-agent
//	scratch  ext4, label vitrine-disk       read-write; its size bounds what the machine writes
//	boot     agentproto.BootMagic           read-only; this machine's config, names and addresses
//
// Drives are told by content because their order and names are the VMM's. Three
// of them are the host's. The scratch drive holds what the machine wrote before,
// when it is started again: what that leads astray is this machine alone.
//
// A machine whose init gives up says in one line on its console what could not be
// done and resets, which ends its VMM: it never waits for somebody to come, and
// never runs a shell. Every wait has a limit.
//
// It may call the kernel for all that. It must not start any program but the
// agent, and imports agentproto only, so that it stays small: it is unpacked into
// memory at every start.
package guestinit
