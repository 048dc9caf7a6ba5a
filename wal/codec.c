/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of both kinds and skippable frames begin with a little-endian magic;
 * the decoder reads 8 bytes at each frame boundary (no valid frame is
 * shorter), passes over or keeps skippable frames itself and hands data
 * frames to their library.  LZ4F_decompress answers 0 at the end of
 * a skippable frame as at the end of a data frame, so it must never see one.
 *
 * Choices, measured on 280 MB of SQLite pages (text, integers, two indexes; one
 * core at 2.5 GHz): zstd -1 271 MB/s at ratio 1.26, 1 218 MB/s at 1.54,
 * 2 181 MB/s at 1.75, 3 113 MB/s at 1.80; lz4 with blocks of 64 KiB 290 MB/s,
 * 256 KiB 369 MB/s, 4 MiB 360 MB/s at 1.16 to 1.22.
 */
#include "wal/codec.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <assert.h>
#include <lz4frame.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#define ZST_LEVEL 1
#define ZST_BLOCK (128U << 10)
#define ZST_LARGE (256U << 10)
#define LZ4_BLOCK (256U << 10)
#define ZST_WINDOW_LOG_MAX 23 /* 8 MiB: what the zstd format tells decoders to support */
#define ZST_MAGIC 0xFD2FB528U
#define LZ4_MAGIC 0x184D2204U
#define SKIP_MAGIC 0x184D2A50U /* and the next 15 */
#define PREFIX 8
#define OUT_SIZE (64U << 10)

const char *codec_suffix(enum codec c)
{
	return c == CODEC_ZST ? "zst" : "lz4";
}

/* ---- encoding ---- */

static const LZ4F_preferences_t LZ4_PREFS = {
	.frameInfo = { .blockSizeID = LZ4F_max256KB,
		       .blockMode = LZ4F_blockIndependent,
		       .contentChecksumFlag = LZ4F_contentChecksumEnabled },
	.autoFlush = 1,
};

struct encoder {
	enum codec codec;
	struct buf *out;
	uint8_t *in; /* input not compressed yet, at most a block */
	size_t len, cap, block;
	bool open; /* the frame's first block was compressed */
	uint8_t *tmp;
	size_t tmp_size;
	ZSTD_CCtx *zst;
	LZ4F_cctx *lz4;
};

/* The libraries fail here only for want of memory or by misuse. */
static size_t zst_ok(size_t r)
{
	assert(!ZSTD_isError(r));
	return r;
}

static size_t lz4_ok(size_t r)
{
	assert(!LZ4F_isError(r));
	return r;
}

static ZSTD_CCtx *zst_new(void)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	assert(z);
	zst_ok(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, ZST_LEVEL));
	return z;
}

struct encoder *encoder_new(enum codec c, struct buf *out)
{
	struct encoder *x = mem_alloc(sizeof *x);

	x->codec = c;
	x->out = out;
	x->block = c == CODEC_ZST ? ZST_BLOCK : LZ4_BLOCK;
	return x;
}

static void begin_frame(struct encoder *x)
{
	x->open = true;
	if (x->codec == CODEC_ZST) {
		x->tmp_size = ZSTD_CStreamOutSize();
		x->tmp = mem_grow(x->tmp, x->tmp_size, 1);
		if (!x->zst)
			x->zst = zst_new();
		return;
	}
	x->tmp_size = LZ4F_compressBound(x->block, &LZ4_PREFS) + LZ4F_HEADER_SIZE_MAX;
	x->tmp = mem_grow(x->tmp, x->tmp_size, 1);
	if (!x->lz4)
		lz4_ok(LZ4F_createCompressionContext(&x->lz4, LZ4F_VERSION));
	buf_add(x->out, x->tmp,
		lz4_ok(LZ4F_compressBegin(x->lz4, x->tmp, x->tmp_size, &LZ4_PREFS)));
}

static void zst_push(struct encoder *x, const void *p, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left;

	do {
		ZSTD_outBuffer o = { x->tmp, x->tmp_size, 0 };

		left = zst_ok(ZSTD_compressStream2(x->zst, &o, &in, how));
		buf_add(x->out, x->tmp, o.pos);
	} while (in.pos < n || (how == ZSTD_e_end && left));
}

/* At most a block. */
static void add_block(struct encoder *x, const uint8_t *p, size_t n)
{
	if (!x->open)
		begin_frame(x);
	if (x->codec == CODEC_ZST)
		zst_push(x, p, n, ZSTD_e_continue);
	else
		buf_add(x->out, x->tmp,
			lz4_ok(LZ4F_compressUpdate(x->lz4, x->tmp, x->tmp_size, p, n,
						   NULL)));
}

