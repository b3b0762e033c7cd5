// Package session is the session service: it takes what users want of sessions,
// and makes it so, one idempotent step at a time.
//
// The API's side (service.go, check.go) writes wishes to the store and returns;
// the reconciler's side (reconcile.go) has one worker a session, which reads the
// session, lets plan (plan.go, pure) name the next action, and does that one
// step (act.go, boot.go, watch.go, teardown.go). Whatever a step had reached
// when the daemon was killed, the next daemon plans from the store and from
// what it sees of the machine, and goes on: machines outlive the daemon.
//
// Calls into runtimes, the network and agents may be slow, or stuck for ever.
// None is made from an API call's goroutine except to show a console; each runs
// under a deadline (call.go) and is left behind when it does not keep it; and a
// lease is not given back while such a call might still make something. Starts
// run a few at a time, and one that is slow gives up its turn.
//
// It imports the domain and internal/diagnose (pure; the judgement of a start is
// this package's business), and reaches everything else through the domain's
// interfaces. It must not know a driver, HTTP, or SQL, and touches no file.
package session
