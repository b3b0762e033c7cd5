// Package host sees and removes what Vitrine makes on a host.
//
// It reads what is there by the names that things are given before they are
// made, and not through the code that makes them: an audit that asked the
// maker would be blind to the maker's own mistakes. A test makes each thing with
// the real makers and holds the two in step. The names:
//
//	<data>/machines/<runtime>/mch_…     a machine's directory
//	/<instance>/mch_…, /supervisors     cgroups, in each tree of the host
//	<argv> shim run|watch <directory>   a supervisor
//	/run/netns/vt-<bridge>-mch_…        a network namespace
//	vt + 3 + 10 hex digits              a port: hashes of bridge, and of bridge and machine
//	vitrine/<bridge>[/mch_…/address]    the alias of the bridge, and of a port
//	vitrine_<bridge>                    two nftables tables
//	<images>/.tmp-…                     a build's directory, while .lock is not held
//	<data>/vm/….tmp, agent-tree-…       a shared drive in the making, likewise by lock
//	<tmp>/vitrine-doctor-…              a doctor's probes, while the doctor does not hold it
//
// Two instances on one host differ in bridge and data directory, and each sees
// its own only. Where a name is ours and something else about the thing is not
// (a machine whose supervisor keeps it in another data directory, a bridge
// without our alias), it is reported as foreign and never touched.
//
// Looking changes nothing. Removing looks again at each thing first, and does the
// least that helps: what a runtime or the network can remove is left to them, by
// functions that cmd gives. The package decides nothing: package leftover says
// what is nobody's. Package doctor, beside it, judges whether the host is fit.
package host
