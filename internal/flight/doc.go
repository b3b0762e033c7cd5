// Package flight is the flight recorder: of each session that failed it keeps
// what was known at that moment as one bundle, a gzipped tar that a person can
// send to somebody else.
//
// A bundle holds a summary to read first, session, failure and boot ledger, the
// end of the console, the agent's last word, the logs of the runtime's own
// programs, the figures of the host, the daemon's version and settings, and the
// last screenshot. What could not be had is named in it, with the reason.
//
// Secrets go before anything is written (redact.go): values that are known, the
// forms of well-known credentials, and whatever stands where a secret would.
// Redaction is a pure function and rather takes too much: a bundle with a hole
// explains a failure as well, one with a key cannot be called back. A picture
// is shown as it was; whoever sends a bundle on should look at it.
//
// On disk (store.go) a bundle is DIR/<session id>.tar.gz, mode 0600, there whole
// or not at all, bounded in size and all together, the oldest going first. A
// full disk, a crash in the middle or a bundle that somebody removed costs a
// bundle and nothing else.
//
// It may read /proc and touch its own directory. It must not ask a machine, a
// runtime or the store: what is known of a failure is handed to it.
package flight
