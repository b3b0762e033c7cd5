// Package supervised is what the runtimes without a kernel of their own have in
// common: it implements vitrine.Runtime, Watcher and Pauser over a machine's
// directory (machinedir), its cgroup (cgroup) and its supervisor (shim). What
// differs, namely what to run, is a Driver of a few dozen lines.
//
// Everything is on disk or in the kernel, nothing in memory: a machine's state
// is worked out from its directory and its processes each time it is asked for,
// so a new Runtime over the same directory, after a kill or an upgrade, knows as
// much as the one before. What will be made is named in spec.json first, under
// names that follow from the machine's id, so whatever half-made thing a crash
// leaves is found by List and removed by Delete.
//
// Calls on one machine are serialised by a lock on its directory; calls on
// different machines share nothing.
//
// It may start supervisors, signal processes that it can name without doubt,
// and touch the base directory and cgroups below its parent. It must not touch
// the network, except through the Driver's Prepare.
package supervised
