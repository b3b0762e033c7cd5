// Package runtimetest is the one suite that every runtime passes: what
// vitrine.Runtime promises, tried on real machines of this host.
//
// A runtime's own test is a Factory, a TestMain that calls Main, and Run, because
// the test binary is also the supervisor of the machines it makes, and the
// process that is killed to see whether they outlive it. The machines' root is a
// busybox of the host's in a directory that the suite makes; the agent is built
// from this repository.
//
// Everything is looked for on the host before and after: processes, mounts,
// loop devices, cgroups, directories.
package runtimetest
