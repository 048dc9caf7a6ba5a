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
	bool no_sums;	 /* TRAILER_NO_SUMS */
	bool difference; /* TRAILER_DIFFERENCE */
	int64_t last_time_ms; /* time of the last commit before this object; a claim: its own time */
};

/* Begins at s->pos (s is the caller's; frames added move it).  The header is put first when
 * the offset is 0. */
struct segment_writer *segment_new(const struct segment_start *start, struct synth *s);
/* One frame; commit 0 or the page count after it. */
void segment_frame(struct segment_writer *w, uint32_t pgno, uint32_t commit,
		   const uint8_t *page);
/* The frame just added was a commit's last (its commit was db_pages): its time (clamped to never
 * decrease) and, unless no_sums, the db_sum after it. */
void segment_commit(struct segment_writer *w, int64_t time_ms, uint64_t db_sum,
		    uint32_t db_pages);
uint64_t segment_raw_len(const struct segment_writer *w);
uint32_t segment_ncommits(const struct segment_writer *w);
/* Frame end and trailer; the object's bytes are appended to out (its ceiling must hold them: buf_ok).
 * Ending inside a transaction sets TRAILER_OPEN.  At least one frame must have been added.
 * out_trailer (or NULL) gets a copy of the trailer: free with trailer_free.  Only destroy may follow. */
void segment_finish(struct segment_writer *w, struct buf *out, struct trailer *out_trailer);
void segment_destroy(struct segment_writer *w);

/* A claim: the empty object at s->pos, or, at offset 0, the header-only one, which moves s to 32
 * (docs/format.md, "Claim").  Appended to out. */
void segment_claim(const struct segment_start *start, struct synth *s, struct buf *out);

/* ---- reading ---- */

/* Carried from one object to the next by the reader of a chain.  The caller sets it up with
 * wal_chain_init and otherwise only reads it. */
struct wal_chain {
	struct wal_pos
		pos; /* where the next object must start, or at offset 0 of the next index */
	uint32_t page_size; /* 0: not known yet */
	bool have_header;   /* header and sum are those of pos.index at pos.offset */
	bool claimed;	    /* the last object was an empty claim: the index is over */
	bool any;	    /* some object was read */
	struct wal_header header;
	struct wal_sum sum;
	uint64_t open_frames; /* frames of a transaction without its commit yet */
	int64_t time_ms; /* of the last commit in an object with a trailer; INT64_MIN: none */
};

/* A chain that begins at pos, where an object begins: offset 0, or a snapshot's replay position inside an
 * index.  In the latter case page_size must be given, the object must have a trailer, and its first
 * frame's salts and checksum are taken as they are (raw_xxh3 guards them). */
void wal_chain_init(struct wal_chain *c, struct wal_pos pos, uint32_t page_size);

struct segment_sink {
	void *arg;
	/* A verified frame (salts and running checksum), in order; -1 (with *e set) stops.  An error of the sink's
	 * comes back from push or finish as it is. */
	int (*frame)(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		     struct err *e);
};

struct segment_source {
	enum codec codec;
	struct wal_pos pos; /* from its key */
	uint64_t size;	    /* stored bytes */
	bool allow_plain;   /* an object without a trailer is Litestream's, not damage */
	struct wal_pos
		stop_after; /* frames that end beyond it are verified, not delivered; {0, 0}: none */
};

/* Push reader of one object: compressed bytes in, verified frames out.  src->pos must be where the chain
 * says (or offset 0 of the next index).  Copies *src and *sink; chain stays the caller's and is
 * changed only by a successful finish.  Frames are delivered as they come, before the object is proven whole:
 * nothing of it counts before finish returned 0.  At most one reader per chain at a time. */
struct segment_reader;
struct segment_reader *segment_reader_new(struct wal_chain *chain,
					  const struct segment_source *src,
					  const struct segment_sink *sink);
MUST_CHECK int segment_reader_push(struct segment_reader *r, const uint8_t *p, size_t n,
				   struct err *e);
/* After the last byte: raw length, raw_xxh3, frame counts and commit marks, page size and position agree
 * with the trailer; whole frames only; an index ends inside a transaction only before a claim.  The caller
 * compares t->generation, and t->db_sum_before with the sum it has.  chain->pos has moved to the object's end.
 * *t (or NULL) gets the trailer (zeroed without one; free with trailer_free); *has (or NULL) says if there was one.
 * chain->open_frames > 0: the transaction goes on in the next object; when the next object is of another index,
 * call apply_drop_open first. */
MUST_CHECK int segment_reader_finish(struct segment_reader *r, struct trailer *t, bool *has,
				     struct err *e);
void segment_reader_destroy(struct segment_reader *r);

#endif
