// Package e2e runs a real browser against a real daemon, which runs real
// machines: the main job as a person does it.
//
// The Go side (e2e_test.go) starts the daemon in a network namespace of the
// test's own, so that nothing in it can reach a real address, and hands
// Playwright (tests/) its URL, a login link and a small control program. The
// package holds tests only.
package e2e
