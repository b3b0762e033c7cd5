// Package agent is the program inside each machine: it brings the machine up,
// keeps its programs running and is the node's one way in.
//
// Three processes run it. `init` is the machine's first process: it makes the
// few mounts that the runtime did not give, starts serve, reaps orphans, and
// ends the machine in order; in a virtual machine (--vm) it comes after
// vitrine-init and resets the kernel at the end. `serve` supervises the X
// server, window manager, sound server and Chromium, and answers the node over
// the unix socket Dir/agent.sock, or over what a virtual machine's VMM gives:
// vsock or virtio-serial ports (package agentproto). `display` is a child without
// rights that captures, encodes and types; it lives in agent/display and is
// supervised like any other program.
//
// What guards the door: the socket lies in a directory of the machine's root,
// has mode 0600, its peer must be root or outside the machine; vsock takes the
// host only, and a port's other end is the host. Every request carries the machine's secret. Chromium's DevTools are on a pair of
// pipes and the X server's RFB on a unix socket, so that no page can reach
// either through the network.
//
// It may run programs, signal its own children, mount in its own machine and
// write to Dir and the user's home. It must not touch processes that are not
// its own (in the process runtime the host's are in sight), must not log the
// secret, and must not import the domain: the agent is built without it.
package agent
