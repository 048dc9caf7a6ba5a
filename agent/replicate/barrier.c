/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The barrier: the only moment in which the app can feel us (docs/capture.md).
 *
 * 1. copy; second reader (mark >= 1: nobody can reset the WAL); copy; close the first;
 *    checkpoint and sync: the bulk of the I/O, without a lock;
 * 2. take the write lock, copy the tail into memory;
 * 3. other reader at the end; PASSIVE until everything is in the file;
 * 4. new reader, which gets mark 0; wait until no other process holds a mark >= 1;
 * 5. release.
 *
 * A reader is closed only after everything up to the new reader's last frame is copied.
 */
#include "agent/replicate/capture_priv.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define TAIL_FRAMES 256
#define TAIL_ROUNDS 3
#define STASH_BYTES (8U << 20) /* then it is delivered, whatever the hurry */
#define POLL_US 500
#define REOPEN_US 2000
#define LOCK_SLICE_MS 5
#define STUCK_PAUSE 50 /* so many times as long as the lock was held in vain */

void stash_free(struct stash *s)
{
	free(s->p);
	*s = (struct stash){ 0 };
}

struct stash_head {
	uint32_t pgno, commit;
};

static int stash_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		      struct err *e)
{
	struct capture *c = arg;
	struct stash *s = &c->stash;
	struct stash_head h = { pgno, commit };
	size_t size = sq_page_size(c->sq);

	(void)e;
	while (s->cap - s->len < sizeof(h) + size) {
		s->cap = s->cap ? s->cap * 2 : 1U << 18;
		s->p = mem_grow(s->p, s->cap, 1);
	}
	memcpy(s->p + s->len, &h, sizeof(h));
	memcpy(s->p + s->len + sizeof(h), page, size);
	s->len += sizeof(h) + size;
	return 0;
}

static int deliver_stash(struct capture *c, struct err *e)
{
	struct stash *s = &c->stash;
	size_t size = sq_page_size(c->sq);
	size_t end = s->len;

	s->len = 0;
	for (size_t at = 0; at < end; at += sizeof(struct stash_head) + size) {
		struct stash_head h;

		memcpy(&h, s->p + at, sizeof(h));
		if (capture_page(c, h.pgno, h.commit, s->p + at + sizeof(h), e) < 0)
			return -1;
	}
	return 0;
}

/* 0 done; ERR_AGAIN (busy) is no failure of the capture, only of this attempt. */
static int held_back(const struct err *e)
{
	return e->code == ERR_AGAIN ? 0 : -1;
}

/* The other reader takes over; nothing between the two marks may be uncopied, so the copy comes
 * before the close. */
static int switch_reader(struct capture *c, bool locked, struct err *e)
{
	struct wal_index ix;
	int next = !c->cur;

	if (sq_read_begin(c->sq, next, e) < 0)
		return -1;
	if ((!locked && capture_copy(c, e) < 0) || capture_index(c, &ix, e) < 0 ||
	    (locked && capture_follow(c, &ix, stash_page, e) < 0)) {
		sq_read_end(c->sq, next);
		return -1;
	}
	capture_expect_reset(c, &ix);
	sq_read_end(c->sq, c->cur);
	c->cur = next;
	return 0;
}

/* Nothing but what step 1 does with the readers.  In the first call the reader leaves mark 0, or an old mark, for the
 * end; once the app has put all of it into the file, for mark 0, and does not hold up its reset.  Again and again
 * while it waits: with all marks taken a reader gets an old one. */
int capture_make_way(struct capture *c, struct err *e)
{
	if (c->rested || !sq_checkpointer(c->sq))
		return 0;
	if (switch_reader(c, false, e) < 0)
		return -1;
	/* At mark 0 with all in the file: as after a barrier, the next threshold counts. */
	if (c->may_reset)
		c->eased = false;
	return 0;
}

/* A full disk or an I/O error while the WAL goes into the file loses nothing of what is
 * captured: say it and try again later. */
