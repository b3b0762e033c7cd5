// Package bwe estimates how many bits per second reach one viewer, from the
// transport-wide congestion control feedback that its browser sends.
//
// It is a sender-side controller in the line of Google Congestion Control
// (draft-ietf-rmcat-gcc-02): it goes down on a standing queue and on loss, and
// up by 8 % a second while neither is seen. It exists beside pion's gcc because
// a desktop is application-limited most of the time, and pion's estimator sets
// its target to 0.85 of the rate received at any sign of overuse: one jittery
// packet on an idle page takes it to the floor, and it needs half a minute to
// come back. Here an estimate only moves when there is evidence: it goes down
// when packets really waited (the least one-way delay of a feedback interval
// against the least of the last minute) or were really lost while the link was
// loaded, and up only while the link carries at least half of the estimate. An
// idle stream leaves it as it is.
//
// Estimator is pion's cc.BandwidthEstimator, so that pion's interceptor feeds
// it. It holds no goroutine and no timer; the clock is handed in. Feedback is a
// viewer's word: everything is bounded by what was really sent.
package bwe
