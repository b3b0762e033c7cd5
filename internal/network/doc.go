// Package network gives each machine a place on the host's bridge, and nothing
// but the internet beyond it.
//
// A machine has a network namespace of its own, /run/netns/vt-<bridge>-<machine
// id>, in which one interface, eth0, has its address and a route to the bridge.
// The other end of the pair is an isolated port of the bridge: the kernel
// forwards nothing between two isolated ports. What may leave a port is held by
// two nftables tables, both named vitrine_<bridge>:
//
//	bridge  a frame whose port, source MAC and source IPv4 (for ARP: sender MAC
//	        and IPv4 too) are not those of one machine is dropped, as is
//	        everything that is neither IPv4 nor ARP, VLAN tags and IPv6 among it
//	inet    input from the bridge is dropped: the host serves guests nothing.
//	        Forwarding from the bridge is dropped towards private, link-local,
//	        shared, loopback and multicast ranges, so also towards other guests;
//	        the one exception is port 53 of the resolvers that guests are given.
//	        Towards the bridge only replies pass. The rest is masqueraded.
//
// Nothing is kept in memory that matters: machines are recognised by the names
// of their namespaces and by the alias of their host interface, so a daemon that
// starts anew finds, uses and removes what an earlier one made. The rules are
// written whole, in one transaction, from what the kernel says is there. The
// bridge and the tables go with the last machine.
//
// Routing needs forwarding on the bridge and on the way out. Where the host does
// not forward already, only the interfaces of the default routes are switched
// on, noted in the state directory before, and switched back in the end.
//
// The package talks netlink, runs nft, and writes below /proc/sys/net,
// /run/netns and its state directory. It must not touch interfaces, tables or
// routes that are not its own, and refuses to take over a bridge or a subnet
// that somebody else uses. It knows machines by their id only.
package network
