/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/capture.h"

#include "agent/replicate/capture_priv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_TRIES 50
#define INDEX_PAUSE_US 200
#define HASH_CHUNK (1U << 20)
#define COPY_SLICE_US 50000 /* then look how far the app is ahead */

struct capture *capture_open(const char *path, const struct capture_options *o,
			     const struct capture_sink *sink, struct err *e)
{
	struct capture *c = mem_alloc(sizeof(*c));

	c->opt = *o;
	c->sink = *sink;
	if (!c->opt.max_wait_ms)
		c->opt.max_wait_ms = 100;
	if (!c->opt.max_hold_ms)
		c->opt.max_hold_ms = 50;
	if (!c->opt.slice_us)
		c->opt.slice_us = 100000;
	if (!c->opt.checkpoint_pages)
		c->opt.checkpoint_pages = 1000;
	c->sq = sq_open(path, NULL, e);
	if (!c->sq || sq_read_begin(c->sq, 0, e) < 0)
		goto fail;
	c->map = sq_index(c->sq, e);
	if (!c->map)
		goto fail;
	c->follow = follow_new(sq_wal_path(c->sq), sq_page_size(c->sq));
	return c;
fail:
	capture_close(c);
	return NULL;
}

static void hash_end(struct capture *c)
{
	sq_file_close(c->hashing);
	c->hashing = NULL;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	follow_destroy(c->follow);
	hash_end(c);
	pagesum_destroy(c->sums);
	stash_free(&c->stash);
	sq_close(c->sq);
	free(c);
}

int capture_index(struct capture *c, struct wal_index *ix, struct err *e)
{
	for (int i = 0; i < INDEX_TRIES; i++) {
		struct err ignored = ERR_INIT;

		if (wal_index_read(c->map, ix))
			return 0;
		/* A writer that died while it wrote the header: a new reader runs SQLite's recovery. */
		if (i == INDEX_TRIES / 2 && sq_read_begin(c->sq, !c->cur, &ignored) == 0)
			sq_read_end(c->sq, !c->cur);
		clock_sleep_us(INDEX_PAUSE_US);
	}
	return err_set(e, ERR_AGAIN,
		       "%s: the wal-index stays unreadable (a writer died in the "
		       "middle of a commit, or recovery is running)",
		       sq_path(c->sq));
}

/* A page as it is delivered: the sums first, then whoever replicates.  Before the capture has
 * settled nothing counts: the hashing that follows sees it in the file. */
int capture_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		 struct err *e)
{
	struct capture *c = arg;
	uint32_t need = commit ? commit : pgno;

	if (!c->settled)
		return 0;
	/* A transaction that grows the database names the new size only in its last page. */
	if ((need > pagesum_pages(c->sums) || commit) &&
	    pagesum_resize(c->sums, need, e) < 0)
		return -1;
	pagesum_set(c->sums, pgno, page);
	c->stats.frames++;
	if (c->sink.page(c->sink.arg, pgno, commit, page, e) < 0)
		return -1;
	if (commit) {
		c->stats.commits++;
		c->sink.commit(c->sink.arg, c->now_ms, pagesum_value(c->sums), commit);
	}
	return 0;
}

/* Read the follower up to ix, with fn for the pages. */
int capture_follow(struct capture *c, const struct wal_index *ix, follow_page_fn *fn,
		   struct err *e)
{
	bool reset = follow_was_reset(c->follow, ix);

	if (!follow_behind(c->follow, ix) && !reset)
		return 0;
	/* After the look at the wal-index: no commit gets a time before it happened. */
	c->now_ms = clock_wall_ms();
	/* Before the capture has settled nothing counts that a reset could lose. */
	if (follow_read(c->follow, ix, c->may_reset || !c->settled, fn, c, e) < 0)
		return -1;
	if (reset)
		c->stuck_at = 0;
	/* A reset that brought no frame leaves everything as it was at rest. */
	if (!reset || ix->mx_frame)
		c->may_reset = c->rested = false;
	c->stats.wal_frames = follow_frames(c->follow);
	return 0;
}

void capture_expect_reset(struct capture *c, const struct wal_index *ix)
{
	/* All of it copied and in the file, by an earlier attempt or the app's own checkpoint.  (A reader that
	 * got another mark nevertheless forbids the reset by itself.) */
	if (!follow_behind(c->follow, ix) && wal_index_backfilled(c->map) == ix->mx_frame)
		c->may_reset = true;
}

/* *more: it ended before the end of the WAL. */
static int copy_slice(struct capture *c, bool *more, struct err *e)
{
	struct wal_index ix;

	c->seen = wal_index_glance(c->map);
	if (capture_index(c, &ix, e) < 0)
		return -1;
	follow_limit(c->follow, clock_mono_us() + COPY_SLICE_US);
	int rc = capture_follow(c, &ix, capture_page, e);

	follow_limit(c->follow, 0);
	*more = rc == 0 && follow_behind(c->follow, &ix);
	return rc;
}

int capture_copy(struct capture *c, struct err *e)
{
	uint64_t frames = c->stats.frames;
	bool more = true;

	while (more) {
		if (c->overrun && capture_keep_up(c, e) < 0)
			return -1;
		if (copy_slice(c, &more, e) < 0 || (more && capture_keep_up(c, e) < 0))
			return -1;
	}
	c->step = (uint32_t)(c->stats.frames - frames);
	return 0;
}

