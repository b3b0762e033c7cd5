// Package stream joins viewers to sessions: it is vitrine.Streams.
//
// It puts together its sub-packages. rtc is the media port and the peers on it,
// relay the TURN server, media the fan-out of encoded video, bwe the bandwidth
// estimate, hub who looks and who is in control, rfb the gate before the X
// server. What is here is the sockets themselves: signal, vnc and cdp over
// WebSocket, and the plain and WHEP ways to make a WebRTC connection.
//
// The HTTP layer has authenticated and authorised whoever comes here. This
// package holds no key but the two it is given (TURN and resume), writes
// nothing to disk and opens no port but the media and the TURN port. What a
// viewer or a machine sends is bounded before it is kept.
package stream
