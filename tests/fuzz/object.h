/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object through the readers: the first byte tells which reader and how
 * large the pieces are.  With a trailer whose checksums were set right, so that mutated data
 * reaches the checks behind them.
 */
#ifndef TESTS_FUZZ_OBJECT_H
#define TESTS_FUZZ_OBJECT_H

#include "base/bytes.h"
#include "base/hash.h"
#include "wal/segment.h"
#include "wal/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct delivered {
	uint64_t bytes, frames;
};

static int count_frame(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		       struct err *e)
{
	struct delivered *d = arg;

	(void)commit;
	(void)e;
	d->frames++;
	d->bytes += page[0];
	if (!pgno)
		abort();
	return 0;
}

static int count_bytes(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct delivered *d = arg;

	(void)p;
	d->bytes += n;
	return d->bytes > 64 << 20 ? err_set(e, ERR_CANCELED, "enough") : 0;
}

/* Where the object says it belongs, as far as that can be told. */
static struct wal_pos its_place(const uint8_t *p, size_t n, uint32_t *page_size)
{
	uint64_t distance;

	*page_size = 4096;
	if (!trailer_find(p, n, &distance) || distance > n || distance < 124)
		return (struct wal_pos){ 0, 0 };
	p += n - distance + 8;
	*page_size = get_le32(p + 4);
	return (struct wal_pos){ get_le32(p + 24), get_le64(p + 32) };
}

static void as_segment(enum codec c, const uint8_t *p, size_t n, size_t step, bool plain)
{
	struct delivered d = { 0, 0 };
	struct segment_sink sink = { &d, count_frame };
	struct wal_chain chain;
	struct trailer t;
	struct err e = ERR_INIT;
	bool has = false;
	uint32_t page_size;
	struct segment_source src = { .codec = c,
				      .pos = its_place(p, n, &page_size),
				      .size = n,
				      .allow_plain = plain };
	int r = 0;

	wal_chain_init(&chain, src.pos, src.pos.offset ? page_size : 0);
	struct segment_reader *sr = segment_reader_new(&chain, &src, &sink);

	for (size_t i = 0; i < n && !r; i += step)
		r = segment_reader_push(sr, p + i, n - i < step ? n - i : step, &e);
	if (!r && !segment_reader_finish(sr, &t, &has, &e)) {
		if (!has && !plain)
			abort();
		if (has && (trailer_frames(&t) != d.frames ||
			    wal_pos_cmp(chain.pos, trailer_end(&t)) != 0))
			abort();
		trailer_free(&t);
	}
	segment_reader_destroy(sr);
}

static void as_snapshot(enum codec c, const uint8_t *p, size_t n, size_t step, bool plain)
{
	struct delivered d = { 0, 0 };
	struct trailer t;
	struct err e = ERR_INIT;
	bool has = false;
	int r = 0;
	struct snapshot_reader *sr = snapshot_reader_new(c, n, plain, count_bytes, &d);

	for (size_t i = 0; i < n && !r; i += step)
		r = snapshot_reader_push(sr, p + i, n - i < step ? n - i : step, &e);
	if (!r && !snapshot_reader_finish(sr, &t, &has, &e)) {
		if (!has && !plain)
			abort();
		if (has && t.raw_len != d.bytes)
			abort();
		trailer_free(&t);
	}
	snapshot_reader_destroy(sr);
}

static int fuzz_object(enum codec c, const uint8_t *p, size_t n)
{
	static const size_t steps[] = { 1, 7, 4096, 1 << 20 };

	if (!n)
		return 0;
	size_t step = steps[p[0] >> 2 & 3];

	if (p[0] & 1)
		as_snapshot(c, p + 1, n - 1, step, p[0] & 2);
	else
		as_segment(c, p + 1, n - 1, step, p[0] & 2);
	return 0;
}

/* The trailer's checksum, and for a segment its hash of the data, set right after a mutation. */
static size_t set_right(enum codec c, uint8_t *p, size_t n)
{
	uint64_t distance;

	if (n < 1 || !trailer_find(p + 1, n - 1, &distance) || distance > n - 1 ||
	    distance < 124)
		return n;
	uint8_t *body = p + n - distance + 8;
	size_t len = (size_t)distance - 24;
	uint64_t raw_len = get_le64(body + 40);

	if (raw_len <= 1 << 20) {
		uint8_t *raw = malloc((size_t)raw_len + 1);
		struct err e = ERR_INIT;

		if (raw && !codec_decompress(c, p + 1, n - 1 - (size_t)distance, raw,
					     (size_t)raw_len, &e))
			put_le64(body + 48, hash_xxh3(raw, (size_t)raw_len));
		free(raw);
	}
	put_le32(p + n - 12, hash_crc32c(body, len));
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
size_t LLVMFuzzerMutate(uint8_t *p, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed);

#define FUZZ_OBJECTS_OF(codec)                                                          \
	int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)                          \
	{                                                                               \
		return fuzz_object(codec, p, n);                                        \
	}                                                                               \
	size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed) \
	{                                                                               \
		n = LLVMFuzzerMutate(p, n, max);                                        \
		return seed % 4 ? set_right(codec, p, n) : n;                           \
	}

#endif
