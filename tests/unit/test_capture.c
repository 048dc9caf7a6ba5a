/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/capture.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/frame.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a restore would have: the image at the start and every delivered page. */
struct mirror {
	uint8_t *p;
	uint32_t pages, page_size;
	uint64_t commits, db_sum;
	bool inside; /* a transaction is open */
};

struct env {
	char *dir, *db;
	sqlite3 *app;
	struct mirror m;
	struct capture *c;
};

static void sql(sqlite3 *db, const char *text)
{
	char *msg = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", text, msg);
}

static int on_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		   struct err *e)
{
	struct mirror *m = arg;
	uint32_t need = commit > pgno ? commit : pgno;

	(void)e;
	if (need > m->pages) {
		m->p = mem_grow(m->p, need, m->page_size);
		memset(m->p + (size_t)m->pages * m->page_size, 0,
		       (size_t)(need - m->pages) * m->page_size);
		m->pages = need;
	}
	memcpy(m->p + (size_t)(pgno - 1) * m->page_size, page, m->page_size);
	m->inside = !commit;
	if (commit)
		m->pages = commit;
	return 0;
}

static void on_commit(void *arg, int64_t time_ms, uint64_t db_sum, uint32_t pages)
{
	struct mirror *m = arg;

	assert_true(time_ms > 0);
	assert_false(m->inside);
	assert_int_equal(pages, m->pages);
	m->commits++;
	m->db_sum = db_sum;
}

static void settle(struct env *t)
{
	struct err e = ERR_INIT;
	uint64_t size = 0;

	while (!capture_settled(t->c))
		if (capture_settle(t->c, &e) < 0)
			fail_msg("settle: %s", e.msg);
	struct sq_file *f = capture_file(t->c, &e);

	assert_int_equal(sq_file_size(f, &size, &e), 0);
	t->m.page_size = capture_page_size(t->c);
	t->m.pages = capture_pages(t->c);
	t->m.db_sum = capture_db_sum(t->c);
	t->m.p = mem_alloc(size);
	assert_int_equal(sq_file_read(f, t->m.p, size, 0, &e), 0);
	sq_file_close(f);
}

static struct env *open_env(const char *pragmas, int64_t slice_us, int64_t max_wait_ms)
{
	struct env *t = mem_alloc(sizeof(*t));
	struct err e = ERR_INIT;

	t->dir = tmpdir_new();
	t->db = file_join(t->dir, "app.db");
	assert_int_equal(sqlite3_open(t->db, &t->app), SQLITE_OK);
	sqlite3_busy_timeout(t->app, 5000);
	sql(t->app, pragmas);
	sql(t->app,
	    "PRAGMA journal_mode=wal; CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB);"
	    "INSERT INTO t(x) VALUES(randomblob(3000)),(randomblob(100))");
	struct capture_options o = { .checkpoint_pages = 100,
				     .slice_us = slice_us,
				     .max_wait_ms = max_wait_ms };
	struct capture_sink sink = { &t->m, on_page, on_commit };

	t->c = capture_open(t->db, &o, &sink, &e);
	if (!t->c)
		fail_msg("open: %s", e.msg);
	return t;
}

static struct env *begin(const char *pragmas)
{
	struct env *t = open_env(pragmas, 0, 0);

	settle(t);
	return t;
}

static void copy(struct env *t)
{
	struct err e = ERR_INIT;

	if (capture_copy(t->c, &e) < 0)
		fail_msg("copy: %s", e.msg);
}

static int barrier(struct env *t)
{
	struct err e = ERR_INIT;
	int rc = capture_barrier(t->c, &e);

	if (rc < 0)
		fail_msg("barrier: %s", e.msg);
	return rc;
}

/* The mirror equals the database, byte for byte, when both stand still. */
static void check_equal(struct env *t)
{
	struct err e = ERR_INIT;
	uint64_t size = 0;

	copy(t);
	assert_int_equal(barrier(t), 1);
	struct sq_file *f = capture_file(t->c, &e);

	assert_int_equal(sq_file_size(f, &size, &e), 0);
	assert_int_equal(size, (uint64_t)t->m.pages * t->m.page_size);
	uint8_t *p = mem_alloc(size);

	assert_int_equal(sq_file_read(f, p, size, 0, &e), 0);
	assert_memory_equal(p, t->m.p, size);
	assert_int_equal(capture_db_sum(t->c), t->m.db_sum);
	sq_file_close(f);
	free(p);
}

