#pragma once
#include <stddef.h>
#include <stdint.h>
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

typedef struct {
	vpx_codec_ctx_t ctx;
	vpx_codec_enc_cfg_t cfg;
	int open;
} vitrine_vp8;

/* One access unit. */
typedef struct {
	const void *data; /* the encoder's own, until its next call */
	size_t len;
	int key;
	int err; /* vpx_codec_err_t */
} vitrine_unit;

int vitrine_vp8_open(vitrine_vp8 *e, int width, int height, int kbps);
int vitrine_vp8_bitrate(vitrine_vp8 *e, int kbps);
vitrine_unit vitrine_vp8_encode(vitrine_vp8 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int y_stride, int c_stride, unsigned char *active, int key, int min_q, int max_q, int64_t pts_us, int64_t dur_us);
void vitrine_vp8_close(vitrine_vp8 *e);
