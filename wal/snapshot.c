/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/snapshot.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (1U << 20)

struct snapshot_writer {
	enum codec codec;
	uint32_t page_size;
	struct buf *out;
	struct encoder *enc; /* lz4 */
	uint8_t *chunk;	     /* zst: the chunk being filled */
	size_t have;
	struct hash_stream *hash;
	uint64_t raw_len;
	bool short_chunk; /* the last chunk was added */
	struct trailer_chunk *chunks;
	size_t nchunks, room;
};

struct snapshot_writer *snapshot_new(enum codec codec, uint32_t page_size, struct buf *out)
{
	struct snapshot_writer *w = mem_alloc(sizeof *w);

	w->codec = codec;
	w->page_size = page_size;
	w->out = out;
	w->hash = hash_stream_new();
	if (codec == CODEC_LZ4)
		w->enc = encoder_new(codec, out);
	return w;
}

uint32_t snapshot_chunk_bytes(uint32_t page_size)
{
	return CHUNK_BYTES / page_size * page_size;
}

static void note_chunk(struct snapshot_writer *w, size_t compressed_len, uint64_t xxh3)
{
	assert(compressed_len && compressed_len <= UINT32_MAX);
	if (w->nchunks == w->room) {
		w->room = w->room ? 2 * w->room : 64;
		w->chunks = mem_grow(w->chunks, w->room, sizeof *w->chunks);
	}
	w->chunks[w->nchunks++] = (struct trailer_chunk){ (uint32_t)compressed_len, xxh3 };
}

void snapshot_add_chunk(struct snapshot_writer *w, const struct snapshot_chunk *c)
{
	assert(w->codec == CODEC_ZST && !w->have && !w->short_chunk && c->raw_len);
	assert(c->raw_len <= CHUNK_BYTES);
	w->short_chunk = c->raw_len < CHUNK_BYTES;
	hash_stream_add(w->hash, c->raw, c->raw_len);
	w->raw_len += c->raw_len;
	buf_add(w->out, c->compressed, c->compressed_len);
	note_chunk(w, c->compressed_len, c->xxh3);
}

static void compress_chunk(struct snapshot_writer *w, const uint8_t *p, size_t n)
{
	size_t before = w->out->len;

	codec_compress(CODEC_ZST, p, n, w->out);
	if (buf_ok(w->out))
		note_chunk(w, w->out->len - before, hash_xxh3(p, n));
}

void snapshot_add_raw_chunk(struct snapshot_writer *w, const uint8_t *p, size_t n)
{
	assert(w->codec == CODEC_ZST && !w->have && !w->short_chunk && n);
	assert(n <= CHUNK_BYTES);
	w->short_chunk = n < CHUNK_BYTES;
	hash_stream_add(w->hash, p, n);
	w->raw_len += n;
	compress_chunk(w, p, n);
}

/* The chunk that was filled. */
static void flush_chunk(struct snapshot_writer *w)
{
	compress_chunk(w, w->chunk, w->have);
	w->have = 0;
}

static void add_zst(struct snapshot_writer *w, const uint8_t *p, size_t n)
{
	if (!w->chunk)
		w->chunk = mem_grow(NULL, CHUNK_BYTES, 1);
	while (n) {
		size_t k = n < CHUNK_BYTES - w->have ? n : CHUNK_BYTES - w->have;

		memcpy(w->chunk + w->have, p, k);
		w->have += k;
		p += k;
		n -= k;
		if (w->have == CHUNK_BYTES)
			flush_chunk(w);
	}
}

void snapshot_add(struct snapshot_writer *w, const uint8_t *p, size_t n)
{
	assert(!w->short_chunk);
	hash_stream_add(w->hash, p, n);
	w->raw_len += n;
	if (w->codec == CODEC_ZST)
		add_zst(w, p, n);
	else
		encoder_add(w->enc, p, n);
}

void snapshot_finish(struct snapshot_writer *w, struct trailer *t)
{
	if (w->have)
		flush_chunk(w);
	if (w->enc)
		encoder_end_frame(w->enc);
	assert(w->raw_len == (uint64_t)t->db_pages_after * w->page_size);
	t->kind = TRAILER_SNAPSHOT;
	t->flags = 0;
	t->page_size = w->page_size;
	t->replay = t->pos;
	t->raw_len = w->raw_len;
	t->raw_xxh3 = hash_stream_value(w->hash);
	t->db_sum_before = 0;
	t->chunk_pages = w->enc ? 0 : CHUNK_BYTES / w->page_size;
	t->nchunks = (uint32_t)w->nchunks;
	t->chunks = w->chunks;
	w->chunks = NULL;
	trailer_format(t, w->out);
}

void snapshot_destroy(struct snapshot_writer *w)
{
	if (!w)
		return;
	encoder_destroy(w->enc);
	hash_stream_destroy(w->hash);
	free(w->chunk);
	free(w->chunks);
	free(w);
}

/* ---- chunks by themselves ---- */

static uint32_t chunk_raw_len(const struct trailer *t, uint32_t i)
{
	uint64_t at = (uint64_t)i * CHUNK_BYTES;

	return t->raw_len - at < CHUNK_BYTES ? (uint32_t)(t->raw_len - at) : CHUNK_BYTES;
}

int snapshot_ranges(const struct trailer *t, uint64_t size, uint64_t distance,
		    struct snapshot_range *out, struct err *e)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < t->nchunks; i++) {
		out[i] = (struct snapshot_range){ at, t->chunks[i].compressed_len,
						  (uint64_t)i * CHUNK_BYTES,
						  chunk_raw_len(t, i) };
		at += t->chunks[i].compressed_len;
	}
	if (distance > size || at != size - distance)
		return err_set(e, ERR_CORRUPT,
			       "the chunks end at %llu, the trailer begins at %llu",
			       (unsigned long long)at,
			       (unsigned long long)(size - distance));
	return 0;
}

int snapshot_chunk_decode(const struct trailer *t, uint32_t i, const uint8_t *p, size_t n,
			  uint8_t *out, struct err *e)
{
	size_t raw_len = chunk_raw_len(t, i);

	if (n != t->chunks[i].compressed_len)
		return err_set(e, ERR_CORRUPT, "chunk %u: %zu bytes instead of %u", i, n,
			       t->chunks[i].compressed_len);
	if (codec_decompress(CODEC_ZST, p, n, out, raw_len, e))
		return err_wrap(e, "chunk %u", i);
	if (hash_xxh3(out, raw_len) != t->chunks[i].xxh3)
		return err_set(e, ERR_CORRUPT, "chunk %u: wrong hash", i);
	return 0;
}
