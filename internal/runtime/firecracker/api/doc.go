// Package api speaks to one Firecracker over its unix socket.
//
// It holds the calls that this project makes, each typed, in the words of
// Firecracker's own API description (firecracker.yaml of release 1.16); a test
// holds every request to that file where FIRECRACKER_SWAGGER names it. There is
// no dormant SDK in between, and a call that we do not make is not here.
//
// Every call has a deadline of its own, because a virtual machine monitor that
// was stopped or is stuck accepts a connection and says nothing. What it answers
// when it refuses, its fault_message, becomes the error's text.
//
// Trust: a guest that broke out of its machine is on the other side of this
// socket. So replies are bounded, are used for nothing but their declared fields,
// and whatever is printed of them is cut and stripped. The package must not
// start, find or end processes; it is given a function that connects.
package api
