// Package rtc is the node's end of WebRTC: one UDP port and one TCP port for all
// viewers of all sessions, and a Peer for each viewer's connection.
//
// The viewer offers and the node answers, with every one of its candidates in
// the answer: they are the node's own addresses on the media port, so there is
// nothing to gather from elsewhere. A socket is bound to each local address, not
// to the wildcard, so that an answer leaves from the address that was asked.
// mDNS is off and no name is ever resolved; addresses that a viewer offers are
// only contacted when Reachable says so (never the machines' subnet, link-local
// or multicast), and never by TCP.
//
// A Peer sends one video track, takes the data channels "input" and "pointer",
// and tells of keyframe requests, bandwidth, and its end through callbacks. It
// knows neither sessions nor who is in control. Every byte of a viewer is
// bounded before pion sees it.
package rtc