static void end(struct env *t)
{
	capture_close(t->c);
	sqlite3_close(t->app);
	tmpdir_remove(t->dir);
	free(t->db);
	free(t->m.p);
	free(t);
}

static void every_commit_is_delivered_once_and_whole(void **state)
{
	struct env *t = begin("PRAGMA page_size=1024");

	(void)state;
	for (int i = 0; i < 300; i++) {
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(700))");
		if (i % 7 == 0)
			copy(t);
		if (i % 50 == 49)
			assert_int_equal(barrier(t), 1);
	}
	copy(t);
	assert_int_equal(t->m.commits, 300);
	check_equal(t);
	end(t);
}

static void growing_shrinking_and_huge_transactions_are_followed(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096; PRAGMA auto_vacuum=full");

	(void)state;
	sql(t->app,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1500)"
	    "INSERT INTO t(x) SELECT randomblob(3000) FROM n");
	copy(t);
	assert_int_equal(t->m.commits, 1);
	sql(t->app, "DELETE FROM t WHERE id > 100");
	copy(t);
	sql(t->app, "VACUUM");
	check_equal(t);
	end(t);
}

static void the_sum_is_that_of_the_pages(void **state)
{
	struct env *t = begin("PRAGMA page_size=512");
	struct err e = ERR_INIT;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(20000)); DELETE FROM t WHERE id=1");
	copy(t);
	struct pagesum *s = pagesum_new(512, NULL, &e);

	for (uint32_t i = 0; i < t->m.pages; i++)
		assert_int_equal(pagesum_append(s, t->m.p + (size_t)i * 512, &e), 0);
	assert_int_equal(pagesum_value(s), t->m.db_sum);
	pagesum_destroy(s);
	end(t);
}

static void at_rest_the_apps_own_truncate_returns_at_once(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	for (int i = 0; i < 5; i++) {
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(9000))");
		assert_int_equal(barrier(t), 1);
		assert_true(capture_at_rest(t->c));
		int64_t from = clock_mono_ms();
		int log = -1, done = -1;

		assert_int_equal(sqlite3_wal_checkpoint_v2(t->app, "main",
							   SQLITE_CHECKPOINT_TRUNCATE, &log,
							   &done),
				 SQLITE_OK);
		assert_true(clock_mono_ms() - from < 1000);
		copy(t);
	}
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(9000))");
	check_equal(t);
	end(t);
}

static void the_apps_own_checkpoints_cost_nothing_while_it_writes(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	sqlite3_busy_timeout(t->app, 1);
	for (int i = 0; i < 200; i++) {
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
		if (i % 3 == 0)
			sqlite3_wal_checkpoint_v2(t->app, "main", i % 4, NULL, NULL);
		if (i % 5 == 0)
			copy(t);
		if (i % 20 == 0)
			barrier(t);
	}
	check_equal(t);
	assert_int_equal(t->m.commits, 200);
	end(t);
}

static void a_long_reader_holds_the_barrier_back_but_loses_nothing(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	sqlite3 *reader;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	assert_int_equal(sqlite3_open(t->db, &reader), SQLITE_OK);
	sql(reader, "BEGIN; SELECT count(*) FROM t");
	for (int i = 0; i < 50; i++) {
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
		if (i % 10 == 0)
			assert_int_equal(barrier(t), 0);
	}
	assert_int_equal(capture_stats(t->c)->barriers_failed, 5);
	sql(reader, "COMMIT");
	sqlite3_close(reader);
	check_equal(t);
	assert_int_equal(t->m.commits, 51);
	end(t);
}

