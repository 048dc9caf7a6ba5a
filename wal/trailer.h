/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata frame at the end of each object that walback writes (docs/format.md, "The trailer"). */
#ifndef WAL_TRAILER_H
#define WAL_TRAILER_H

#include "base/buf.h"
#include "base/err.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAILER_MAX (64U << 20) /* a longer one is ERR_CORRUPT (5 million chunks: 5 TB) */
#define TRAILER_TAIL 16 /* bytes that tell whether there is a trailer and where it starts */

enum trailer_kind { TRAILER_SEGMENT = 1, TRAILER_SNAPSHOT = 2 };
enum trailer_flags {
	TRAILER_DIFFERENCE = 1, /* catch-up or rollback difference */
	TRAILER_OPEN = 2,	/* ends inside a transaction */
	TRAILER_NO_SUMS = 4,	/* sums not known, both 0 */
};

struct trailer_commit {
	uint64_t
		frames; /* since the previous commit; the first: since the object's start, without what
			  * an earlier TRAILER_OPEN object left open */
	int64_t time_ms; /* absolute */
};

struct trailer_chunk {
	uint32_t compressed_len;
	uint64_t xxh3; /* of its raw bytes */
};

struct trailer {
	enum trailer_kind kind;
	uint16_t flags;
	uint32_t page_size;
	char generation[17];
	uint64_t session;
	struct wal_pos pos; /* the key's; a snapshot: its replay position */
	uint64_t raw_len, raw_xxh3;
	uint64_t db_sum_before,
		db_sum_after; /* a snapshot's before: written 0, ignored when read */
	uint32_t db_pages_after;
	int64_t time_ms;
	/* segment */
	int64_t first_time_ms;
	uint32_t ncommits;
	struct trailer_commit *commits; /* owned */
	/* snapshot */
	struct wal_pos replay, valid;
	uint32_t chunk_pages, nchunks;
	struct trailer_chunk *chunks; /* owned */
};

void trailer_free(struct trailer *t);

/* Does the object's tail (its last n >= 16 bytes) end in a trailer?  *start is the trailer frame's distance
 * from the object's end in bytes.  False: none (Litestream's object). */
bool trailer_find(const uint8_t *tail, size_t n, uint64_t *distance);

/* p: the whole skippable frame, as trailer_find delimited it.  Every rule of the format that can be
 * checked without the data is (ERR_CORRUPT).  Free with trailer_free. */
MUST_CHECK int trailer_parse(struct trailer *out, const uint8_t *p, size_t n,
			     struct err *e);
/* Appends the skippable frame. */
void trailer_format(const struct trailer *t, struct buf *out);

/* Is it a claim (a segment without frames)? */
bool trailer_is_claim(const struct trailer *t);
/* Segment: frames in the object, with and without their commit. */
uint64_t trailer_frames(const struct trailer *t);
/* Segment: where the object ends. */
struct wal_pos trailer_end(const struct trailer *t);
/* Segment: where the last of the first n commits ends (a restore point), n = 1..ncommits. */
struct wal_pos trailer_commit_end(const struct trailer *t, uint32_t n);
/* Segment: how many of its commits have a time at or before time_ms. */
uint32_t trailer_commits_until(const struct trailer *t, int64_t time_ms);

#endif
