/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAL segments, one object each: writing them in memory, and reading any
 * (walback's with a trailer, Litestream's without) as a stream of frames.
 */
#ifndef WAL_SEGMENT_H
#define WAL_SEGMENT_H

#include "base/buf.h"
#include "base/err.h"
#include "wal/codec.h"
#include "wal/synth.h"
#include "wal/trailer.h"

/* ---- writing ---- */

struct segment_writer;

struct segment_start {
	enum codec codec;
	uint32_t page_size;
	char generation[17];
	uint64_t session;
	uint64_t db_sum_before; /* of the last whole commit before this object */
	uint32_t db_pages_before;
	bool no_sums;	      /* TRAILER_NO_SUMS */
	bool difference;      /* TRAILER_DIFFERENCE */
	int64_t last_time_ms; /* time of the last commit before this object */
	uint64_t open_frames; /* frames of an unfinished transaction in earlier objects */
};

/* Begins at s->pos (s is the caller's; frames added move it).  The header is put first when
 * the offset is 0. */
struct segment_writer *segment_new(const struct segment_start *start, struct synth *s);
/* One frame; commit 0 or the page count after it. */
void segment_frame(struct segment_writer *w, uint32_t pgno, uint32_t commit,
		   const uint8_t *page);
/* The frame just added was a commit's last: its time (clamped to never decrease) and, unless no_sums,
 * the db_sum and page count after it. */
void segment_commit(struct segment_writer *w, int64_t time_ms, uint64_t db_sum,
		    uint32_t db_pages);
uint64_t segment_raw_len(const struct segment_writer *w);
uint32_t segment_ncommits(const struct segment_writer *w);
/* Frame end and trailer; the object's bytes are appended to out (its ceiling must hold them).
 * out_trailer (or NULL) gets a copy of the trailer: free with trailer_free. */
void segment_finish(struct segment_writer *w, struct buf *out, struct trailer *out_trailer);
void segment_destroy(struct segment_writer *w);

/* A claim: the empty object at pos, or the header-only one at offset 0 (docs/format.md, "Claim"). */
void segment_claim(const struct segment_start *start, struct synth *s, struct buf *out);

/* ---- reading ---- */

/* Carried from one object of a stored index to the next by the reader of a chain. */
struct wal_chain {
	bool started;
	struct wal_header header; /* of the current index; valid when pos.offset >= 32 */
	struct wal_sum sum;
	struct wal_pos pos; /* where the next object must start */
	uint32_t page_size;
};

struct segment_sink {
	void *arg;
	/* A verified frame (salts and running checksum), in order. */
	int (*frame)(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		     struct err *e);
};

/* Push reader of one object: compressed bytes in, verified frames out.  size: the object's stored size
 * (for finding the trailer); pos: from its key, must be where chain says (or offset 0 of the next
 * index).  Objects without a trailer are accepted only with allow_plain. */
struct segment_reader;
struct segment_reader *segment_reader_new(struct wal_chain *chain, enum codec codec,
					  struct wal_pos pos, uint64_t size,
					  bool allow_plain,
					  const struct segment_sink *sink);
MUST_CHECK int segment_reader_push(struct segment_reader *r, const uint8_t *p, size_t n,
				   struct err *e);
/* After the last byte: raw length, raw_xxh3, frame counts and commit marks agree with the trailer; whole
 * frames only.  chain->pos has moved to the object's end. *t (or NULL) gets the trailer; *has says if there was one. */
MUST_CHECK int segment_reader_finish(struct segment_reader *r, struct trailer *t, bool *has,
				     struct err *e);
void segment_reader_destroy(struct segment_reader *r);

#endif