static void *release_checkpoint_lock(void *arg)
{
	sqlite3_file *f = arg;

	clock_sleep_ms(20);
	f->pMethods->xShmLock(f, 1, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
	return NULL;
}

static void a_checkpoint_of_the_app_is_waited_for(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	sqlite3_file *f = NULL;
	pthread_t thread;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	assert_int_equal(
		sqlite3_file_control(t->app, "main", SQLITE_FCNTL_FILE_POINTER, &f),
		SQLITE_OK);
	assert_int_equal(
		f->pMethods->xShmLock(f, 1, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE),
		SQLITE_OK);
	assert_int_equal(pthread_create(&thread, NULL, release_checkpoint_lock, f), 0);
	assert_int_equal(barrier(t), CAPTURE_RESTS);
	pthread_join(thread, NULL);
	check_equal(t);
	end(t);
}

static void a_reader_that_does_not_end_does_not_make_the_app_wait(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	sqlite3 *reader;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	assert_int_equal(sqlite3_open(t->db, &reader), SQLITE_OK);
	sql(reader, "BEGIN; SELECT count(*) FROM t");
	uint64_t holds = capture_stats(t->c)->holds;

	for (int i = 0; i < 5; i++) {
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
		assert_int_equal(barrier(t), 0);
		/* Once, to see whether it is a short one. */
		assert_int_equal(capture_stats(t->c)->holds, holds + 1);
	}
	sql(reader, "COMMIT");
	sqlite3_close(reader);
	check_equal(t);
	end(t);
}

static int ease(struct env *t)
{
	struct err e = ERR_INIT;
	int rc = capture_ease(t->c, &e);

	if (rc < 0)
		fail_msg("ease: %s", e.msg);
	return rc;
}

static void write_frames(struct env *t, int n)
{
	for (int i = 0; i < n; i++)
		sql(t->app, "UPDATE t SET x = randomblob(100) WHERE id = 2");
	copy(t);
}

static void an_app_that_writes_without_pause_meets_fewer_barriers(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	barrier(t);
	uint64_t before = capture_stats(t->c)->barriers;

	write_frames(t, 20);
	assert_false(capture_barrier_due(t->c));
	/* One more step like this leads close to the threshold of 100. */
	write_frames(t, 50);
	assert_true(capture_barrier_due(t->c));
	assert_int_equal(ease(t), CAPTURE_LATER);
	assert_false(capture_barrier_due(t->c));
	write_frames(t, 150);
	assert_false(capture_barrier_due(t->c));
	assert_int_equal(capture_stats(t->c)->barriers, before);
	write_frames(t, 350);
	assert_true(capture_barrier_due(t->c));
	assert_int_equal(ease(t), CAPTURE_RESTS);
	assert_int_equal(capture_stats(t->c)->barriers, before + 1);
	assert_true(capture_at_rest(t->c));
	check_equal(t);
	assert_int_equal(t->m.commits, 570);
	end(t);
}

static void an_app_that_writes_now_and_then_has_its_barrier_at_the_threshold(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	for (int i = 0; i < 21; i++)
		write_frames(t, 5);
	assert_true(capture_barrier_due(t->c));
	assert_int_equal(ease(t), CAPTURE_RESTS);
	check_equal(t);
	end(t);
}

/* Another process, since one's own locks cannot be asked about: 0 when the checkpoint was complete. */
static int checkpoint_main(const char *path, int mode, bool write)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		return 2;
	sqlite3_busy_timeout(db, 60000);
	sqlite3_exec(db, "SELECT count(*) FROM t", NULL, NULL, NULL);
	if (write) {
		sqlite3_exec(
			db,
			"BEGIN IMMEDIATE; UPDATE t SET x = randomblob(100) WHERE id = 2",
			NULL, NULL, NULL);
		clock_sleep_ms(50);
		sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	}
	int64_t until = clock_mono_ms() + 20000;
	int rc;

	/* After a commit it may meet the PASSIVE of a barrier that was faster: SQLite refuses it at once then. */
	for (;;) {
		rc = sqlite3_wal_checkpoint_v2(db, "main", mode, NULL, NULL);
		if (!write || rc != SQLITE_BUSY || clock_mono_ms() >= until)
			break;
		clock_sleep_ms(1);
	}
	sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : 1;
}

static pid_t start_checkpoint(struct env *t, int mode, bool write)
{
	char name[] = "test_capture", number[] = { (char)('0' + mode), 0 };
	char *argv[] = { name, t->db, number, write ? name : NULL, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(3);
	}
	return pid;
}

