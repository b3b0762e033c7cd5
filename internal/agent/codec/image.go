package codec

/*
#include <libyuv/convert.h>
*/
import "C"

import (
	"fmt"
	"image"
	"unsafe"
)

// I420 is a picture in planar 4:2:0, BT.601 limited range: what libyuv makes of
// RGB, what VP8 means, and what our H.264 says it is.
type I420 struct {
	Width, Height    int // even
	Y, U, V          []byte
	YStride, CStride int
}

// NewI420 makes a black picture.
func NewI420(width, height int) (*I420, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	ys := (width + 31) &^ 31 // whole SIMD rows
	cs := ys / 2
	p := &I420{
		Width: width, Height: height, YStride: ys, CStride: cs,
		Y: make([]byte, ys*height), U: make([]byte, cs*height/2), V: make([]byte, cs*height/2),
	}
	for i := range p.Y {
		p.Y[i] = 16
	}
	for i := range p.U {
		p.U[i], p.V[i] = 128, 128
	}
	return p, nil
}

// Convert puts BGRX pixels (blue first in memory; the X server's 24-bit format
// on little-endian) into the picture at r. src is r's pixels, stride bytes
// apart from row to row. r must have even coordinates and lie in the picture.
func (p *I420) Convert(r image.Rectangle, src []byte, stride int) error {
	w, h := r.Dx(), r.Dy()
	if r.Empty() || !r.In(image.Rect(0, 0, p.Width, p.Height)) || (r.Min.X|r.Min.Y|w|h)&1 != 0 {
		return fmt.Errorf("convert %v of %dx%d: %w", r, p.Width, p.Height, ErrSize)
	}
	if stride < w*4 || len(src) < stride*(h-1)+w*4 {
		return fmt.Errorf("convert %v from %d bytes, %d a row: %w", r, len(src), stride, ErrSize)
	}
	y := p.Y[r.Min.Y*p.YStride+r.Min.X:]
	c := r.Min.Y/2*p.CStride + r.Min.X/2
	rc := C.ARGBToI420((*C.uint8_t)(unsafe.Pointer(&src[0])), C.int(stride),
		(*C.uint8_t)(unsafe.Pointer(&y[0])), C.int(p.YStride),
		(*C.uint8_t)(unsafe.Pointer(&p.U[c])), C.int(p.CStride),
		(*C.uint8_t)(unsafe.Pointer(&p.V[c])), C.int(p.CStride),
		C.int(w), C.int(h))
	if rc != 0 {
		return fmt.Errorf("convert %v: libyuv error %d", r, int(rc))
	}
	return nil
}
