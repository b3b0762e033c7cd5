// Package image builds golden root filesystems from recipes, keeps them in a
// directory addressed by digest, and holds them to that digest before use.
//
// An image is <store>/<digest hex>/ with files of ours beside the tree:
//
//	rootfs/         what machines see, never written to after the build
//	files.jsonl     a header line (name, kind, least memory), then one line for
//	                each path: type, mode, owner, size, time, SHA-256, link target
//	manifest.json   vitrine.Manifest: what a person or the scheduler wants to know
//	verified.json   the state of the inodes at the last full verification
//	disk.squashfs   the same tree as one file, for machines with a kernel of
//	                their own, read-only and shared by all of them
//	disk.json       DiskInfo: the disk's SHA-256 and size
//	disk-verified.json   verified.json's like for the disk
//
// The digest is the SHA-256 of files.jsonl, so it covers every byte of the tree
// and what the scheduler is told about it. Trees are made reproducible (see
// scrub.go): the same recipe and the same packages give the same digest, and,
// made by the same mksquashfs, the same disk.
//
// An image of kind kernel holds no system but the guest kernel of microVMs,
// taken out of Debian's package (kernel.go). It has no disk and no session is
// started from it: Resolve and List pass it over, Kernel gives it.
//
// A build works in a directory whose name starts with ".tmp-" below the store,
// under a lock that a killed builder cannot keep, and is made visible by one
// rename. What a killed builder left is removed by the next build. mmdebstrap
// runs in PID and mount namespaces of its own and dies with the builder, as
// mksquashfs does, so no mount or process outlives it.
//
// The package runs mmdebstrap, unshare, mksquashfs and apt-config, reads the host's apt
// sources, and writes below its store. It must not touch machines, the network
// or the database, and it does not know which images are wanted: callers say.
package image
