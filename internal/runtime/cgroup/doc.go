// Package cgroup gives each machine one control group and holds it to its
// limits: memory (swap off), CPU time, number of processes.
//
// Hosts come in three layouts and all are served alike: pure v2 (one tree),
// v1 (one tree a controller), and hybrid (v1 for the controllers, an empty v2
// tree beside it). A Group is the same path in every tree of the host, so that
// a program that looks for a controller we do not need (runsc does) finds the
// directory made and leaves it alone, and one Remove clears them all. On a
// hybrid host the v2 tree is joined too: it has no controllers, but it has
// cgroup.kill, cgroup.freeze and pressure figures.
//
// Why not leave this to crun, runc or runsc: crun 1.8 refuses hybrid hosts, each
// of them cleans up differently after being killed, and the limits must hold
// from the first instruction of every helper, also of the OCI runtime itself.
// So processes are born in the group (Group.Start) and the OCI runtimes are told
// to leave cgroups alone.
//
// It may touch the cgroup file systems and nothing else. It must not know what
// a machine is, and must not keep state: the tree is the state.
package cgroup