static void keep(struct encoder *x, const uint8_t *p, size_t n)
{
	if (x->len + n > x->cap) {
		x->cap = x->cap ? x->cap : 8192;
		while (x->cap < x->len + n)
			x->cap *= 2;
		x->in = mem_grow(x->in, x->cap, 1);
	}
	memcpy(x->in + x->len, p, n);
	x->len += n;
}

void encoder_add(struct encoder *x, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n) {
		/* A full block is compressed only when more comes: alone it is a small frame. */
		if (x->len == x->block) {
			add_block(x, x->in, x->len);
			x->len = 0;
		}
		/* From here on the library gathers its blocks by itself. */
		if (x->open && x->codec == CODEC_ZST) {
			zst_push(x, p, n, ZSTD_e_continue);
			return;
		}
		if (!x->len && n > x->block) {
			add_block(x, p, x->block);
			p += x->block;
			n -= x->block;
			continue;
		}
		size_t k = n < x->block - x->len ? n : x->block - x->len;

		keep(x, p, k);
		p += k;
		n -= k;
	}
}

void encoder_end_frame(struct encoder *x)
{
	if (!x->open) {
		codec_compress(x->codec, x->in, x->len, x->out);
	} else if (x->codec == CODEC_ZST) {
		zst_push(x, x->in, x->len, ZSTD_e_end);
	} else {
		if (x->len)
			add_block(x, x->in, x->len);
		buf_add(x->out, x->tmp,
			lz4_ok(LZ4F_compressEnd(x->lz4, x->tmp, x->tmp_size, NULL)));
	}
	x->open = false;
	x->len = 0;
}

void encoder_destroy(struct encoder *x)
{
	if (!x)
		return;
	ZSTD_freeCCtx(x->zst);
	LZ4F_freeCompressionContext(x->lz4);
	free(x->in);
	free(x->tmp);
	free(x);
}

/* Right into out, whose room a large piece is worth. */
static void compress_large(const void *p, size_t n, size_t room, struct buf *out)
{
	ZSTD_CCtx *z = zst_new();

	buf_added(out, zst_ok(ZSTD_compress2(z, buf_space(out, room), room, p, n)));
	ZSTD_freeCCtx(z);
}

void codec_compress(enum codec c, const void *p, size_t n, struct buf *out)
{
	size_t room = c == CODEC_ZST ? ZSTD_compressBound(n)
				     : LZ4F_compressFrameBound(n, &LZ4_PREFS);

	if (c == CODEC_ZST && n > ZST_LARGE && buf_ok(out) && room <= out->max - out->len) {
		compress_large(p, n, room, out);
		return;
	}
	AUTO_FREE uint8_t *tmp = mem_grow(NULL, room, 1);

	if (!p)
		p = "";
	if (c == CODEC_LZ4) {
		buf_add(out, tmp, lz4_ok(LZ4F_compressFrame(tmp, room, p, n, &LZ4_PREFS)));
		return;
	}
	ZSTD_CCtx *z = zst_new();

	buf_add(out, tmp, zst_ok(ZSTD_compress2(z, tmp, room, p, n)));
	ZSTD_freeCCtx(z);
}

/* ---- decoding ---- */

enum state { AT_BOUNDARY, IN_DATA, IN_SKIP, IN_TRAILER, AT_END, IN_JUNK };

struct decoder {
	struct decoder *next; /* in the list of spare ones */
	enum codec codec;
	struct decoder_sink sink;
	enum state state;
	uint8_t prefix[PREFIX];
	size_t have;	 /* of prefix */
	uint64_t left;	 /* of a skippable frame */
	uint64_t frame;	 /* compressed bytes of the data frame so far */
	uint64_t frames; /* data frames that are over */
	bool after_data; /* the last frame was a data frame */
	ZSTD_DCtx *zst;
	LZ4F_dctx *lz4;
	uint8_t out[OUT_SIZE];
};

#define SPARE_MAX 4
#define SPARE_BYTES (2U << 20)
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct decoder *spare; /* guarded by spare_lock */
static int nspare;

static struct decoder *take_spare(enum codec c)
{
	struct decoder *d = NULL;

	pthread_mutex_lock(&spare_lock);
	for (struct decoder **pp = &spare; *pp; pp = &(*pp)->next)
		if ((*pp)->codec == c) {
			d = *pp;
			*pp = d->next;
			nspare--;
			break;
		}
	pthread_mutex_unlock(&spare_lock);
	return d;
}

static void free_decoder(struct decoder *d)
{
	ZSTD_freeDCtx(d->zst);
	LZ4F_freeDecompressionContext(d->lz4);
	free(d);
}

static struct decoder *fresh_decoder(enum codec c)
{
	struct decoder *d = mem_grow(NULL, 1, sizeof *d);