/* Looks, as while frames flow, until that process has ended; its exit code. */
static int look_until_it_ends(struct env *t, pid_t pid)
{
	int64_t until = clock_mono_ms() + 30000;
	struct err e = ERR_INIT;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		copy(t);
		if (capture_make_way(t->c, &e) < 0)
			fail_msg("make way: %s", e.msg);
		if (clock_mono_ms() > until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			fail_msg("the app's checkpoint still waits for our reader");
		}
		clock_sleep_ms(3);
	}
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_full_checkpoint_of_the_app_does_not_wait_for_our_reader(void **state)
{
	const int modes[] = { SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
			      SQLITE_CHECKPOINT_TRUNCATE };

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		int mode = modes[i];
		struct env *t = begin("PRAGMA page_size=4096");
		uint64_t barriers = capture_stats(t->c)->barriers;

		/* From mark 0, and then from wherever the checkpoint before has left the reader. */
		for (int round = 0; round < 6; round++) {
			write_frames(t, 5 + round);
			assert_int_equal(
				look_until_it_ends(t, start_checkpoint(t, mode, false)), 0);
		}
		assert_int_equal(capture_stats(t->c)->barriers, barriers);
		/* After a restart or truncate the WAL has begun anew: the reader was at mark 0. */
		write_frames(t, 1);
		assert_int_equal(capture_stats(t->c)->wal_frames,
				 mode == SQLITE_CHECKPOINT_FULL ? 46 : 1);
		check_equal(t);
		assert_int_equal(t->m.commits, 46);
		end(t);
	}
}

static void after_a_reset_by_the_app_the_next_barrier_is_due_at_the_threshold(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	write_frames(t, 20);
	write_frames(t, 50);
	assert_int_equal(ease(t), CAPTURE_LATER);
	assert_int_equal(look_until_it_ends(
				 t, start_checkpoint(t, SQLITE_CHECKPOINT_TRUNCATE, false)),
			 0);
	for (int i = 0; i < 21; i++)
		write_frames(t, 5);
	assert_int_equal(capture_stats(t->c)->wal_frames, 105);
	assert_true(capture_barrier_due(t->c));
	assert_int_equal(ease(t), CAPTURE_RESTS);
	check_equal(t);
	end(t);
}

/* A minute for the locks: who waited for them in vain would be noticed. */
static struct env *begin_patient(void)
{
	struct env *t = open_env("PRAGMA page_size=4096", 0, 60000);

	settle(t);
	write_frames(t, 5);
	return t;
}

/* Until the app's checkpoint has the write lock. */
static void wait_for_checkpoint(struct env *t)
{
	sqlite3_file *f = NULL;

	assert_int_equal(
		sqlite3_file_control(t->app, "main", SQLITE_FCNTL_FILE_POINTER, &f),
		SQLITE_OK);
	while (f->pMethods->xShmLock(f, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) ==
	       SQLITE_OK) {
		f->pMethods->xShmLock(f, 0, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
		clock_sleep_ms(1);
	}
}

static void check_barrier_makes_way(struct env *t, pid_t pid)
{
	int64_t from = clock_mono_ms();

	/* On a slow machine the time that it may hold the lock is over before the checkpoint has gone. */
	while (barrier(t) != CAPTURE_RESTS)
		assert_true(clock_mono_ms() - from < 20000);
	assert_true(clock_mono_ms() - from < 20000);
	assert_int_equal(look_until_it_ends(t, pid), 0);
}

static void a_barrier_makes_way_for_a_checkpoint_that_it_meets(void **state)
{
	const int modes[] = { SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
			      SQLITE_CHECKPOINT_TRUNCATE };
	struct env *t = begin_patient();

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		write_frames(t, 5);
		/* It waits for mark 0, then perhaps for the end of our reader. */
		pid_t pid = start_checkpoint(t, modes[i], false);

		wait_for_checkpoint(t);
		check_barrier_makes_way(t, pid);
	}
	check_equal(t);
	assert_int_equal(t->m.commits, 20);
	end(t);
}

/* The barrier waits for the end of a transaction, right after which the app checkpoints. */
static void a_barrier_makes_way_for_a_checkpoint_that_takes_the_lock_first(void **state)
{
	struct env *t = begin_patient();

	(void)state;
	for (int i = 0; i < 5; i++) {
		pid_t pid = start_checkpoint(t, SQLITE_CHECKPOINT_TRUNCATE, true);

		wait_for_checkpoint(t);
		check_barrier_makes_way(t, pid);
	}
	check_equal(t);
	assert_int_equal(t->m.commits, 10);
	end(t);
}

/* The barrier cannot take the write lock, again and again; everything is in the file meanwhile, so the app's
 * next commit resets the WAL. */
