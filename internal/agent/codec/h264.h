#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wels/codec_api.h>

typedef struct {
	ISVCEncoder *enc;
	SEncParamExt par;
	SFrameBSInfo info;
	int open, refine, kbps, mode;
	unsigned char *buf; /* the last access unit */
	size_t cap;
} vitrine_h264;

typedef struct {
	const void *data; /* buf, until the next call */
	size_t len;
	int key;
	int err; /* CM_RETURN, or -1 for no memory */
} vitrine_h264_unit;

int vitrine_h264_open(vitrine_h264 *e, int width, int height, int kbps);
int vitrine_h264_bitrate(vitrine_h264 *e, int kbps);
vitrine_h264_unit vitrine_h264_encode(vitrine_h264 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int y_stride, int c_stride, int key, int refine, int64_t pts_us);
void vitrine_h264_close(vitrine_h264 *e);
