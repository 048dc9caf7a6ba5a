/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zst: the length and hash of each frame are noted as they pass, and compared
 * with the chunk table, which comes last.  lz4: one hash over everything.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "wal/dbhdr.h"
#include "wal/snapshot.h"
#include "wal/tail.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (1U << 20)

struct snapshot_reader {
	enum codec codec;
	uint64_t size, pushed, raw;
	bool allow_plain;
	int (*sink)(void *arg, const uint8_t *p, size_t n, struct err *e);
	void *arg;
	struct decoder *dec;
	struct buf trailer;
	struct tail tail;
	struct hash_stream *hash; /* of the chunk (zst) or of everything (lz4) */
	uint8_t head[DBHDR_SIZE];
	struct dbhdr hdr;
	uint32_t chunk; /* raw bytes of the chunk so far */
	bool last;	/* a chunk shorter than the others was seen */
	struct trailer_chunk *chunks;
	size_t nchunks, room;
};

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e);
static int on_frame_end(void *arg, uint64_t compressed, struct err *e);

struct snapshot_reader *snapshot_reader_new(
	enum codec codec, uint64_t size, bool allow_plain,
	int (*sink)(void *arg, const uint8_t *p, size_t n, struct err *e), void *arg)
{
	struct snapshot_reader *r = mem_alloc(sizeof *r);
	struct decoder_sink ds = {
		.arg = r, .data = on_data, .trailer = &r->trailer, .lenient = allow_plain
	};

	r->codec = codec;
	r->size = size;
	r->allow_plain = allow_plain;
	r->sink = sink;
	r->arg = arg;
	r->trailer.max = TRAILER_MAX;
	r->hash = hash_stream_new();
	if (codec == CODEC_ZST)
		ds.frame_end = on_frame_end;
	r->dec = decoder_new(codec, &ds);
	return r;
}

void snapshot_reader_destroy(struct snapshot_reader *r)
{
	if (!r)
		return;
	decoder_destroy(r->dec);
	hash_stream_destroy(r->hash);
	buf_free(&r->trailer);
	free(r->chunks);
	free(r);
}

/* Collects the database header and decodes it once it is whole. */
static int take_head(struct snapshot_reader *r, const uint8_t *p, size_t n, struct err *e)
{
	size_t have = (size_t)r->raw, k = DBHDR_SIZE - have;

	if (k > n)
		k = n;
	memcpy(r->head + have, p, k);
	return have + k == DBHDR_SIZE ? dbhdr_parse(&r->hdr, r->head, DBHDR_SIZE, e) : 0;
}

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct snapshot_reader *r = arg;

	if (r->codec == CODEC_ZST) {
		if (r->last || n > CHUNK_BYTES - r->chunk)
			return err_set(e, ERR_CORRUPT, "its frames are not its chunks");
		r->chunk += (uint32_t)n;
	}
	hash_stream_add(r->hash, p, n);
	if (r->raw < DBHDR_SIZE && take_head(r, p, n, e))
		return -1;
	r->raw += n;
	return r->sink(r->arg, p, n, e);
}

static int on_frame_end(void *arg, uint64_t compressed, struct err *e)
{
	struct snapshot_reader *r = arg;

	if (!r->chunk || compressed > UINT32_MAX)
		return err_set(e, ERR_CORRUPT, "its frames are not its chunks");
	if (r->nchunks == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		r->chunks = mem_grow(r->chunks, r->room, sizeof *r->chunks);
	}
	r->chunks[r->nchunks++] =
		(struct trailer_chunk){ (uint32_t)compressed, hash_stream_value(r->hash) };
	hash_stream_reset(r->hash);
	r->last = r->chunk < CHUNK_BYTES;
	r->chunk = 0;
	return 0;
}

int snapshot_reader_push(struct snapshot_reader *r, const uint8_t *p, size_t n,
			 struct err *e)
{
	r->pushed += n;
	tail_add(&r->tail, p, n);
	return decoder_push(r->dec, p, n, e);
}

static int check_chunks(const struct snapshot_reader *r, const struct trailer *t,
			struct err *e)
{
	if (t->nchunks != r->nchunks)
		return err_set(e, ERR_CORRUPT, "%zu chunks, the trailer counts %u",
			       r->nchunks, t->nchunks);
	for (size_t i = 0; i < r->nchunks; i++)
		if (t->chunks[i].compressed_len != r->chunks[i].compressed_len ||
		    t->chunks[i].xxh3 != r->chunks[i].xxh3)
			return err_set(e, ERR_CORRUPT, "chunk %zu is not the trailer's", i);
	return 0;
}

static int check_trailer(const struct snapshot_reader *r, const struct trailer *t,
			 struct err *e)
{
	if (t->kind != TRAILER_SNAPSHOT)
		return err_set(e, ERR_CORRUPT, "a segment in a snapshot's place");
	if (t->page_size != r->hdr.page_size)
		return err_set(e, ERR_CORRUPT, "page size %u, the trailer says %u",
			       r->hdr.page_size, t->page_size);
	if (t->raw_len != r->raw)
		return err_set(e, ERR_CORRUPT, "%llu bytes, the trailer says %llu",
			       (unsigned long long)r->raw, (unsigned long long)t->raw_len);
	if (check_chunks(r, t, e))
		return -1;
	if (r->codec == CODEC_LZ4 && t->raw_xxh3 != hash_stream_value(r->hash))
		return err_set(e, ERR_CORRUPT, "its content is not the trailer's");
	return 0;
}

static int check_shape(struct snapshot_reader *r, struct err *e)
{
	if (r->pushed != r->size)
		return err_set(e, ERR_CORRUPT, "%llu bytes, %llu were listed",
			       (unsigned long long)r->pushed, (unsigned long long)r->size);
	if (decoder_finish(r->dec, e))
		return -1;
	if (r->raw < DBHDR_SIZE || r->raw % r->hdr.page_size)
		return err_set(e, ERR_CORRUPT, "%llu bytes are not whole pages",
			       (unsigned long long)r->raw);
	return 0;
}

int snapshot_reader_finish(struct snapshot_reader *r, struct trailer *t, bool *has,
			   struct err *e)
{
	struct trailer own = { .kind = TRAILER_SNAPSHOT };
	bool found = r->trailer.len > 0;

	if (check_shape(r, e))
		return -1;
	if (!found &&
	    (!r->allow_plain || r->codec != CODEC_LZ4 || tail_has_trailer(&r->tail)))
		return err_set(e, ERR_CORRUPT, "no trailer, or a damaged one");
	if (found && trailer_parse(&own, r->trailer.p, r->trailer.len, e))
		return -1;
	if (found && check_trailer(r, &own, e)) {
		trailer_free(&own);
		return -1;
	}
	if (has)
		*has = found;
	if (t)
		*t = own;
	else
		trailer_free(&own);
	return 0;
}