static int soften(struct capture *c, int rc, struct err *e)
{
	if (rc == 0) {
		log_trouble_over(&c->trouble, "checkpoints work again", sq_path(c->sq));
	} else if (e->code == ERR_IO || e->code == ERR_DENIED) {
		log_trouble(&c->trouble, LOG_ERROR, "checkpoint failed", sq_path(c->sq), e);
		e->code = ERR_AGAIN;
	}
	return rc;
}

/* An app that checkpoints by itself, as all do from 1000 frames on, has the checkpoint lock for as long as
 * its syncs take, and again soon after.  It does our work meanwhile; what it waits for may be our reader. */
static int checkpoint_in_turn(struct capture *c, struct err *e)
{
	int64_t until_us = clock_mono_us() + c->opt.max_wait_ms * 1000;

	/* Where a reset is possible all of it is in the file, and nothing may be done without the write lock. */
	while (!c->may_reset) {
		struct err busy = ERR_INIT;
		uint32_t log;

		if (sq_checkpoint(c->sq, &log, &c->in_file, &busy) == 0)
			return 0;
		if (busy.code != ERR_AGAIN || clock_mono_us() >= until_us) {
			*e = busy;
			return -1;
		}
		clock_sleep_us(POLL_US);
		if (capture_make_way(c, e) < 0)
			return -1;
	}
	c->in_file = follow_frames(c->follow);
	return 0;
}

/* What is put into the file without the lock takes so long that the app, on a slow disk, writes as much meanwhile:
 * now it must wait for it.  Not for a reader that does not end. */
static bool too_long(const struct capture *c)
{
	return !c->stuck_at && (uint64_t)follow_frames(c->follow) * sq_page_size(c->sq) >
				       CAPTURE_TAIL_LIMIT;
}

/* Step 1, but for the syncs. */
static int prepare(struct capture *c, struct err *e)
{
	if (capture_copy(c, e) < 0 || switch_reader(c, false, e) < 0)
		return -1;
	c->in_file = follow_frames(c->follow);
	if (!too_long(c) && soften(c, checkpoint_in_turn(c, e), e) < 0)
		return -1;
	c->eased = true;
	return 0;
}

/* Each barrier costs an app that writes without pause some ms, in which it finds the lock taken: one for a long
 * WAL is cheaper than many for short ones. */
static bool may_wait(const struct capture *c)
{
	return follow_frames(c->follow) <=
	       (uint64_t)c->opt.checkpoint_pages * CAPTURE_PATIENCE;
}

/* Into the stash, which takes a fraction of the time that delivering does: only so the end comes nearer while
 * an app writes without pause.  *tail: how much there was.  1; 0: more than it holds; -1. */
static int stash_tail(struct capture *c, uint64_t *tail, struct err *e)
{
	uint64_t seen = wal_index_glance(c->map);
	struct wal_index ix;

	if (capture_index(c, &ix, e) < 0)
		return -1;
	*tail = capture_tail(c, &ix);
	if (c->stash.len + *tail > STASH_BYTES)
		return 0;
	c->seen = seen;
	return capture_follow(c, &ix, stash_page, e) < 0 ? -1 : 1;
}

static int sync_both(struct capture *c, struct err *e)
{
	return sq_sync(c->sq, e) < 0 ? -1 : follow_sync(c->follow, e);
}

/* What can be done without the lock is: under it only a short tail is to be copied and synced.  An app that writes
 * faster than that must wait for the lock now, or its WAL would grow. */
static int shorten_tail(struct capture *c, struct err *e)
{
	uint64_t few = (uint64_t)TAIL_FRAMES * sq_page_size(c->sq), tail = UINT64_MAX;
	int fits = 1;

	if (capture_copy(c, e) < 0)
		return -1;
	for (int i = 0; i < TAIL_ROUNDS && tail > few && fits == 1; i++)
		fits = stash_tail(c, &tail, e);
	if (fits == 1 && !too_long(c) && soften(c, sync_both(c, e), e) < 0)
		return -1;
	return fits < 0 || stash_tail(c, &tail, e) < 0 ? -1 : 0;
}

