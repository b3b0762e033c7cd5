package codec

/*
#include <stdlib.h>
#include "h264.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

type h264 struct {
	cfg   Config
	enc   *C.vitrine_h264
	pacer pacer
}

// NewH264 makes an H.264 encoder, constrained baseline.
func NewH264(cfg Config) (Encoder, error) {
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return nil, err
	}
	e := (*C.vitrine_h264)(C.calloc(1, C.sizeof_vitrine_h264))
	rc := C.vitrine_h264_open(e, C.int(cfg.Width), C.int(cfg.Height), C.int(clampBitrate(cfg.Bitrate)/1000))
	if rc != 0 {
		C.vitrine_h264_close(e)
		C.free(unsafe.Pointer(e))
		return nil, fmt.Errorf("make an H.264 encoder: OpenH264 error %d", int(rc))
	}
	return &h264{cfg: cfg, enc: e}, nil
}

func (h *h264) Encode(in Input) ([]byte, bool, error) {
	if err := checkInput(h.cfg, in); err != nil {
		return nil, false, fmt.Errorf("encode H.264: %w", err)
	}
	if h.enc == nil {
		return nil, false, fmt.Errorf("encode H.264: encoder is closed")
	}
	pts := h.pacer.next(in.PTS, in.Refine > 0)
	key := C.int(0)
	if in.Key {
		key = 1
	}
	im := in.Image
	u := C.vitrine_h264_encode(h.enc,
		(*C.uint8_t)(unsafe.Pointer(&im.Y[0])), (*C.uint8_t)(unsafe.Pointer(&im.U[0])),
		(*C.uint8_t)(unsafe.Pointer(&im.V[0])), C.int(im.YStride), C.int(im.CStride),
		key, C.int(in.Refine), C.int64_t(pts.Microseconds()))
	if u.err != 0 {
		return nil, false, fmt.Errorf("encode H.264: OpenH264 error %d", int(u.err))
	}
	if u.len == 0 {
		return nil, false, fmt.Errorf("encode H.264: no frame came out")
	}
	data := C.GoBytes(u.data, C.int(u.len))
	if u.key != 0 {
		markConstrained(data)
	}
	return data, u.key != 0, nil
}

// markConstrained sets constraint_set2_flag in the SPS that a keyframe begins
// with, so that it reads 42e0 as the session description promises: OpenH264
// sets the flags for baseline and main only, and every stream that obeys
// baseline and main obeys extended as well (H.264, A.2.3).
func markConstrained(data []byte) {
	const sps = 7
	if len(data) > 7 && data[0] == 0 && data[1] == 0 && data[2] == 0 && data[3] == 1 &&
		data[4]&31 == sps && data[5] == 66 {
		data[6] |= 1 << 5
	}
}

func (h *h264) SetBitrate(bps int) error {
	if h.enc == nil {
		return nil
	}
	if rc := C.vitrine_h264_bitrate(h.enc, C.int(clampBitrate(bps)/1000)); rc != 0 {
		return fmt.Errorf("set H.264's bit rate: OpenH264 error %d", int(rc))
	}
	return nil
}

func (h *h264) Close() {
	if h.enc == nil {
		return
	}
	C.vitrine_h264_close(h.enc)
	C.free(unsafe.Pointer(h.enc))
	h.enc = nil
}
