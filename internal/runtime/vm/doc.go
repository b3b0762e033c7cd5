// Package vm is what the runtimes with a kernel of their own (qemu, firecracker)
// have in common on the host's side: the drives of a machine, its initramfs, its
// kernel's arguments and its TAP.
//
// A machine has four drives, which its init (cmd/vitrine-init) tells apart by
// their content and never by name or order: the image, a squashfs that all
// machines share; the agent, an ext4 labelled vitrine-agent that all machines
// share; its own disk, a sparse ext4 labelled vitrine-disk whose size bounds what
// it writes; and the boot drive (agentproto.Boot), which holds the machine's
// config with its secret, and is 0600 and the machine's alone. Nothing secret
// stands in the kernel's arguments or in the VMM's.
//
// The VMM lives in the machine's own network namespace (docs/adr/0007). There
// its TAP is joined to the machine's end of the veth pair, both ways, and the
// address is the guest's to set. So a VMM that its guest has taken over sees no
// interface of the host, and the rules of the bridge port hold for what it sends.
//
// It may write the machine's directory and CacheDir, run mke2fs, and change the
// machine's own network namespace. It must not start a VMM, or touch the host's
// network.
package vm