/* The reader that held the last attempt back is still there: its mark is below the WAL's end of then. */
static bool still_stuck(const struct capture *c)
{
	return c->in_file < c->stuck_at;
}

/* Held for a reader that does not end, the lock would only make the app wait.  Now and then all the
 * same: with all marks taken, short readers hand an old one on. */
static bool not_worth_it(const struct capture *c)
{
	return still_stuck(c) && clock_mono_us() < c->stuck_until_us;
}

/* As capture_make_way, into the stash; not where that would be too much. */
static int make_way(struct capture *c, struct err *e)
{
	struct wal_index ix;

	if (!sq_checkpointer(c->sq))
		return 0;
	if (capture_index(c, &ix, e) < 0)
		return -1;
	return c->stash.len + capture_tail(c, &ix) > STASH_BYTES
		       ? 0
		       : switch_reader(c, true, e);
}

/* A checkpoint of the app may hold it and wait for our reader. */
static int take_lock(struct capture *c, int64_t *held_since_us, struct wal_index *ix,
		     struct err *e)
{
	int64_t asked = clock_mono_us();

	*held_since_us = 0;
	for (;;) {
		struct err busy = ERR_INIT;
		int rc = capture_take_lock(c, LOCK_SLICE_MS, held_since_us, ix, &busy);

		if (*held_since_us)
			c->stats.wait_us_last = *held_since_us - asked;
		if (rc == 0)
			return 0;
		if (busy.code != ERR_AGAIN || *held_since_us ||
		    clock_mono_us() - asked >= c->opt.max_wait_ms * 1000) {
			*e = busy;
			return -1;
		}
		if (make_way(c, e) < 0)
			return -1;
	}
}

/* The write lock, with at most a short tail left to copy; the tail is in the stash. */
static int lock_and_copy(struct capture *c, int64_t *held_since_us, struct err *e)
{
	uint64_t before = 2ULL * CAPTURE_TAIL_LIMIT;

	for (int round = 0;; round++) {
		struct wal_index ix;

		if (take_lock(c, held_since_us, &ix, e) < 0)
			return -1;
		uint64_t tail = capture_tail(c, &ix);
		/* As fast as we copy, or faster: more rounds only make it longer. */
		bool last = round >= TAIL_ROUNDS || tail > before / 2 ||
			    c->stash.len + tail > STASH_BYTES;

		if (last && tail > CAPTURE_TAIL_LIMIT)
			return deliver_stash(c, e) < 0
				       ? -1
				       : capture_while_it_waits(c, held_since_us, &ix, e);
		if (last || tail < (uint64_t)TAIL_FRAMES * sq_page_size(c->sq))
			return capture_follow(c, &ix, stash_page, e);
		before = tail;
		sq_write_unlock(c->sq);
		if (stash_tail(c, &tail, e) < 0)
			return -1;
	}
}

/* The app's WAL is growing because readers follow one another: hold the lock longer. */
static int64_t hold_limit_us(const struct capture *c)
{
	int64_t ms = c->opt.max_hold_ms;

	if (!c->stuck_at || still_stuck(c))
		return ms * 1000;
	for (uint64_t n = (uint64_t)c->opt.checkpoint_pages * 8;
	     n < follow_frames(c->follow) && ms < CAPTURE_HOLD_CEILING_MS; n *= 2)
		ms *= 2;
	return (ms < CAPTURE_HOLD_CEILING_MS ? ms : CAPTURE_HOLD_CEILING_MS) * 1000;
}

