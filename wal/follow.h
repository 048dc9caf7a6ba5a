/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tail a live -wal up to what the wal-index says is committed.
 *
 * Each frame's salts and running checksum are verified, and at the end of each
 * read the running checksum must be the one the wal-index published.  Within a
 * transaction only the newest version of a page is delivered.  A WAL that was
 * reset (new salts) begins again at its first frame; the caller says whether a
 * reset is possible without loss (after a completed barrier, once).
 */
#ifndef WAL_FOLLOW_H
#define WAL_FOLLOW_H

#include "wal/index.h"

struct follow;

/* A page of a committed transaction; the last one of each has commit != 0 (the size in pages). */
typedef int follow_page_fn(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
			   struct err *e);

/* wal_path is copied.  The -wal need not exist yet. */
struct follow *follow_new(const char *wal_path, uint32_t page_size);
void follow_destroy(struct follow *f);

/* Everything up to ix is known by other means (it is in the database file): go on from there. */
void follow_attach(struct follow *f, const struct wal_index *ix);

/* Is there something after the last read?  Pure. */
bool follow_behind(const struct follow *f, const struct wal_index *ix);
/* Has the WAL been reset since? */
bool follow_was_reset(const struct follow *f, const struct wal_index *ix);
uint32_t follow_frames(const struct follow *f); /* of the current WAL, delivered */

/* Deliver all transactions after the last read up to ix.  may_reset: other salts than before are a reset
 * that lost nothing.  ERR_CORRUPT (slug wal_discontinuity): what lies there does not continue what was
 * read; the caller must begin a new generation.  ERR_IO; or what fn returned.  With a limit set
 * it may end before ix: follow_behind tells. */
MUST_CHECK int follow_read(struct follow *f, const struct wal_index *ix, bool may_reset,
			   follow_page_fn *fn, void *arg, struct err *e);
/* The next reads end with the first transaction that is delivered after that moment of clock_mono_us;
 * 0: no limit. */
void follow_limit(struct follow *f, int64_t mono_us);
/* fdatasync of the -wal: what was read is durable.  No -wal: nothing to do. */
MUST_CHECK int follow_sync(struct follow *f, struct err *e);
/* Free the read buffers (idle). */
void follow_rest(struct follow *f);

#endif