static void a_long_write_transaction_costs_no_generation(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	for (int round = 0; round < 3; round++) {
		sql(t->app, "BEGIN IMMEDIATE");
		for (int i = 0; i < 3; i++)
			assert_int_equal(barrier(t), 0);
		sql(t->app, round < 2 ? "ROLLBACK" : "DELETE FROM t WHERE id = 1; COMMIT");
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(9000))");
		copy(t);
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
		copy(t);
	}
	check_equal(t);
	assert_int_equal(t->m.commits, 8);
	end(t);
}

/* An attempt puts the WAL into the file and meets the app's write lock, the next one's reader gets
 * mark 0: now the app's next commit resets the WAL, although no barrier was ever complete. */
static void a_reset_between_two_attempts_is_no_discontinuity(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	sql(t->app, "BEGIN IMMEDIATE");
	assert_int_equal(barrier(t), 0);
	assert_int_equal(barrier(t), 0);
	sql(t->app, "ROLLBACK");
	sql(t->app, "UPDATE t SET x=randomblob(500) WHERE id=1");
	copy(t);
	assert_int_equal(capture_stats(t->c)->wal_frames, 1);
	check_equal(t);
	assert_int_equal(t->m.commits, 2);
	end(t);
}

static void before_it_has_settled_a_reset_is_no_discontinuity(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	struct capture_options o = { .checkpoint_pages = 100 };
	struct capture_sink sink = { &t->m, on_page, on_commit };
	struct err e = ERR_INIT;

	(void)state;
	capture_close(t->c);
	free(t->m.p);
	t->m = (struct mirror){ 0 };
	sql(t->app, "PRAGMA wal_checkpoint(TRUNCATE)");
	t->c = capture_open(t->db, &o, &sink, &e);
	assert_non_null(t->c);
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	copy(t);
	settle(t);
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	check_equal(t);
	assert_int_equal(t->m.commits, 1);
	end(t);
}

