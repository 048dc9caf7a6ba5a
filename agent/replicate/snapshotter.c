/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of one replica.
 *
 * zst: fuzzy, as a base backup.  The file is read in order while commits and barriers go on; the pages
 * that change meanwhile are in the segments from the replay position on.  The image has as many
 * pages as the database at the valid position, where reading ended.  No lock is held.
 *
 * lz4: exact, from a local copy made right after a barrier under the reader at mark 0.
 */
#include "agent/progress.h"
#include "agent/replicate/replica_priv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "wal/dbhdr.h"
#include "wal/snapshot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_LIMIT (4U << 20)
#define COPY_CHUNK (1U << 20)
#define WAL_FLOOR (64ULL << 20)
#define GAP_MS 30000

/* One at a time in this process: a snapshot is bound by CPU and disk. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

struct shot {
	struct replica *r;
	struct snapshot_writer *w;
	struct store_writer *out;
	struct buf b;
	uint8_t *chunk;
	uint32_t page_size, chunk_pages, done; /* pages read */
	uint32_t in_chunk;		       /* of them not compressed yet */
	uint64_t stored;
	int64_t began_ms;
	struct progress progress;
};

bool snapshotter_is_due(uint64_t wal_bytes, uint64_t db_bytes, int64_t age_ms,
			int64_t interval_ms)
{
	if (interval_ms > 0 && age_ms >= interval_ms)
		return true;
	return age_ms >= GAP_MS &&
	       wal_bytes > (db_bytes > WAL_FLOOR ? db_bytes : WAL_FLOOR);
}

static int shot_begin(struct shot *s, struct replica *r, uint32_t index, struct err *e)
{
	struct store_put o = { .if_absent = true };
	enum codec codec = r->plan.record.compression;
	char key[LAYOUT_KEY_MAX];

	*s = (struct shot){ .r = r,
			    .b = BUF(OUT_LIMIT),
			    .page_size = r->plan.record.page_size };
	s->began_ms = clock_mono_ms();
	s->chunk_pages = COPY_CHUNK / s->page_size;
	layout_snapshot_key(r->plan.record.generation, index, codec, key);
	s->out = r->store->ops->write_begin(r->store, key, &o, e);
	if (!s->out)
		return -1;
	s->chunk = mem_alloc(COPY_CHUNK);
	s->w = snapshot_new(codec, s->page_size, &s->b);
	return 0;
}

/* Is a generation being begun?  Its snapshot is waited for. */
static bool is_first(struct replica *r)
{
	pthread_mutex_lock(&r->mu);
	bool first = r->phase == REPLICA_STARTING;

	pthread_mutex_unlock(&r->mu);
	return first;
}

static void show_progress(struct shot *s, uint32_t pages)
{
	progress_begin(&s->progress, "snapshot", s->r->db->path,
		       (uint64_t)pages * s->page_size, s->r->env->show_bar);
}

static void shot_end(struct shot *s)
{
	progress_end(&s->progress);
	if (s->out)
		s->r->store->ops->write_abort(s->out);
	snapshot_destroy(s->w);
	buf_free(&s->b);
	free(s->chunk);
}

static int drain(struct shot *s, struct err *e)
{
	if (!buf_ok(&s->b))
		return err_set(e, ERR_BUG, "a snapshot chunk larger than %u bytes",
			       OUT_LIMIT);
	int rc = s->b.len ? s->r->store->ops->write(s->out, s->b.p, s->b.len, e) : 0;

	s->stored += s->b.len;
	buf_reset(&s->b);
	return rc;
}

/* Compressed where it lies: a snapshot is made in little memory. */
static int put_chunk(struct shot *s, struct err *e)
{
	size_t n = (size_t)s->in_chunk * s->page_size;

	if (s->r->plan.record.compression == CODEC_LZ4)
		snapshot_add(s->w, s->chunk, n);
	else
		snapshot_add_raw_chunk(s->w, s->chunk, n);
	s->in_chunk = 0;
	return drain(s, e);
}

