package codec

/*
#include <stdlib.h>
#include "vp8.h"
*/
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// frameDuration is what one frame lasts at the highest rate we send.
const frameDuration = time.Second / 60

type vp8 struct {
	cfg   Config
	enc   *C.vitrine_vp8
	all   []byte // a map with every block set
	pacer pacer
	still bool // the last picture was a refinement or a small change
	burst int  // large pictures since then
}

// The finest and coarsest quantizers (0..63) of motion and of each refinement
// step. Motion may go as coarse as it must to keep its bit rate. The low rates'
// steps keep the last refinement of a page of text under half a second's bits.
var (
	vp8Finest       = 4
	vp8Coarsest     = [MaxRefine + 1]int{56, 40, 24, 12}
	vp8CoarsestSlow = [MaxRefine + 1]int{56, 48, 40, 30}
)

const slowBitrate = 1_000_000 // below it the slow steps count

// After stillness the encoder's model says that a block costs next to nothing,
// so it would code a wholly new picture at its finest: 265 KB where 12 KB were
// asked for (measured, scrolling text at 6 Mbit/s). The first large pictures
// of a burst are therefore held coarse until the model has learned.
const (
	burstPictures = 4
	burstFinest   = 36
)

func (v *vp8) quantizers(in Input) (finest, coarsest int) {
	steps := &vp8Coarsest
	if v.cfg.Bitrate < slowBitrate {
		steps = &vp8CoarsestSlow
	}
	finest, coarsest = vp8Finest, steps[in.Refine]
	if in.Refine > 0 || !large(in.Changed) {
		v.still = true
		return finest, coarsest
	}
	if v.still || in.Key {
		v.still, v.burst = false, 0
	}
	if v.burst < burstPictures {
		v.burst++
		finest = burstFinest
	}
	return finest, coarsest
}

// large says whether more than a quarter of the picture changed.
func large(changed []byte) bool {
	n := 0
	for _, b := range changed {
		if b != 0 {
			n++
		}
	}
	return changed == nil || n*4 > len(changed)
}

// NewVP8 makes a VP8 encoder.
func NewVP8(cfg Config) (Encoder, error) {
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return nil, err
	}
	e := (*C.vitrine_vp8)(C.calloc(1, C.sizeof_vitrine_vp8))
	rc := C.vitrine_vp8_open(e, C.int(cfg.Width), C.int(cfg.Height), C.int(clampBitrate(cfg.Bitrate)/1000))
	if rc != 0 {
		C.vitrine_vp8_close(e)
		C.free(unsafe.Pointer(e))
		return nil, vpxError("make a VP8 encoder", C.vpx_codec_err_t(rc))
	}
	cols, rows := Blocks(cfg.Width, cfg.Height)
	all := make([]byte, cols*rows)
	for i := range all {
		all[i] = 1
	}
	return &vp8{cfg: cfg, enc: e, all: all, still: true}, nil
}

func (v *vp8) Encode(in Input) ([]byte, bool, error) {
	if err := checkInput(v.cfg, in); err != nil {
		return nil, false, fmt.Errorf("encode VP8: %w", err)
	}
	if v.enc == nil {
		return nil, false, fmt.Errorf("encode VP8: encoder is closed")
	}
	active := in.Changed
	if active == nil || in.Key {
		active = v.all
	}
	pts := v.pacer.next(in.PTS, in.Refine > 0)
	finest, coarsest := v.quantizers(in)
	key := C.int(0)
	if in.Key {
		key = 1
	}
	im := in.Image
	u := C.vitrine_vp8_encode(v.enc,
		(*C.uint8_t)(unsafe.Pointer(&im.Y[0])), (*C.uint8_t)(unsafe.Pointer(&im.U[0])),
		(*C.uint8_t)(unsafe.Pointer(&im.V[0])), C.int(im.YStride), C.int(im.CStride),
		(*C.uchar)(unsafe.Pointer(&active[0])), key, C.int(finest), C.int(coarsest),
		C.int64_t(pts.Microseconds()), C.int64_t(frameDuration.Microseconds()))
	if u.err != 0 {
		return nil, false, vpxError("encode VP8", C.vpx_codec_err_t(u.err))
	}
	if u.len == 0 {
		return nil, false, fmt.Errorf("encode VP8: no frame came out")
	}
	return C.GoBytes(u.data, C.int(u.len)), u.key != 0, nil
}

func (v *vp8) SetBitrate(bps int) error {
	if v.enc == nil {
		return nil
	}
	v.cfg.Bitrate = clampBitrate(bps)
	if rc := C.vitrine_vp8_bitrate(v.enc, C.int(clampBitrate(bps)/1000)); rc != 0 {
		return vpxError("set VP8's bit rate", C.vpx_codec_err_t(rc))
	}
	return nil
}

func (v *vp8) Close() {
	if v.enc == nil {
		return
	}
	C.vitrine_vp8_close(v.enc)
	C.free(unsafe.Pointer(v.enc))
	v.enc = nil
}

func vpxError(doing string, rc C.vpx_codec_err_t) error {
	return fmt.Errorf("%s: %s", doing, C.GoString(C.vpx_codec_err_to_string(rc)))
}
