/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local side of one live database: copy what is committed, keep the app's WAL
 * small (docs/capture.md).
 *
 * A capture always has a read transaction open.  At rest it is at mark 0: everything
 * was in the database file when it began, so nobody can write WAL content into the
 * file, and at most one reset of the WAL can happen before the next barrier.
 * Commits are delivered to a sink in order, each exactly once, with the sum of the
 * whole database after it.
 *
 * Never waits for the network.  One thread at a time.
 */
#ifndef AGENT_CAPTURE_H
#define AGENT_CAPTURE_H

#include "base/err.h"
#include "wal/pagesum.h"
#include "wal/sqlite.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct capture_sink {
	void *arg;
	/* A page of a transaction; the last one has commit != 0. */
	int (*page)(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		    struct err *e);
	/* The transaction just delivered is whole. */
	void (*commit)(void *arg, int64_t time_ms, uint64_t db_sum, uint32_t pages);
};

struct capture_options {
	uint32_t checkpoint_pages; /* a barrier is due above that many frames */
	int64_t max_wait_ms;	   /* for the write lock; 0: 100 */
	int64_t max_hold_ms;	   /* of it; 0: 50 */
	int64_t slice_us;	   /* of hashing at the start, in one call; 0: 100,000 */
};

struct capture_stats {
	uint64_t barriers, barriers_failed, commits, frames;
	uint64_t holds;			   /* barriers that took the write lock */
	int64_t hold_us_last, hold_us_max; /* the write lock */
	int64_t wait_us_last;		   /* until we had it */
	pid_t holder; /* of a read mark that outlived the last barrier; 0: none known */
	uint32_t wal_frames;
};

struct capture;

/* Open the database and its first reader.  Errors as sq_open. */
MUST_CHECK struct capture *capture_open(const char *path, const struct capture_options *o,
					const struct capture_sink *sink, struct err *e);
void capture_close(struct capture *c);

/* Bring everything into the file by a barrier and hash all pages, for about opt.slice_us a call: call it
 * until capture_settled; after the first that succeeds the app may write.  ERR_AGAIN: somebody holds the barrier
 * back; try again.  Nothing is delivered before it has settled. */
MUST_CHECK int capture_settle(struct capture *c, struct err *e);
bool capture_settled(const struct capture *c);

/* Something new since the last copy?  A memory read. */
bool capture_has_news(const struct capture *c);
/* Copy and deliver what is committed.  ERR_CORRUPT with
 * slug wal_discontinuity: the capture is over, open a new one and begin a new generation. */
MUST_CHECK int capture_copy(struct capture *c, struct err *e);

/* If another process waits for our reader in a wal_checkpoint(FULL, RESTART or TRUNCATE), move the reader out of its
 * way: for each look while frames flow.  Copies and delivers before, as capture_copy. */
MUST_CHECK int capture_make_way(struct capture *c, struct err *e);

enum { CAPTURE_HELD_BACK, CAPTURE_RESTS, CAPTURE_LATER };

bool capture_barrier_due(const struct capture *c);
/* All five steps; everything is delivered up to its end.  CAPTURE_RESTS: the capture rests at mark 0;
 * CAPTURE_HELD_BACK: try later; -1: as capture_copy. */
MUST_CHECK int capture_barrier(struct capture *c, struct err *e);
/* The same, or without the write lock step 1 alone (CAPTURE_LATER) while the app writes without pause and its
 * WAL is not long. */
MUST_CHECK int capture_ease(struct capture *c, struct err *e);
/* Nothing was committed since a completed barrier: the reader is at mark 0 and the file is whole. */
bool capture_at_rest(const struct capture *c);
/* Free buffers. */
void capture_idle(struct capture *c);

/* Why it is not the database at the path any more (as sq_moved), or NULL. */
const char *capture_moved(const struct capture *c);
uint32_t capture_page_size(const struct capture *c);
uint32_t capture_pages(const struct capture *c);
uint64_t capture_db_sum(const struct capture *c);
const char *capture_wal_path(const struct capture *c);
const struct capture_stats *capture_stats(const struct capture *c);
/* For reading the file under our reader (snapshots); close before capture_close. */
MUST_CHECK struct sq_file *capture_file(struct capture *c, struct err *e);

#endif
