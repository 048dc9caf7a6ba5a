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
/* A chunk compressed elsewhere (zst, in order; raw: its uncompressed length, whole chunks but the last). */
void snapshot_add_chunk(struct snapshot_writer *w, const void *compressed, size_t n,
			size_t raw, uint64_t xxh3);
uint32_t snapshot_chunk_bytes(uint32_t page_size); /* 1 MiB or a page, as raw bytes */
/* t: generation, session, pos = replay, valid, db_sum_after, db_pages_after, time_ms are the caller's;
 * kind, raw_len, raw_xxh3, chunks are filled in.  Appends last data and the trailer to out. */
void snapshot_finish(struct snapshot_writer *w, struct trailer *t);
void snapshot_destroy(struct snapshot_writer *w);

/* ---- reading ---- */
/* Push reader: object bytes in order in, image bytes out in order.  Works for both kinds and for
 * Litestream's snapshots (allow_plain).  Checks: chunk table, hashes, raw length, page size of the header against
 * the trailer. */
struct snapshot_reader;
struct snapshot_reader *snapshot_reader_new(
	enum codec codec, uint64_t size, bool allow_plain,
	int (*sink)(void *arg, const uint8_t *p, size_t n, struct err *e), void *arg);
MUST_CHECK int snapshot_reader_push(struct snapshot_reader *r, const uint8_t *p, size_t n,
				    struct err *e);
MUST_CHECK int snapshot_reader_finish(struct snapshot_reader *r, struct trailer *t,
				      bool *has, struct err *e);
void snapshot_reader_destroy(struct snapshot_reader *r);

#endif
