// Package api is the HTTP contract in Go: the bodies that openapi.yaml describes
// as structs, and openapi.yaml itself, embedded.
//
// The daemon's HTTP layer writes these types and the Go client reads them, so
// the two cannot drift from each other; a test of the HTTP layer holds live
// replies against openapi.yaml, so neither can drift from the contract. Nothing
// is decided here: how a session becomes a body stands in internal/httpapi.
//
// Rules of the types: every field of a reply is always there, and null when it
// has no value yet (pointers); in a request, a field that is left out takes the
// default (pointers or omitempty). Times are UTC. Durations are whole seconds in
// …Seconds and milliseconds in …MS.
//
// It may import the standard library and the domain package (for the names of
// states and codes), and nothing else.
package api

import _ "embed"

// Spec is openapi.yaml, the contract.
//
//go:embed openapi.yaml
var Spec []byte
