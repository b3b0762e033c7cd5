//go:build !amd64

package qemu

// tscKHz is 0: the host has no time stamp counter of this kind.
func tscKHz() int { return 0 }
