// Package vitrine is the domain: the nouns every other package shares.
//
// Vitrine runs browser desktops and command-line tools in isolated machines on
// the user's own server and shows them in a browser tab. This package says what
// a session, a machine, a runtime, an image, a network attachment, a boot
// ledger, a failure, a viewer and a ticket are, which state may follow which,
// and what the parts owe each other (the interfaces). It decides nothing about
// how: drivers live below internal/, and only cmd/ wires them together.
//
// It may import the standard library and nothing else, so that any package may
// import it without drawing in a driver. It must not touch a file, a socket or
// a clock of its own: callers pass times in. arch_test.go holds that rule.
package vitrine
