package codec

// The archives by name: the agent is linked with -extldflags=-static, and a
// test's binary should run the same code. OpenH264 is C++; libyuv's MJPEG
// reader, which we do not call, wants libjpeg. Debian 12's libvpx-dev,
// libyuv-dev, libjpeg62-turbo-dev, libopenh264-dev and g++ have them all.

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -l:libvpx.a -l:libopenh264.a -l:libyuv.a -l:libjpeg.a -l:libstdc++.a -lm -lpthread
*/
import "C"