/* No reader at an older mark can arise while the lock is held, so short ones drain. */
static int checkpoint_all(struct capture *c, int64_t until_us, bool *all, struct err *e)
{
	uint32_t log, done;
	int64_t reopen_us = clock_mono_us() + REOPEN_US;

	*all = false;
	for (;;) {
		struct err busy = ERR_INIT;
		int rc = sq_checkpoint(c->sq, &log, &done, &busy);

		if (rc < 0 && busy.code != ERR_AGAIN) {
			*e = busy;
			return soften(c, -1, e);
		}
		*all = rc == 0 && log == done && log == follow_frames(c->follow);
		if (*all || clock_mono_us() >= until_us)
			return 0;
		/* With all marks taken our own reader got an old one; by now some are free. */
		if (clock_mono_us() >= reopen_us) {
			if (switch_reader(c, true, e) < 0)
				return -1;
			reopen_us = clock_mono_us() + REOPEN_US;
		}
		clock_sleep_us(POLL_US);
	}
}

static int wait_for_marks(struct capture *c, int64_t until_us, struct err *e)
{
	for (;;) {
		int held = sq_mark_holder(c->sq, 1, &c->stats.holder, e);

		if (held <= 0)
			return held;
		if (clock_mono_us() >= until_us)
			return 0;
		clock_sleep_us(POLL_US);
	}
}

/* Steps 2 to 4; the lock is released by the caller. */
static int under_lock(struct capture *c, int64_t *held_since_us, bool *complete,
		      struct err *e)
{
	*complete = false;
	if (shorten_tail(c, e) < 0 || lock_and_copy(c, held_since_us, e) < 0 ||
	    switch_reader(c, true, e) < 0)
		return -1;
	int64_t limit = hold_limit_us(c);
	int64_t until = clock_mono_us() + limit;

	if (checkpoint_all(c, until, complete, e) < 0)
		return -1;
	if (!*complete) {
		c->stuck_at = follow_frames(c->follow);
		c->stuck_until_us = clock_mono_us() + limit * STUCK_PAUSE;
		return sq_mark_holder(c->sq, 0, &c->stats.holder, e) < 0 ? -1 : 0;
	}
	c->stuck_at = 0;
	if (capture_index(c, &c->rest_index, e) < 0 || switch_reader(c, true, e) < 0)
		return -1;
	/* From here on the reader is at mark 0, whatever others hold. */
	c->may_reset = c->rested = true;
	c->eased = false;
	return wait_for_marks(c, until, e);
}

static void record(struct capture *c, int64_t held_since_us, bool complete)
{
	if (held_since_us) {
		c->stats.holds++;
		c->stats.hold_us_last = clock_mono_us() - held_since_us;
		if (c->stats.hold_us_last > c->stats.hold_us_max)
			c->stats.hold_us_max = c->stats.hold_us_last;
	}
	if (complete)
		c->stats.barriers++;
	else
		c->stats.barriers_failed++;
}

static int barrier(struct capture *c, bool patient, struct err *e)
{
	int64_t held_since = 0;
	bool complete = false;
	/* It writes without pause: that many frames since the last look. */
	bool fast = patient && c->step > c->opt.checkpoint_pages / 16;

	if (c->rested && !capture_has_news(c))
		return CAPTURE_RESTS;
	struct err why = ERR_INIT;

	c->stats.holder = 0;
	int rc = prepare(c, &why);

	if (rc == 0 && fast && may_wait(c))
		return CAPTURE_LATER;
	if (rc == 0 && not_worth_it(c))
		rc = sq_mark_holder(c->sq, 0, &c->stats.holder, &why) < 0 ? -1 : 0;
	else if (rc == 0)
		rc = under_lock(c, &held_since, &complete, &why);
	sq_write_unlock(c->sq);
	record(c, held_since, rc == 0 && complete);
	if (rc < 0)
		log_debug("barrier held back", LOGE(&why));
	if (deliver_stash(c, e) < 0)
		return -1;
	if (rc < 0 && held_back(&why) < 0) {
		*e = why;
		return -1;
	}
	return rc == 0 && complete ? CAPTURE_RESTS : CAPTURE_HELD_BACK;
}

int capture_barrier(struct capture *c, struct err *e)
{
	return barrier(c, false, e);
}

int capture_ease(struct capture *c, struct err *e)
{
	return barrier(c, true, e);
}
