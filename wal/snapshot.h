/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: the database file at a WAL boundary, one object each.  zst: independent
 * frames of chunk_pages pages each, with a table of lengths and hashes in the trailer;
 * lz4: one frame, as Litestream reads it.
 */
#ifndef WAL_SNAPSHOT_H
#define WAL_SNAPSHOT_H

#include "base/buf.h"
#include "base/err.h"
#include "wal/codec.h"
#include "wal/trailer.h"

/* ---- writing: pages in, object bytes out (drained by the caller after each call) ---- */
struct snapshot_writer;
struct snapshot_writer *snapshot_new(enum codec codec, uint32_t page_size, struct buf *out);
/* The next n bytes of the image, any n; compressed bytes are appended to out as chunks fill. */
void snapshot_add(struct snapshot_writer *w, const uint8_t *p, size_t n);
/* A chunk compressed elsewhere with codec_compress, possibly in another thread (zst only, in order, whole
 * chunks but the last; not mixed with snapshot_add).  The raw bytes go into the hash of the whole image. */
struct snapshot_chunk {
	const uint8_t *raw;
	size_t raw_len;
	const uint8_t *compressed;
	size_t compressed_len;
	uint64_t xxh3; /* of raw */
};
void snapshot_add_chunk(struct snapshot_writer *w, const struct snapshot_chunk *c);
/* The same, compressed here: without a copy of the raw bytes. */
void snapshot_add_raw_chunk(struct snapshot_writer *w, const uint8_t *p, size_t n);
uint32_t snapshot_chunk_bytes(uint32_t page_size); /* 1 MiB as raw bytes */
/* t: generation, session, pos = replay, valid, db_sum_after, db_pages_after, time_ms are the caller's;
 * kind, flags, page_size, replay, raw_len, raw_xxh3, chunks (owned by t: trailer_free) are filled in.
 * The image is db_pages_after whole pages, page 1's header agrees.  Appends last data and the trailer to out. */
void snapshot_finish(struct snapshot_writer *w, struct trailer *t);
void snapshot_destroy(struct snapshot_writer *w);

/* ---- reading ---- */
/* One chunk (zst), fetched by itself: where it lies in the object, how many raw bytes it has, and decoding
 * with its hash checked (ERR_CORRUPT).  i < t->nchunks; out holds raw_len.  Any thread. */
struct snapshot_range {
	uint64_t offset; /* in the object */
	uint32_t compressed_len;
	uint64_t raw_offset; /* in the database file */
	uint32_t raw_len;
};
/* Fills t->nchunks entries (the caller's array).  ERR_CORRUPT unless the chunks end where the trailer begins, which
 * lies `distance` bytes (trailer_find) before the end of an object of `size` bytes. */
MUST_CHECK int snapshot_ranges(const struct trailer *t, uint64_t size, uint64_t distance,
			       struct snapshot_range *out, struct err *e);
MUST_CHECK int snapshot_chunk_decode(const struct trailer *t, uint32_t i, const uint8_t *p,
				     size_t n, uint8_t *out, struct err *e);

/* Push reader: object bytes in order in, image bytes out in order, in pieces of any size.  Works for both kinds and
 * for Litestream's snapshots (allow_plain).  Checks: chunk table, hashes, raw length, page size of the database header
 * against the trailer.  Nothing counts before finish returned 0.  Memory: a window, and 24 bytes a chunk. */
struct snapshot_reader;
struct snapshot_reader *snapshot_reader_new(
	enum codec codec, uint64_t size, bool allow_plain,
	int (*sink)(void *arg, const uint8_t *p, size_t n, struct err *e), void *arg);
MUST_CHECK int snapshot_reader_push(struct snapshot_reader *r, const uint8_t *p, size_t n,
				    struct err *e);
/* *t (or NULL) gets the trailer (zeroed without one; free with trailer_free), *has (or NULL) says if there was one.  The
 * caller compares generation and index. */
MUST_CHECK int snapshot_reader_finish(struct snapshot_reader *r, struct trailer *t,
				      bool *has, struct err *e);
void snapshot_reader_destroy(struct snapshot_reader *r);

#endif
