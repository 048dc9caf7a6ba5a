/* SPDX-License-Identifier: Apache-2.0 */
/* What capture.c, barrier.c and keep_up.c share; for nobody else. */
#ifndef AGENT_CAPTURE_PRIV_H
#define AGENT_CAPTURE_PRIV_H

#include "agent/replicate/capture.h"
#include "base/log.h"
#include "wal/follow.h"

#define CAPTURE_TAIL_LIMIT (32U << 20) /* bytes that the app may be ahead of us */
#define CAPTURE_HOLD_CEILING_MS 1000LL /* of the write lock at one time */
/* The WAL of an app that writes without pause may grow to so many times the threshold. */
#define CAPTURE_PATIENCE 5

/* Pages copied while the write lock is held, to be delivered after it. */
struct stash {
	uint8_t *p;
	size_t len, cap;
};

void stash_free(struct stash *s);

struct capture {
	struct capture_options opt;
	struct capture_sink sink;
	struct capture_stats stats;
	struct sq *sq;
	const volatile void *map;
	struct follow *follow;
	struct pagesum *sums;
	struct sq_file *hashing; /* the file while its pages are being hashed */
	uint32_t hash_pages;
	struct stash stash;
	struct log_trouble trouble;  /* of checkpoints */
	struct wal_index rest_index; /* at the end of the last completed barrier */
	int64_t now_ms;		     /* wall clock of the wake-up */
	uint64_t seen;
	uint32_t step; /* frames that the last copy brought */
	int cur;       /* the reader that is open */
	bool settled;
	bool eased;  /* at a mark >= 1: step 1 of a barrier was done since the last one */
	bool rested; /* at mark 0 and nothing committed since */
	bool overrun; /* the app was ahead when the last copy gave up: do not give it more start */
	bool may_reset; /* a reset would lose nothing: mark 0 unbroken, no frame delivered since */
	uint32_t
		in_file; /* frames that the last PASSIVE before the lock left in the file */
	uint32_t
		stuck_at; /* frames of this WAL when a reader last held us back; 0: none did */
	int64_t stuck_until_us; /* not before, while that reader is there */
};

int capture_index(struct capture *c, struct wal_index *ix, struct err *e);
/* follow_page_fn: delivers (arg is the capture). */
int capture_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		 struct err *e);
int capture_follow(struct capture *c, const struct wal_index *ix, follow_page_fn *fn,
		   struct err *e);

/* A reader was opened, and ix read since: if it has mark 0, the app's next commit may reset the WAL. */
void capture_expect_reset(struct capture *c, const struct wal_index *ix);

/* ---- keep_up.c ---- */

/* Bytes of the WAL that are committed up to ix and not copied. */
uint64_t capture_tail(const struct capture *c, const struct wal_index *ix);
/* The write lock, at most that long from now, and the index under it.  ERR_AGAIN; with *held_since_us set the
 * lock is held nevertheless. */
int capture_take_lock(struct capture *c, int64_t max_wait_ms, int64_t *held_since_us,
		      struct wal_index *ix, struct err *e);
/* With the write lock: copy to the end, *ix in the end.  It is let go every second for a moment.
 * ERR_AGAIN, without the lock: the end was not reached in a few of these turns. */
int capture_while_it_waits(struct capture *c, int64_t *held_since_us, struct wal_index *ix,
			   struct err *e);
/* After a copy that ended before ix.  Too far behind: the app waits while we catch up. */
int capture_keep_up(struct capture *c, struct err *e);

#endif
