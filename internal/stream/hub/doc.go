// Package hub knows who looks at which session, who of them is in control, and
// how their input reaches the desktop.
//
// A Room is one session with at least one viewer, a Member one viewer in it. A
// member whose socket dropped is away for 30 s, in which it keeps its id and
// its control; it comes back with the resume secret it was given, which is a MAC
// under a key that outlives the daemon, so that a restart is survived as well.
// One member is in control at most; only its input goes anywhere. Control comes
// to the first member that may have it, is taken, given and released; whatever
// the one before held down is let go.
//
// A room keeps the desktop's control channel open while somebody looks, opens it
// anew with a growing pause when it breaks, and learns that way when the session
// is over. It owns the video sources, one per codec.
//
// The hub knows no HTTP, no WebSocket and no WebRTC: a Sink takes what a member
// is told, and must not block. All input is checked and bounded here.
package hub
