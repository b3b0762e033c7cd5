// Package codec turns a screen's pixels into VP8 or H.264.
//
// It wraps three C libraries, linked statically because the agent must run in
// any image: libvpx (BSD, VP8), OpenH264 (BSD, H.264) and libyuv (BSD, BGRX to
// I420; it pulls in libjpeg, IJG/BSD). x264 would be a little cheaper but is
// GPL and is not linked.
//
// Both encoders are set up for a screen that is watched live: no look-ahead, no
// frame is held back or dropped, no keyframe unless asked for, one thread
// (libvpx's threads spin, which costs a busy host more than they win), and an
// encoder is told which 16x16 blocks changed. What leaves Encode is one access
// unit that can be sent at once.
//
// Rate control believes the time stamps it is given. A gap in them is a budget:
// after a second of stillness a CBR encoder would spend a second's worth of
// bits on one frame, which then takes a second to transfer. pacer therefore
// shows the encoders at most a few frames' time for a frame in motion, and the
// true time for a refinement, when bits are free and nobody waits.
//
// It may touch memory that it is given, and nothing else. An Encoder is used
// from one goroutine. Sizes are even: a screen of an odd size is encoded
// without its last column or row, since 4:2:0 in H.264 has no odd sizes.
package codec
