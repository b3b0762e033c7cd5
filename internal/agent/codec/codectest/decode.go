// Package codectest decodes what package codec encodes, so that tests can look
// at the pictures. It is apart because cgo is not allowed in test files, and
// must not be imported by anything but tests.
package codectest

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -l:libvpx.a -l:libopenh264.a -l:libstdc++.a -lm -lpthread
#include <stdlib.h>
#include <string.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <wels/codec_api.h>

typedef struct {
	vpx_codec_ctx_t vpx;
	ISVCDecoder *h264;
	unsigned char *y, *u, *v;
	int w, h, ys, cs;
} decoder;

static int open_vp8(decoder *d)
{
	return vpx_codec_dec_init(&d->vpx, vpx_codec_vp8_dx(), NULL, 0);
}

static int open_h264(decoder *d)
{
	if (WelsCreateDecoder(&d->h264))
		return 1;
	int trace = WELS_LOG_QUIET;
	(*d->h264)->SetOption(d->h264, DECODER_OPTION_TRACE_LEVEL, &trace);
	SDecodingParam p;
	memset(&p, 0, sizeof p);
	p.uiTargetDqLayer = 255;
	p.eEcActiveIdc = ERROR_CON_DISABLE;
	p.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
	return (*d->h264)->Initialize(d->h264, &p) != 0;
}

static int decode(decoder *d, const unsigned char *data, int len)
{
	if (d->h264) {
		unsigned char *p[3] = {0};
		SBufferInfo info;
		memset(&info, 0, sizeof info);
		int rc = (*d->h264)->DecodeFrameNoDelay(d->h264, data, len, p, &info);
		if (rc || info.iBufferStatus != 1)
			return rc ? rc : -1;
		d->y = p[0];
		d->u = p[1];
		d->v = p[2];
		d->w = info.UsrData.sSystemBuffer.iWidth;
		d->h = info.UsrData.sSystemBuffer.iHeight;
		d->ys = info.UsrData.sSystemBuffer.iStride[0];
		d->cs = info.UsrData.sSystemBuffer.iStride[1];
		return 0;
	}
	int rc = vpx_codec_decode(&d->vpx, data, len, NULL, 0);
	if (rc)
		return rc;
	vpx_codec_iter_t it = NULL;
	vpx_image_t *img = vpx_codec_get_frame(&d->vpx, &it);
	if (!img)
		return -1;
	d->y = img->planes[0];
	d->u = img->planes[1];
	d->v = img->planes[2];
	d->w = img->d_w;
	d->h = img->d_h;
	d->ys = img->stride[0];
	d->cs = img->stride[1];
	return 0;
}

static void shut(decoder *d)
{
	if (d->h264) {
		(*d->h264)->Uninitialize(d->h264);
		WelsDestroyDecoder(d->h264);
	} else {
		vpx_codec_destroy(&d->vpx);
	}
}
*/
import "C"

import (
	"fmt"
	"image"
	"unsafe"
)

// Decoder decodes one stream.
type Decoder struct{ d *C.decoder }

// New makes a decoder for "vp8" or "h264".
func New(codec string) (*Decoder, error) {
	d := (*C.decoder)(C.calloc(1, C.sizeof_decoder))
	rc := C.int(1)
	switch codec {
	case "vp8":
		rc = C.open_vp8(d)
	case "h264":
		rc = C.open_h264(d)
	}
	if rc != 0 {
		C.free(unsafe.Pointer(d))
		return nil, fmt.Errorf("make a decoder for %q: error %d", codec, int(rc))
	}
	return &Decoder{d}, nil
}

// Decode decodes one access unit and returns its picture, a copy.
func (d *Decoder) Decode(unit []byte) (*image.YCbCr, error) {
	if len(unit) == 0 {
		return nil, fmt.Errorf("decode: an empty unit")
	}
	if rc := C.decode(d.d, (*C.uchar)(unsafe.Pointer(&unit[0])), C.int(len(unit))); rc != 0 {
		return nil, fmt.Errorf("decode %d bytes: error %d", len(unit), int(rc))
	}
	w, h := int(d.d.w), int(d.d.h)
	im := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	plane(im.Y, im.YStride, d.d.y, int(d.d.ys), w, h)
	plane(im.Cb, im.CStride, d.d.u, int(d.d.cs), (w+1)/2, (h+1)/2)
	plane(im.Cr, im.CStride, d.d.v, int(d.d.cs), (w+1)/2, (h+1)/2)
	return im, nil
}

func plane(dst []byte, stride int, src *C.uchar, from, w, h int) {
	all := unsafe.Slice((*byte)(unsafe.Pointer(src)), from*(h-1)+w)
	for y := range h {
		copy(dst[y*stride:y*stride+w], all[y*from:])
	}
}

// Close frees the decoder.
func (d *Decoder) Close() {
	C.shut(d.d)
	C.free(unsafe.Pointer(d.d))
}
