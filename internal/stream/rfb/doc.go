// Package rfb stands between a VNC viewer and the desktop's X server and reads
// what the viewer says (RFC 6143 and the extensions that noVNC and TigerVNC
// speak), message by message, so that input gets through only while the viewer
// is in control.
//
// Only the viewer's direction is read; the desktop's is relayed as it comes.
// The parser is exact: it knows the length of every message it lets by, and a
// message that it does not know ends the connection, because what follows could
// not be told apart. Every length is bounded before it is waited for.
//
// Filter holds no goroutine and no clock; whoever uses it brings the bytes and
// the writer.
package rfb