	d->codec = c;
	d->zst = NULL;
	d->lz4 = NULL;
	if (c == CODEC_ZST) {
		d->zst = ZSTD_createDCtx();
		assert(d->zst);
		zst_ok(ZSTD_DCtx_setParameter(d->zst, ZSTD_d_windowLogMax,
					      ZST_WINDOW_LOG_MAX));
	} else {
		lz4_ok(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION));
	}
	return d;
}

struct decoder *decoder_new(enum codec c, const struct decoder_sink *sink)
{
	struct decoder *d = take_spare(c);

	if (!d)
		d = fresh_decoder(c);
	d->next = NULL;
	d->sink = *sink;
	d->state = AT_BOUNDARY;
	d->have = 0;
	d->left = d->frame = d->frames = 0;
	d->after_data = false;
	return d;
}

void decoder_destroy(struct decoder *d)
{
	if (!d)
		return;
	bool small = true;

	if (d->zst) {
		zst_ok(ZSTD_DCtx_reset(d->zst, ZSTD_reset_session_only));
		small = ZSTD_sizeof_DCtx(d->zst) <= SPARE_BYTES;
	} else {
		LZ4F_resetDecompressionContext(d->lz4);
	}
	pthread_mutex_lock(&spare_lock);
	small = small && nspare < SPARE_MAX;
	if (small) {
		d->next = spare;
		spare = d;
		nspare++;
	}
	pthread_mutex_unlock(&spare_lock);
	if (!small)
		free_decoder(d);
}

void codec_trim(void)
{
	pthread_mutex_lock(&spare_lock);
	struct decoder *d = spare;

	spare = NULL;
	nspare = 0;
	pthread_mutex_unlock(&spare_lock);
	while (d) {
		struct decoder *next = d->next;

		free_decoder(d);
		d = next;
	}
}

/* One step of the library over at most n bytes: *used of them consumed, *made bytes in d->out.
 * 1: the frame is over, 0: it goes on. */
static int data_step(struct decoder *d, const uint8_t *p, size_t n, size_t *used,
		     size_t *made, struct err *e)
{
	size_t r;

	if (d->codec == CODEC_ZST) {
		ZSTD_inBuffer in = { p, n, 0 };
		ZSTD_outBuffer o = { d->out, OUT_SIZE, 0 };

		r = ZSTD_decompressStream(d->zst, &o, &in);
		if (ZSTD_isError(r))
			return err_set(e, ERR_CORRUPT, "damaged zstd data: %s",
				       ZSTD_getErrorName(r));
		*used = in.pos;
		*made = o.pos;
		return r == 0;
	}
	*used = n;
	*made = OUT_SIZE;
	r = LZ4F_decompress(d->lz4, d->out, made, p, used, NULL);
	if (LZ4F_isError(r))
		return err_set(e, ERR_CORRUPT, "damaged lz4 data: %s",
			       LZ4F_getErrorName(r));
	return r == 0;
}

/* Bytes of a data frame; *used tells how many belonged to it. */
static int push_data(struct decoder *d, const uint8_t *p, size_t n, size_t *used,
		     struct err *e)
{
	*used = 0;
	for (;;) {
		size_t in = 0, made = 0;
		int over = data_step(d, p + *used, n - *used, &in, &made, e);

		if (over < 0)
			return -1;
		if (!in && !made && !over && *used < n)
			return err_set(e, ERR_CORRUPT, "damaged %s data: no progress",
				       codec_suffix(d->codec));
		*used += in;
		d->frame += in;
		if (made && d->sink.data(d->sink.arg, d->out, made, e))
			return -1;
		if (over) {
			d->state = AT_BOUNDARY;
			d->after_data = true;
			d->frames++;
			return d->sink.frame_end
				       ? d->sink.frame_end(d->sink.arg, d->frame, e)
				       : 0;
		}
		if (*used == n && made < OUT_SIZE)
			return 0;
	}
}

static int begin_trailer(struct decoder *d, struct err *e)
{
	struct buf *t = d->sink.trailer;

	if (!d->after_data)
		return err_set(e, ERR_CORRUPT, "a trailer that does not follow the data");
	if (d->left > t->max - t->len || t->max - t->len - d->left < PREFIX)
		return err_set(e, ERR_CORRUPT, "a trailer of %llu bytes is too long",
			       (unsigned long long)d->left);
	buf_add(t, d->prefix, PREFIX);
	d->state = d->left ? IN_TRAILER : AT_END;
	return 0;
}

static int begin_data(struct decoder *d, uint32_t magic, struct err *e)
{
	size_t used = 0;

	if (magic != (d->codec == CODEC_ZST ? ZST_MAGIC : LZ4_MAGIC))
		return err_set(e, ERR_CORRUPT, "no %s frame here: magic %08x",
			       codec_suffix(d->codec), magic);
	if (d->codec == CODEC_LZ4 && d->frames)
		return err_set(e, ERR_CORRUPT, "a second lz4 frame");
	if (d->codec == CODEC_LZ4 && !(d->prefix[4] & 4))
		return err_set(e, ERR_CORRUPT, "an lz4 frame without a content checksum");
	d->state = IN_DATA;
	d->frame = 0;
	if (push_data(d, d->prefix, PREFIX, &used, e))
		return -1;
	return used == PREFIX ? 0 : err_set(e, ERR_CORRUPT, "a frame of %zu bytes", used);
}

