/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of agent/restore_chain: what is read and how far it is. */
#ifndef AGENT_RESTORE_READING_H
#define AGENT_RESTORE_READING_H

#include "agent/restore/restore_chain.h"
#include "base/buf.h"
#include "wal/apply.h"
#include "wal/dbhdr.h"
#include "wal/frame.h"
#include "wal/pagesum.h"
#include "wal/segment.h"
#include "wal/trailer.h"

enum {
	PIECE_BYTES = 2 << 20,	 /* larger objects are fetched in ranges of this size */
	WINDOW_BYTES = 12 << 20, /* fetched and not looked at yet */
};

/* Lives for one chain_read. */
struct reading {
	const struct chain_job *job;
	const struct cat_generation *gen;
	struct chain_result *out;

	struct store_piece *pieces;
	char **keys; /* of the snapshot, then of each segment */
	size_t npieces, next_piece, snapshot_pieces;
	/* The snapshot and the segments come side by side: a tree of many small segments is all latency. */
	struct store_fetch *image_fetch, *fetch;
	struct buf bytes; /* the piece at hand */

	uint8_t first[DBHDR_SIZE]; /* of the image, until the page size is known */
	size_t nfirst;
	struct apply *apply;
	struct pagesum *sums; /* only where trailers tell what they must be */

	struct wal_chain chain;
	struct trailer snapshot; /* of the snapshot; valid when gen->has_record */
	bool valid_seen; /* its valid position was reached, and the sum was right there */
	bool sum_known;
	uint64_t sum; /* db_sum_after of the chain so far */

	bool limited; /* transactions that end after limit are not wanted */
	struct wal_pos limit;
	struct wal_pos frame_end; /* of the frame at hand */
	uint64_t object_commits;  /* applied from the object at hand */
	bool beyond_seen;
	struct wal_pos beyond; /* the end of the first transaction after limit */
};

/* Note what kind of damage stopped it and where, unless noted deeper down.  Returns -1. */
int reading_damaged(struct reading *j, enum chain_damage kind, struct wal_pos at);

/* ---- restore_fetch.c: objects in pieces ---- */

size_t reading_pieces(uint64_t size); /* of an object of that size */
/* i 0: the snapshot; then the segments of the chain. */
const struct cat_object *reading_object(const struct reading *j, size_t i);
void reading_open(struct reading *j, size_t nobjects);
void reading_close(struct reading *j, size_t nobjects);
/* The next piece, of the object at `at`, into j->bytes. */
MUST_CHECK int reading_next_piece(struct reading *j, struct wal_pos at, struct err *e);
/* The rest of an object whose first piece is at hand, unread. */
MUST_CHECK int reading_drain(struct reading *j, const struct cat_object *o, struct err *e);
/* The trailer of the object whose first piece is at hand. */
MUST_CHECK int reading_trailer(struct reading *j, const struct cat_object *o,
			       const char *key, struct trailer *t, struct err *e);

/* ---- restore_image.c: the snapshot ---- */

MUST_CHECK int reading_snapshot(struct reading *j, struct err *e);
/* The database as it is now must have the sum that the snapshot promises at its valid position. */
MUST_CHECK int reading_check_valid(struct reading *j, struct err *e);
/* The same between two objects: the next one must go on from that sum. */
MUST_CHECK int reading_start_sums(struct reading *j, struct err *e);

/* ---- restore_segment.c: one object of the chain ---- */

/* Read the object whose first piece is at hand, wherever its name says it lies. */
MUST_CHECK int reading_segment(struct reading *j, const struct cat_object *o,
			       const char *key, struct err *e);

#endif