/* The next pages of the image lie in the chunk behind those that are there. */
static int took_pages(struct shot *s, uint32_t n, struct err *e)
{
	uint32_t lock = db_lock_page(s->page_size);

	if (lock > s->done && lock - s->done <= n)
		memset(s->chunk + (size_t)(s->in_chunk + lock - s->done - 1) * s->page_size,
		       0, s->page_size);
	s->done += n;
	s->in_chunk += n;
	progress_add(&s->progress, (uint64_t)n * s->page_size);
	return s->in_chunk == s->chunk_pages ? put_chunk(s, e) : 0;
}

/* How many pages are read next, and where to; `to` pages are wanted in all. */
static uint32_t next_pages(const struct shot *s, uint32_t to, uint8_t **where)
{
	uint32_t room = s->chunk_pages - s->in_chunk, left = to - s->done;

	*where = s->chunk + (size_t)s->in_chunk * s->page_size;
	return left < room ? left : room;
}

static int add_pages(struct shot *s, struct sq_file *f, uint32_t to, unsigned epoch,
		     struct err *e)
{
	while (s->done < to) {
		uint8_t *where;
		uint32_t n = next_pages(s, to, &where);

		if (replica_check(s->r, epoch, e) < 0 ||
		    sq_file_read(f, where, (size_t)n * s->page_size,
				 (uint64_t)s->done * s->page_size, e) < 0 ||
		    took_pages(s, n, e) < 0)
			return -1;
	}
	return 0;
}

static int shot_finish(struct shot *s, const struct replica_answer *replay,
		       const struct replica_answer *valid, struct err *e)
{
	struct replica *r = s->r;
	struct trailer t = {
		.kind = TRAILER_SNAPSHOT,
		.page_size = s->page_size,
		.session = r->session,
		.pos = replay->pos,
		.replay = replay->pos,
		.valid = valid->pos,
		.db_sum_after = valid->db_sum,
		.db_pages_after = valid->pages,
		.time_ms = valid->time_ms,
	};

	memcpy(t.generation, r->plan.record.generation, sizeof(t.generation));
	if (s->in_chunk && put_chunk(s, e) < 0)
		return -1;
	snapshot_finish(s->w, &t);
	int rc = drain(s, e);

	trailer_free(&t);
	if (rc < 0)
		return -1;
	struct store_writer *out = STEAL(s->out);

	if (r->store->ops->write_commit(out, e) < 0)
		return -1;
	int64_t ms = clock_mono_ms() - s->began_ms;

	progress_end(&s->progress);
	pthread_mutex_lock(&r->mu);
	r->stats.snapshots++;
	r->last_snapshot_ms = clock_mono_ms();
	pthread_mutex_unlock(&r->mu);
	log_info("snapshot uploaded", LOGS("db", r->db->path), LOGS("replica", r->rc->name),
		 LOGS("generation", r->plan.record.generation),
		 LOGX("index", replay->pos.index), LOGU("pages", valid->pages),
		 LOGU("stored_bytes", s->stored), LOGI("ms", ms));
	return 0;
}

/* Read until the image is as long as the database is at that moment: the valid position. */
static int read_all(struct shot *s, struct replica_answer *a, struct replica_answer *valid,
		    unsigned epoch, struct err *e)
{
	*valid = *a;
	do {
		if (add_pages(s, a->file, valid->pages, epoch, e) < 0 ||
		    replica_ask(s->r, epoch, REQUEST_CUT, valid, e) < 0)
			return -1;
	} while (valid->pages > s->done);
	if (valid->pages < s->done)
		return err_set(
			e, ERR_AGAIN,
			"%s: the database became smaller while its snapshot was read",
			s->r->db->path);
	return 0;
}

int snapshotter_fuzzy(struct replica *r, unsigned epoch, struct replica_answer *a,
		      struct err *e)
{
	struct replica_answer valid;
	struct shot s = { .r = r };
	bool first = is_first(r);

	if (first)
		replica_set_gate(r, GATE_OPEN);
	pthread_mutex_lock(&one_at_a_time);
	int rc = shot_begin(&s, r, a->pos.index, e);

