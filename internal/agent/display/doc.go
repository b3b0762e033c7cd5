// Package display is the half of streaming that runs inside the machine: it
// watches the X screen, encodes what changed, types and points, and carries
// cursor and clipboard.
//
// It is two programs in one package. Start is called by the agent, which is
// root in the machine; it runs "vitrine-agent display" as the desktop's user
// and hands that child the sockets of streams as file descriptors. Main is that
// child. They are apart because
//   - the X server lets only its own user share memory with it, and most of all
//     under gVisor capture without MIT-SHM costs three times as much;
//   - the codecs are C, fed with pixels drawn by strangers' pages: a fault in
//     them must not be a fault of the program that holds the machine's secret;
//   - the X binding (jezek/xgb) answers a lost connection by closing channels
//     and cannot be reconnected. When the X server goes the child therefore
//     ends with an error, and the agent starts X server and child anew. Streams
//     end with it and the node opens them again.
//
// The child never sees the machine's secret: a stream reaches it after the
// agent has let it in. It is not dumpable, so the desktop's programs, which run
// as the same user, cannot read its memory or take its sockets.
//
// In the child one engine (engine.go) owns the capture. X tells by XDamage what
// changed; nothing is polled. A first change is captured 1 ms later, further
// ones at most 60 times a second; only the damaged rectangles are fetched,
// converted, and given to each stream's encoder with a map of the changed
// blocks. With no video stream open nothing is captured; with a still screen a
// frame leaves every agentproto.HeartbeatInterval.
//
// It may touch the X server, its own sockets and shared memory. It must not
// touch files, the network or the domain, and trusts no byte of a stream: every
// message is bounded by agentproto and checked before it is used.
package display
