#include "h264.h"
#include <stdlib.h>
#include <string.h>

enum {
	refine_boost = 4, /* times the bit rate, in the first refinements */
	final_qp = 24,    /* of the last one; text is as good as the original */
};

int vitrine_h264_open(vitrine_h264 *e, int width, int height, int kbps)
{
	int err = WelsCreateSVCEncoder(&e->enc);
	if (err || !e->enc)
		return err ? err : cmMallocMemeError;
	int trace = WELS_LOG_QUIET; /* it would write to stderr */
	(*e->enc)->SetOption(e->enc, ENCODER_OPTION_TRACE_LEVEL, &trace);
	SEncParamExt *p = &e->par;
	if ((err = (*e->enc)->GetDefaultParams(e->enc, p)))
		return err;
	/*
	 * Screen mode searches for scrolling and costs three times as much, for
	 * half the bits of a scroll (measured: 9.9 against 3.3 ms at 720p).
	 */
	p->iUsageType = CAMERA_VIDEO_REAL_TIME;
	p->iPicWidth = width;
	p->iPicHeight = height;
	p->iTargetBitrate = kbps * 1000;
	p->iMaxBitrate = UNSPECIFIED_BIT_RATE;
	p->iRCMode = RC_TIMESTAMP_MODE;
	p->fMaxFrameRate = 60;
	p->iTemporalLayerNum = 1;
	p->iSpatialLayerNum = 1;
	p->iComplexityMode = LOW_COMPLEXITY;
	p->uiIntraPeriod = 0;
	p->iNumRefFrame = 1;
	p->eSpsPpsIdStrategy = CONSTANT_ID;
	p->bPrefixNalAddingCtrl = false;
	p->bEnableSSEI = false;
	p->iEntropyCodingModeFlag = 0;
	p->bEnableFrameSkip = false;
	p->iMaxQp = 48;
	p->iMinQp = 12;
	p->bEnableLongTermReference = false;
	p->iMultipleThreadIdc = 1;
	p->bEnableDenoise = false;
	/* It takes slow text for background and leaves it blurred: -3 dB. */
	p->bEnableBackgroundDetection = false;
	p->bEnableAdaptiveQuant = false;
	p->bEnableSceneChangeDetect = false; /* it makes keyframes of its own */
	SSpatialLayerConfig *l = &p->sSpatialLayers[0];
	l->iVideoWidth = width;
	l->iVideoHeight = height;
	l->fFrameRate = 60;
	l->iDLayerQp = final_qp; /* used while rate control is off */
	l->iSpatialBitrate = kbps * 1000;
	l->iMaxSpatialBitrate = UNSPECIFIED_BIT_RATE;
	l->uiProfileIdc = PRO_BASELINE;
	l->uiLevelIdc = LEVEL_UNKNOWN; /* the lowest that holds the size */
	l->sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
	/* Say what libyuv makes: without it browsers take BT.709 from 720p up. */
	l->bVideoSignalTypePresent = true;
	l->uiVideoFormat = VF_UNDEF;
	l->bFullRange = false;
	l->bColorDescriptionPresent = true;
	l->uiColorPrimaries = CP_BT709;
	l->uiTransferCharacteristics = TRC_BT709;
	l->uiColorMatrix = CM_SMPTE170M;
	if ((err = (*e->enc)->InitializeExt(e->enc, p)))
		return err;
	e->open = 1;
	e->kbps = kbps;
	e->mode = RC_TIMESTAMP_MODE;
	int format = videoFormatI420;
	return (*e->enc)->SetOption(e->enc, ENCODER_OPTION_DATAFORMAT, &format);
}

static int set_bitrate(vitrine_h264 *e)
{
	/* Under 1 Mbit/s a boosted refinement would fill the link for too long. */
	int boost = e->refine && e->kbps >= 1000 ? refine_boost : 1;
	SBitrateInfo b = {.iLayer = SPATIAL_LAYER_ALL, .iBitrate = e->kbps * 1000 * boost};
	return (*e->enc)->SetOption(e->enc, ENCODER_OPTION_BITRATE, &b);
}

int vitrine_h264_bitrate(vitrine_h264 *e, int kbps)
{
	e->kbps = kbps;
	return set_bitrate(e);
}

/*
 * OpenH264's limits of the quantizer are fixed when it is opened, so better
 * quality is a greater bit rate, and at last rate control switched off.
 */
static int set_refine(vitrine_h264 *e, int refine)
{
	e->refine = refine;
	int mode = refine >= 3 && e->kbps >= 1000 ? RC_OFF_MODE : RC_TIMESTAMP_MODE;
	int err = set_bitrate(e);
	if (err || mode == e->mode)
		return err;
	e->mode = mode;
	return (*e->enc)->SetOption(e->enc, ENCODER_OPTION_RC_MODE, &mode);
}

/* The C table of OpenH264 declares one argument less than the C++ method has. */
typedef int (*force_intra)(ISVCEncoder *, bool idr, int layer);

vitrine_h264_unit vitrine_h264_encode(vitrine_h264 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int y_stride, int c_stride, int key, int refine, int64_t pts_us)
{
	vitrine_h264_unit r = {0};
	if (refine != e->refine && (r.err = set_refine(e, refine)))
		return r;
	if (key && (r.err = ((force_intra)(*e->enc)->ForceIntraFrame)(e->enc, true, -1)))
		return r;
	SSourcePicture pic = {
		.iColorFormat = videoFormatI420,
		.iStride = {y_stride, c_stride, c_stride, 0},
		.pData = {(unsigned char *)y, (unsigned char *)u, (unsigned char *)v, NULL},
		.iPicWidth = e->par.iPicWidth,
		.iPicHeight = e->par.iPicHeight,
		.uiTimeStamp = pts_us / 1000,
	};
	memset(&e->info, 0, sizeof e->info);
	if ((r.err = (*e->enc)->EncodeFrame(e->enc, &pic, &e->info)))
		return r;
	for (int i = 0; i < e->info.iLayerNum; i++) {
		const SLayerBSInfo *l = &e->info.sLayerInfo[i];
		size_t n = 0;
		for (int k = 0; k < l->iNalCount; k++)
			n += l->pNalLengthInByte[k];
		if (r.len + n > e->cap) {
			size_t cap = (r.len + n) * 2;
			unsigned char *buf = realloc(e->buf, cap);
			if (!buf) {
				r.err = -1;
				return r;
			}
			e->buf = buf;
			e->cap = cap;
		}
		memcpy(e->buf + r.len, l->pBsBuf, n);
		r.len += n;
	}
	r.data = e->buf;
	r.key = e->info.eFrameType == videoFrameTypeIDR;
	return r;
}

void vitrine_h264_close(vitrine_h264 *e)
{
	if (e->open)
		(*e->enc)->Uninitialize(e->enc);
	if (e->enc)
		WelsDestroySVCEncoder(e->enc);
	free(e->buf);
	memset(e, 0, sizeof *e);
}
