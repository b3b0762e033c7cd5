#include "vp8.h"
#include <string.h>

/* 90 kHz, RTP's clock for video. */
enum { timebase = 90000 };

int vitrine_vp8_open(vitrine_vp8 *e, int width, int height, int kbps)
{
	vpx_codec_err_t err = vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &e->cfg, 0);
	if (err)
		return err;
	vpx_codec_enc_cfg_t *c = &e->cfg;
	c->g_w = width;
	c->g_h = height;
	c->g_timebase.num = 1;
	c->g_timebase.den = timebase;
	c->g_threads = 1;
	c->g_lag_in_frames = 0;
	c->g_error_resilient = 0;
	c->g_pass = VPX_RC_ONE_PASS;
	c->kf_mode = VPX_KF_DISABLED;
	c->rc_end_usage = VPX_CBR;
	c->rc_target_bitrate = kbps;
	c->rc_min_quantizer = 4;
	c->rc_max_quantizer = 56;
	c->rc_undershoot_pct = 100;
	c->rc_overshoot_pct = 15;
	c->rc_buf_sz = 1000;
	c->rc_buf_initial_sz = 500;
	c->rc_buf_optimal_sz = 600;
	c->rc_dropframe_thresh = 0;
	c->rc_resize_allowed = 0;
	err = vpx_codec_enc_init(&e->ctx, vpx_codec_vp8_cx(), c, 0);
	if (err)
		return err;
	e->open = 1;
	/*
	 * A fixed speed: with a positive one, libvpx takes the time between two
	 * frames as its own and delays each by as much.
	 */
	vpx_codec_control(&e->ctx, VP8E_SET_CPUUSED, -12);
	vpx_codec_control(&e->ctx, VP8E_SET_NOISE_SENSITIVITY, 0);
	vpx_codec_control(&e->ctx, VP8E_SET_TOKEN_PARTITIONS, VP8_ONE_TOKENPARTITION);
	vpx_codec_control(&e->ctx, VP8E_SET_STATIC_THRESHOLD, 1);
	/* A keyframe of at most 5 frames' bits, coarse: refinement follows. */
	vpx_codec_control(&e->ctx, VP8E_SET_MAX_INTRA_BITRATE_PCT, 500);
	return 0;
}

int vitrine_vp8_bitrate(vitrine_vp8 *e, int kbps)
{
	e->cfg.rc_target_bitrate = kbps;
	return vpx_codec_enc_config_set(&e->ctx, &e->cfg);
}

vitrine_unit vitrine_vp8_encode(vitrine_vp8 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int y_stride, int c_stride, unsigned char *active, int key, int min_q, int max_q, int64_t pts_us, int64_t dur_us)
{
	vitrine_unit r = {0};
	if (min_q != (int)e->cfg.rc_min_quantizer || max_q != (int)e->cfg.rc_max_quantizer) {
		e->cfg.rc_min_quantizer = min_q;
		e->cfg.rc_max_quantizer = max_q;
		if ((r.err = vpx_codec_enc_config_set(&e->ctx, &e->cfg)))
			return r;
	}
	vpx_active_map_t map = {
		.active_map = active,
		.rows = (e->cfg.g_h + 15) / 16,
		.cols = (e->cfg.g_w + 15) / 16,
	};
	if ((r.err = vpx_codec_control(&e->ctx, VP8E_SET_ACTIVEMAP, &map)))
		return r;
	vpx_image_t img;
	if (!vpx_img_wrap(&img, VPX_IMG_FMT_I420, e->cfg.g_w, e->cfg.g_h, 1, (unsigned char *)y)) {
		r.err = VPX_CODEC_INVALID_PARAM;
		return r;
	}
	img.planes[VPX_PLANE_Y] = (unsigned char *)y;
	img.planes[VPX_PLANE_U] = (unsigned char *)u;
	img.planes[VPX_PLANE_V] = (unsigned char *)v;
	img.stride[VPX_PLANE_Y] = y_stride;
	img.stride[VPX_PLANE_U] = c_stride;
	img.stride[VPX_PLANE_V] = c_stride;
	r.err = vpx_codec_encode(&e->ctx, &img, pts_us * 9 / 100, dur_us * 9 / 100,
		key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME);
	if (r.err)
		return r;
	vpx_codec_iter_t iter = NULL;
	const vpx_codec_cx_pkt_t *pkt;
	while ((pkt = vpx_codec_get_cx_data(&e->ctx, &iter))) {
		if (pkt->kind != VPX_CODEC_CX_FRAME_PKT)
			continue;
		r.data = pkt->data.frame.buf;
		r.len = pkt->data.frame.sz;
		r.key = (pkt->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
	}
	return r;
}

void vitrine_vp8_close(vitrine_vp8 *e)
{
	if (e->open)
		vpx_codec_destroy(&e->ctx);
	e->open = 0;
}
