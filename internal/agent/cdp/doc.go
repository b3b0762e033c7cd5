// Package cdp shares one Chromium DevTools pipe among several clients.
//
// Chromium is started with --remote-debugging-pipe: messages are JSON, each
// ended by a zero byte, on descriptors 3 (to it) and 4 (from it). There is no
// TCP port that a page could reach, but also only one speaker. A Mux is that
// speaker: for every client it attaches to the browser target a second time
// (Target.attachToBrowserTarget), which gives the client a browser session of
// its own with its own domains, auto-attach settings and child sessions.
//
// To a client that session is the root: its messages without a sessionId go to
// it, and come back from it without one. Ids are rewritten to ones of the pipe
// and back. A child session belongs to the client under whose session it was
// attached; a client that names another's gets the error Chromium would give.
// When a client leaves, its browser session is detached and with it all that
// it had attached. Browser.close is answered and ends the client, not the
// browser: the desktop is not the client's to end.
//
// Everything is bounded: message size, commands under way, what waits for a
// client that does not read. A client that is over a bound is dropped; the
// others do not notice. The package touches nothing but the pipe it is given.
package cdp
