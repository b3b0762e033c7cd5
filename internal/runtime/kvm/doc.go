// Package kvm says whether this host can run virtual machines at speed, by
// running one.
//
// /dev/kvm being there proves nothing: it may not be ours to open, the module
// may be loaded on a processor that has no use of it, and some hosts (guests of a
// para-virtualised host, without svm or vmx) offer one that runs a guest's user
// code natively and emulates its kernel code, at about a million instructions a
// second where a processor does several thousand million. A Linux takes minutes
// to boot there. So Probe makes a machine of one page of our own code, in 64-bit
// mode at ring 0, lets it count for a tenth of a second, and divides.
//
// Measured (instructions a second, ring 0): hardware 1e9 to 8e9, also nested;
// hosts that emulate 5e5 to 2e6. Floor lies in the wide gap between.
//
// It talks to the kernel by ioctl alone: no program, no child process, nothing
// that could be left behind, since a machine of KVM is a file descriptor. It must
// not know what the machine would be used for, and it may not hang: a guest that
// never leaves by itself is made to by a signal.
package kvm