bool capture_has_news(const struct capture *c)
{
	return wal_index_glance(c->map) != c->seen;
}

/* An empty WAL's header may not know the page count: then it is the file's. */
static int count_pages(struct capture *c, struct sq_file *f, uint32_t *pages, struct err *e)
{
	uint64_t size = 0;

	*pages = c->rest_index.pages;
	if (*pages)
		return 0;
	if (sq_file_size(f, &size, e) < 0)
		return -1;
	*pages = (uint32_t)(size / sq_page_size(c->sq));
	return 0;
}

static int hash_begin(struct capture *c, struct err *e)
{
	pagesum_destroy(c->sums);
	c->sums = pagesum_new(sq_page_size(c->sq), NULL, e);
	c->hashing = c->sums ? sq_file_open(c->sq, e) : NULL;
	return c->hashing ? count_pages(c, c->hashing, &c->hash_pages, e) : -1;
}

static int hash_chunk(struct capture *c, uint8_t *chunk, struct err *e)
{
	uint32_t size = sq_page_size(c->sq), done = pagesum_pages(c->sums);
	uint32_t n = c->hash_pages - done < HASH_CHUNK / size ? c->hash_pages - done
							      : HASH_CHUNK / size;

	if (sq_file_read(c->hashing, chunk, (size_t)n * size, (uint64_t)done * size, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (pagesum_append(c->sums, chunk + (size_t)i * size, e) < 0)
			return -1;
	return 0;
}

/* Under the reader at mark 0 the file holds everything and nobody can write to it. */
static int hash_slice(struct capture *c, struct err *e)
{
	int64_t until = clock_mono_us() + c->opt.slice_us;
	AUTO_FREE uint8_t *chunk = mem_alloc(HASH_CHUNK);

	while (pagesum_pages(c->sums) < c->hash_pages) {
		if (hash_chunk(c, chunk, e) < 0)
			return -1;
		if (clock_mono_us() >= until)
			break;
	}
	return 0;
}

/* The text is the same whoever it is: it is logged again when it changes. */
static int held_up(const struct capture *c, struct err *e)
{
	err_set(e, ERR_AGAIN,
		"%s: a long transaction keeps the WAL from being checkpointed, "
		"which must be done once at the start",
		sq_path(c->sq));
	if (c->stats.holder)
		err_hint(e, "process %d holds a read transaction: end it, or wait",
			 (int)c->stats.holder);
	else
		err_hint(e, "end what reads or writes for long, or wait");
	return err_slug(e, "long_transaction");
}

/* Everything into the file. */
static int settle_barrier(struct capture *c, struct err *e)
{
	struct wal_index ix;

	if (capture_index(c, &ix, e) < 0)
		return -1;
	follow_attach(c->follow, &ix);
	capture_expect_reset(c, &ix);
	c->stuck_at = c->stuck_at <= ix.mx_frame ? c->stuck_at : 0;
	int done = capture_barrier(c, e);

	if (done < 0)
		return -1;
	if (!done)
		return held_up(c, e);
	return 0;
}

int capture_settle(struct capture *c, struct err *e)
{
	if (c->settled)
		return 0;
	if (!c->hashing && (settle_barrier(c, e) < 0 || hash_begin(c, e) < 0))
		goto fail;
	if (hash_slice(c, e) < 0)
		goto fail;
	if (pagesum_pages(c->sums) < c->hash_pages)
		return 0;
	hash_end(c);
	c->settled = true;
	c->seen = 0;
	return 0;
fail:
	hash_end(c);
	return -1;
}

bool capture_settled(const struct capture *c)
{
	return c->settled;
}

bool capture_at_rest(const struct capture *c)
{
	return c->rested;
}

bool capture_barrier_due(const struct capture *c)
{
	uint64_t frames = follow_frames(c->follow), limit = c->opt.checkpoint_pages;

	if (c->rested)
		return false;
	if (c->eased)
		return frames > limit * CAPTURE_PATIENCE;
	/* From its own threshold on, by default the same, SQLite tries to checkpoint at each commit, and under a
	 * reader at mark 0 that costs it much and brings nothing.  So before the next look finds it there. */
	return frames + 2 * (uint64_t)c->step > limit;
}

void capture_idle(struct capture *c)
{
	follow_rest(c->follow);
	stash_free(&c->stash);
}

const char *capture_moved(const struct capture *c)
{
	return sq_moved(c->sq);
}

uint32_t capture_page_size(const struct capture *c)
{
	return sq_page_size(c->sq);
}

uint32_t capture_pages(const struct capture *c)
{
	return c->sums ? pagesum_pages(c->sums) : 0;
}

uint64_t capture_db_sum(const struct capture *c)
{
	return c->sums ? pagesum_value(c->sums) : 0;
}

const char *capture_wal_path(const struct capture *c)
{
	return sq_wal_path(c->sq);
}

const struct capture_stats *capture_stats(const struct capture *c)
{
	return &c->stats;
}

struct sq_file *capture_file(struct capture *c, struct err *e)
{
	return sq_file_open(c->sq, e);
}
