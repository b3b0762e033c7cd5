// Package faults makes what can go wrong really go wrong, on real machines, and
// holds the product to its word: the failure is named by the catalogue's code,
// with evidence and a remedy that can be typed; the remedy cures it; the API
// answers meanwhile; and nothing is left on the host.
//
// It holds tests only. Each fault is a row (fault): what makes it, the runtimes
// it can occur on, the code it must be given, and what follows the remedy. A row
// runs in a world of its own: a network namespace, a data directory, a bridge
// and a daemon, which is the program that is shipped. Then there is the
// kill-anything test, churn, a copy of the database taken while it is written,
// and healthy desktops beside thirty starts that fail.
//
// It may touch what belongs to its worlds, and nothing else: never the image
// store of the host, which it only reads; never a network outside of its
// namespaces. What it does to a machine it does from the host as a broken part
// would (signals, a missing file, a full disk) or within the machine as its user
// could.
//
// A few rows run in `make test`, all of them with VITRINE_TEST_FULL=1, which is
// `make test-faults`. VITRINE_TEST_VITRINE names the daemon's program
// (bin/vitrine), VITRINE_TEST_SEED repeats a kill-anything run.
package faults
