/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/salvage.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "wal/codec.h"

/*
 * The LZ4 frame format (lz4_Frame_format.md): magic, FLG, BD, an optional
 * content size (8) and dictionary id (4), a header checksum byte; blocks, each
 * a 4-byte length whose top bit means "stored", with a 4-byte checksum if FLG
 * says so; a zero length ends them; a 4-byte content checksum if FLG says so.
 */
#define LZ4_MAGIC 0x184D2204U
#define SKIPPABLE_MAGIC 0x184D2A50U /* .. 0x184D2A5F */
enum { FLG_DICT = 1, FLG_CHECKSUM = 4, FLG_SIZE = 8, FLG_BLOCK_CHECKSUM = 16 };

enum frame_kind { FRAME_NONE, FRAME_SKIPPABLE, FRAME_DATA, FRAME_CUT };

static enum frame_kind data_frame(const uint8_t *p, size_t n, size_t *len)
{
	size_t at;
	unsigned flags;

	if (n < 7)
		return FRAME_CUT;
	flags = p[4];
	at = 7 + ((flags & FLG_SIZE) ? 8U : 0U) + ((flags & FLG_DICT) ? 4U : 0U);
	for (;;) {
		uint32_t block;

		if (at > n || n - at < 4)
			return FRAME_CUT;
		block = get_le32(p + at) & 0x7fffffffU;
		at += 4;
		if (block == 0)
			break;
		if (n - at < block)
			return FRAME_CUT;
		at += block + ((flags & FLG_BLOCK_CHECKSUM) ? 4U : 0U);
	}
	at += (flags & FLG_CHECKSUM) ? 4U : 0U;
	*len = at;
	return at > n ? FRAME_CUT : FRAME_DATA;
}

/* The frame at p; *len is its length for all kinds but NONE and CUT. */
static enum frame_kind next_frame(const uint8_t *p, size_t n, size_t *len)
{
	uint32_t magic, payload;

	if (n < 4)
		return FRAME_NONE;
	magic = get_le32(p);
	if (magic == LZ4_MAGIC)
		return data_frame(p, n, len);
	if ((magic & 0xfffffff0U) != SKIPPABLE_MAGIC)
		return FRAME_NONE;
	if (n < 8)
		return FRAME_CUT;
	payload = get_le32(p + 4);
	if (n - 8 < payload)
		return FRAME_CUT;
	*len = 8 + (size_t)payload;
	return FRAME_SKIPPABLE;
}

enum salvage_shape salvage_shape(const uint8_t *p, size_t n, size_t *used)
{
	size_t at = 0, len = 0, data = 0;

	*used = 0;
	while (at < n) {
		enum frame_kind k = next_frame(p + at, n - at, &len);

		if (k == FRAME_CUT && data == 0)
			return SALVAGE_CUT;
		if (k == FRAME_NONE || k == FRAME_CUT)
			break;
		at += len;
		*used = at;
		data += k == FRAME_DATA;
	}
	if (data == 0)
		return SALVAGE_FOREIGN;
	if (data > 1)
		return SALVAGE_SEVERAL;
	return at < n ? SALVAGE_GARBAGE : SALVAGE_PLAIN;
}

static int to_buf(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct buf *b = arg;

	buf_add(b, p, n);
	if (!buf_ok(b))
		return err_set(e, ERR_CORRUPT, "more than %zu uncompressed bytes", b->max);
	return 0;
}

static int decode_frame(const uint8_t *p, size_t n, struct buf *raw, struct err *e)
{
	struct decoder_sink sink = { .arg = raw, .data = to_buf };
	struct decoder *d = decoder_new(CODEC_LZ4, &sink);
	int r = decoder_push(d, p, n, e);

	if (r == 0)
		r = decoder_finish(d, e);
	decoder_destroy(d);
	return r;
}

int salvage_repack(const uint8_t *p, size_t n, uint64_t skip, struct buf *out,
		   uint64_t *raw_len, struct err *e)
{
	struct buf raw CLEANUP(buf_free) = BUF(SALVAGE_RAW_MAX);
	size_t at = 0, len = 0, used = 0;
	enum salvage_shape shape = salvage_shape(p, n, &used);

	if (shape == SALVAGE_FOREIGN)
		return err_set(e, ERR_CORRUPT, "is not an LZ4 frame");
	if (shape == SALVAGE_CUT)
		return err_set(e, ERR_CORRUPT, "is cut short");
	for (; at < used; at += len)
		if (next_frame(p + at, used - at, &len) == FRAME_DATA &&
		    decode_frame(p + at, len, &raw, e) < 0)
			return -1;
	*raw_len = raw.len;
	if (raw.len > skip)
		codec_compress(CODEC_LZ4, raw.p + skip, raw.len - skip, out);
	if (!buf_ok(out))
		return err_set(e, ERR_CORRUPT, "too large to look into");
	return 0;
}