	if (rc == 0 && first)
		show_progress(&s, a->pages);
	if (rc == 0)
		rc = read_all(&s, a, &valid, epoch, e);
	pthread_mutex_unlock(&one_at_a_time);
	sq_file_close(a->file);
	a->file = NULL;
	/* In a new generation nothing after the valid position goes before head. */
	if (rc == 0 && first)
		replica_set_gate(r, valid.sent);
	if (rc == 0)
		rc = replica_await_acked(r, epoch, valid.sent, e);
	if (rc == 0)
		rc = shot_finish(&s, a, &valid, e);
	shot_end(&s);
	return rc;
}

/* ---- lz4 ---- */

static uint64_t copy_limit(const struct replica *r)
{
	struct err ignored = ERR_INIT;
	uint64_t free_bytes = 0;

	if (r->db->snapshot_copy_limit_bytes)
		return r->db->snapshot_copy_limit_bytes;
	if (file_free_space(r->dir, &free_bytes, &ignored) < 0)
		return UINT64_MAX; /* the copy itself will tell */
	return free_bytes / 2;
}

static int copy_pages(struct replica *r, struct sq_file *file, int fd, uint64_t bytes,
		      struct err *e)
{
	AUTO_FREE uint8_t *chunk = mem_alloc(COPY_CHUNK);

	for (uint64_t at = 0; at < bytes; at += COPY_CHUNK) {
		size_t n = bytes - at < COPY_CHUNK ? (size_t)(bytes - at) : COPY_CHUNK;

		if (sq_file_read(file, chunk, n, at, e) < 0 ||
		    file_pwrite_full(fd, chunk, n, at, r->copy_path, e) < 0 ||
		    stop_check(r->env->stop, e) < 0)
			return -1;
		if (r->env->alive)
			r->env->alive(r->env->arg);
	}
	return 0;
}

int snapshotter_make_copy(struct replica *r, struct sq_file *file, uint32_t pages,
			  struct err *e)
{
	uint64_t bytes = (uint64_t)pages * r->plan.record.page_size;

	if (bytes > copy_limit(r)) {
		err_set(e, ERR_IO,
			"%s: the local copy for an lz4 snapshot needs %ju bytes, more than "
			"is allowed",
			r->db->path, (uintmax_t)bytes);
		err_hint(e, "set `compression: zst`, which needs no copy, or raise "
			    "snapshot-copy-limit");
		return err_slug(e, "snapshot_copy_limit");
	}
	AUTO_CLOSE int fd =
		open(r->copy_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, "open %s", r->copy_path);
	return copy_pages(r, file, fd, bytes, e);
}

static int add_copy(struct shot *s, int fd, uint32_t pages, unsigned epoch, struct err *e)
{
	while (s->done < pages) {
		uint8_t *where;
		uint32_t n = next_pages(s, pages, &where);

		if (replica_check(s->r, epoch, e) < 0 ||
		    file_pread_full(fd, where, (size_t)n * s->page_size,
				    (uint64_t)s->done * s->page_size, s->r->copy_path,
				    e) < 0 ||
		    took_pages(s, n, e) < 0)
			return -1;
	}
	return 0;
}

int snapshotter_from_copy(struct replica *r, unsigned epoch, const struct replica_answer *a,
			  struct err *e)
{
	struct err ignored = ERR_INIT;
	struct shot s = { .r = r };
	AUTO_CLOSE int fd = open(r->copy_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "open %s", r->copy_path);
	int rc = replica_await_acked(r, epoch, a->sent, e);

	pthread_mutex_lock(&one_at_a_time);
	if (rc == 0)
		rc = shot_begin(&s, r, a->pos.index, e);
	if (rc == 0 && is_first(r))
		show_progress(&s, a->pages);
	if (rc == 0)
		rc = add_copy(&s, fd, a->pages, epoch, e);
	if (rc == 0)
		rc = shot_finish(&s, a, a, e);
	shot_end(&s);
	pthread_mutex_unlock(&one_at_a_time);
	(void)!file_unlink(r->copy_path, &ignored); /* the next copy truncates it anyway */
	return rc;
}