static void a_wal_reset_behind_our_back_is_a_discontinuity(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	struct err e = ERR_INIT;
	int rc = 0;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	copy(t);
	/* Overwrite the -wal's first frame: what lies there is no continuation any more. */
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	FILE *f = fopen(capture_wal_path(t->c), "r+b");

	fseek(f, -2000, SEEK_END);
	fputs("damage", f);
	fclose(f);
	rc = capture_copy(t->c, &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_string_equal(e.slug, "wal_discontinuity");
	end(t);
}

static void a_frame_that_sqlite_left_without_checksum_is_named(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");
	const char zeros[16] = "";
	struct err e = ERR_INIT;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	FILE *f = fopen(capture_wal_path(t->c), "r+b");

	fseek(f, WAL_HEADER_SIZE + 8, SEEK_SET);
	assert_int_equal(fwrite(zeros, 1, sizeof(zeros), f), sizeof(zeros));
	fclose(f);
	assert_int_equal(capture_copy(t->c, &e), -1);
	assert_string_equal(e.slug, "wal_discontinuity");
	assert_non_null(strstr(e.msg, "SQLite has committed a frame without its checksum"));
	end(t);
}

/* A commit frame with the right salts and checksum right after the last one: what a writer leaves that
 * was killed after writing its frames and before publishing them in the wal-index. */
static void append_phantom_commit(struct env *t)
{
	uint32_t size = t->m.page_size;
	size_t frame = WAL_FRAME_HEADER_SIZE + (size_t)size;
	uint8_t *p = mem_alloc(frame), head[WAL_HEADER_SIZE];
	FILE *f = fopen(capture_wal_path(t->c), "r+b");
	struct wal_header h;
	struct err e = ERR_INIT;

	assert_int_equal(fread(head, 1, sizeof(head), f), sizeof(head));
	assert_int_equal(wal_header_parse(&h, head, sizeof(head), &e), 0);
	struct wal_sum sum = h.sum;
	long at = ftell(f);

	while (fread(p, 1, frame, f) == frame &&
	       wal_frame_verify(&h, &sum, p, p + WAL_FRAME_HEADER_SIZE))
		at += (long)frame;
	memset(p, 0xee, frame);
	wal_frame_format(p, &h, &sum, 2, t->m.pages, p + WAL_FRAME_HEADER_SIZE);
	fseek(f, at, SEEK_SET);
	assert_int_equal(fwrite(p, 1, frame, f), frame);
	fclose(f);
	free(p);
}

static void a_commit_frame_that_was_never_published_is_not_taken(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	append_phantom_commit(t);
	copy(t);
	assert_int_equal(t->m.commits, 1);
	sql(t->app, "INSERT INTO t(x) VALUES(randomblob(2000))");
	copy(t);
	assert_int_equal(t->m.commits, 2);
	check_equal(t);
	end(t);
}

/* A writer in another process, killed at random; whatever it committed is mirrored. */
static void killed_writers_leave_no_phantom_commits(void **state)
{
	struct env *t = begin("PRAGMA page_size=4096");

	(void)state;
	for (int round = 0; round < 12; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			sqlite3 *db;

			sqlite3_open(t->db, &db);
			sqlite3_busy_timeout(db, 5000);
			for (;;) {
				sqlite3_exec(db,
					     "INSERT INTO t(x) VALUES(randomblob(5000))",
					     NULL, NULL, NULL);
				/* A reader slowed down by a sanitizer must be able to follow. */
				clock_sleep_us(2000);
			}
		}
		for (int i = 0; i < 10; i++) {
			clock_sleep_us(500 + (int64_t)(random_u64() % 2000));
			copy(t);
			if (i % 4 == 3)
				barrier(t);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		copy(t);
	}
	check_equal(t);
	end(t);
}

/* A start that hashes a large database is interrupted after each slice, and the app writes meanwhile. */
static void hashing_comes_in_slices_and_the_app_may_write_between_them(void **state)
{
	struct env *t = open_env("PRAGMA page_size=4096", 1, 0);
	struct err e = ERR_INIT;
	unsigned calls = 0;

	(void)state;
	sql(t->app, "INSERT INTO t(x) VALUES(zeroblob(5000000))");
	for (; calls < 3; calls++) {
		assert_int_equal(capture_settle(t->c, &e), 0);
		assert_false(capture_settled(t->c));
		sql(t->app, "INSERT INTO t(x) VALUES(randomblob(3000))");
	}
	settle(t);
	copy(t);
	assert_int_equal(t->m.commits, calls);
	check_equal(t);
	end(t);
}

int main(int argc, char **argv)
{
	if (argc >= 3)
		return checkpoint_main(argv[1], argv[2][0] - '0', argc == 4);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_commit_is_delivered_once_and_whole),
		cmocka_unit_test(growing_shrinking_and_huge_transactions_are_followed),
		cmocka_unit_test(the_sum_is_that_of_the_pages),
		cmocka_unit_test(at_rest_the_apps_own_truncate_returns_at_once),
		cmocka_unit_test(the_apps_own_checkpoints_cost_nothing_while_it_writes),
		cmocka_unit_test(a_long_reader_holds_the_barrier_back_but_loses_nothing),
		cmocka_unit_test(a_checkpoint_of_the_app_is_waited_for),
		cmocka_unit_test(an_app_that_writes_without_pause_meets_fewer_barriers),
		cmocka_unit_test(
			an_app_that_writes_now_and_then_has_its_barrier_at_the_threshold),
		cmocka_unit_test(a_full_checkpoint_of_the_app_does_not_wait_for_our_reader),
		cmocka_unit_test(
			after_a_reset_by_the_app_the_next_barrier_is_due_at_the_threshold),
		cmocka_unit_test(
			a_barrier_makes_way_for_a_checkpoint_that_takes_the_lock_first),
		cmocka_unit_test(a_barrier_makes_way_for_a_checkpoint_that_it_meets),
		cmocka_unit_test(a_long_write_transaction_costs_no_generation),
		cmocka_unit_test(a_reader_that_does_not_end_does_not_make_the_app_wait),
		cmocka_unit_test(a_reset_between_two_attempts_is_no_discontinuity),
		cmocka_unit_test(before_it_has_settled_a_reset_is_no_discontinuity),
		cmocka_unit_test(a_wal_reset_behind_our_back_is_a_discontinuity),
		cmocka_unit_test(a_frame_that_sqlite_left_without_checksum_is_named),
		cmocka_unit_test(a_commit_frame_that_was_never_published_is_not_taken),
		cmocka_unit_test(killed_writers_leave_no_phantom_commits),
		cmocka_unit_test(
			hashing_comes_in_slices_and_the_app_may_write_between_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