static bool may_be_junk(const struct decoder *d)
{
	return d->sink.lenient && d->codec == CODEC_LZ4 && d->frames;
}

static int begin_any(struct decoder *d, struct err *e)
{
	uint32_t magic = get_le32(d->prefix);

	d->have = 0;
	if ((magic & ~15U) != SKIP_MAGIC) {
		if (!may_be_junk(d) || magic == LZ4_MAGIC)
			return begin_data(d, magic, e);
		d->state = IN_JUNK;
		return 0;
	}
	d->left = get_le32(d->prefix + 4);
	if (magic == CODEC_TRAILER_MAGIC && d->sink.trailer)
		return begin_trailer(d, e);
	d->after_data = false;
	d->state = d->left ? IN_SKIP : AT_BOUNDARY;
	return 0;
}

static int push_boundary(struct decoder *d, const uint8_t *p, size_t n, size_t *used,
			 struct err *e)
{
	*used = n < PREFIX - d->have ? n : PREFIX - d->have;
	memcpy(d->prefix + d->have, p, *used);
	d->have += *used;
	return d->have == PREFIX ? begin_any(d, e) : 0;
}

static void push_skip(struct decoder *d, const uint8_t *p, size_t n, size_t *used)
{
	bool trailer = d->state == IN_TRAILER;

	*used = n < d->left ? n : (size_t)d->left;
	if (trailer)
		buf_add(d->sink.trailer, p, *used);
	d->left -= *used;
	if (!d->left)
		d->state = trailer ? AT_END : AT_BOUNDARY;
}

int decoder_push(struct decoder *d, const uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		size_t used = 0;
		int r = 0;

		switch (d->state) {
		case AT_BOUNDARY:
			r = push_boundary(d, p, n, &used, e);
			break;
		case IN_DATA:
			r = push_data(d, p, n, &used, e);
			break;
		case IN_SKIP:
		case IN_TRAILER:
			push_skip(d, p, n, &used);
			break;
		case AT_END:
			return err_set(e, ERR_CORRUPT, "bytes after the trailer");
		case IN_JUNK:
			return 0;
		}
		if (r)
			return -1;
		p += used;
		n -= used;
	}
	return 0;
}

int decoder_finish(struct decoder *d, struct err *e)
{
	bool inside = d->state == IN_DATA || d->state == IN_SKIP || d->state == IN_TRAILER;

	if (inside || (d->have && !may_be_junk(d)))
		return err_set(e, ERR_CORRUPT, "the object is cut off");
	if (!d->frames)
		return err_set(e, ERR_CORRUPT, "the object holds no data");
	return 0;
}

struct exact {
	uint8_t *out;
	size_t len, max;
};

static int exact_add(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct exact *x = arg;

	if (n > x->max - x->len)
		return err_set(e, ERR_CORRUPT, "more than the %zu bytes it should hold",
			       x->max);
	memcpy(x->out + x->len, p, n);
	x->len += n;
	return 0;
}

static int zst_decompress(const void *p, size_t n, uint8_t *out, size_t raw_len,
			  struct err *e)
{
	size_t frame = ZSTD_findFrameCompressedSize(p, n);

	if (ZSTD_isError(frame) || frame != n || get_le32(p) != ZST_MAGIC)
		return err_set(e, ERR_CORRUPT, "not one zstd frame of %zu bytes", n);
	size_t got = ZSTD_decompress(out, raw_len, p, n);

	if (ZSTD_isError(got))
		return err_set(e, ERR_CORRUPT, "damaged zstd data: %s",
			       ZSTD_getErrorName(got));
	if (got != raw_len)
		return err_set(e, ERR_CORRUPT, "%zu bytes instead of %zu", got, raw_len);
	return 0;
}

int codec_decompress(enum codec c, const void *p, size_t n, uint8_t *out, size_t raw_len,
		     struct err *e)
{
	struct exact x = { out, 0, raw_len };
	struct decoder_sink sink = { .arg = &x, .data = exact_add };

	if (c == CODEC_ZST)
		return zst_decompress(p, n, out, raw_len, e);
	struct decoder *d = decoder_new(c, &sink);
	int r = decoder_push(d, p, n, e);

	if (!r)
		r = decoder_finish(d, e);
	decoder_destroy(d);
	if (!r && x.len != raw_len)
		r = err_set(e, ERR_CORRUPT, "%zu bytes instead of %zu", x.len, raw_len);
	return r;
}
