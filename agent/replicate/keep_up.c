/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app that writes faster than we copy would make its WAL grow without bound: it waits, for a second at
 * a time, while we catch up.  In the pauses some of its transactions get their turn, so that none of
 * them waits for all of it; a pause ends when they have written a little, or they would undo the wait.
 */
#include "agent/replicate/capture_priv.h"
#include "base/clock.h"

#define TURNS 5
#define PAUSE_US 120000 /* SQLite's own busy handler looks every 100 ms */
#define PAUSE_BYTES (1U << 20)
#define LOOK_US 500

uint64_t capture_tail(const struct capture *c, const struct wal_index *ix)
{
	uint32_t have = follow_was_reset(c->follow, ix) ? 0 : follow_frames(c->follow);

	/* Shorter than what we know: a discontinuity, which the copy finds. */
	return ix->mx_frame < have ? 0
				   : (uint64_t)(ix->mx_frame - have) * sq_page_size(c->sq);
}

int capture_take_lock(struct capture *c, int64_t max_wait_ms, int64_t *held_since_us,
		      struct wal_index *ix, struct err *e)
{
	int64_t asked = clock_mono_us();

	if (sq_write_lock(c->sq, max_wait_ms, e) < 0)
		return -1;
	*held_since_us = clock_mono_us();
	c->stats.wait_us_last = *held_since_us - asked;
	c->seen = wal_index_glance(c->map);
	return capture_index(c, ix, e);
}

/* Without the lock. */
static int pause_for_the_app(struct capture *c, struct err *e)
{
	int64_t until = clock_mono_us() + PAUSE_US;
	struct wal_index ix;

	if (capture_index(c, &ix, e) < 0)
		return -1;
	uint64_t enough = capture_tail(c, &ix) + PAUSE_BYTES;

	while (capture_tail(c, &ix) < enough && clock_mono_us() < until) {
		clock_sleep_us(LOOK_US);
		if (capture_index(c, &ix, e) < 0)
			return -1;
	}
	return 0;
}

int capture_while_it_waits(struct capture *c, int64_t *held_since_us, struct wal_index *ix,
			   struct err *e)
{
	uint64_t tail = capture_tail(c, ix);
	int64_t began = *held_since_us;

	for (int turn = 1;; turn++) {
		follow_limit(c->follow, *held_since_us + CAPTURE_HOLD_CEILING_MS * 1000);
		int rc = capture_follow(c, ix, capture_page, e);

		follow_limit(c->follow, 0);
		if (rc < 0)
			return -1;
		if (!follow_behind(c->follow, ix))
			break;
		sq_write_unlock(c->sq);
		c->overrun = turn == TURNS;
		if (c->overrun)
			return err_set(e, ERR_AGAIN,
				       "%s: it is written faster than it is copied",
				       sq_path(c->sq));
		if (pause_for_the_app(c, e) < 0 ||
		    capture_take_lock(c, c->opt.max_wait_ms, held_since_us, ix, e) < 0)
			return -1;
	}
	log_debug("the app waited for the copy of its WAL", LOGS("db", sq_path(c->sq)),
		  LOGU("behind_bytes", tail), LOGU("wal_frames", ix->mx_frame),
		  LOGI("us", clock_mono_us() - began));
	return 0;
}

int capture_keep_up(struct capture *c, struct err *e)
{
	struct wal_index ix;
	int64_t held_since_us;

	c->overrun = false;
	if (capture_index(c, &ix, e) < 0)
		return -1;
	if (capture_tail(c, &ix) <= CAPTURE_TAIL_LIMIT)
		return 0;
	int rc = capture_take_lock(c, c->opt.max_wait_ms, &held_since_us, &ix, e);

	if (rc == 0)
		rc = capture_while_it_waits(c, &held_since_us, &ix, e);
	sq_write_unlock(c->sq);
	return rc;
}
