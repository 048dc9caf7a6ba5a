/* SPDX-License-Identifier: Apache-2.0 */
/* How a replica begins a generation, against a folder whose writes fail as told. */
#include "agent/replicate/places.h"
#include "agent/replicate/replica_priv.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_SIZE 4096

/* What the store does in this test. */
static struct {
	const struct store_ops *real;
	struct store_ops ops;
	int fail_heads; /* so many writes of head.json fail ... */
	enum errc code; /* ... like this */
	int heads, snapshots;
} store;

static int put(struct store *s, const char *key, const void *p, size_t n,
	       const struct store_put *o, struct err *e)
{
	if (strcmp(key, LAYOUT_HEAD_KEY) == 0 && store.heads++ < store.fail_heads)
		return err_set(e, store.code, "put %s: as told", key);
	return store.real->put(s, key, p, n, o, e);
}

static struct store_writer *write_begin(struct store *s, const char *key,
					const struct store_put *o, struct err *e)
{
	store.snapshots++;
	return store.real->write_begin(s, key, o, e);
}

struct env {
	char *dir, *db, *meta, *folder;
	sqlite3 *app;
	struct replica_config rc;
	struct db_config cfg;
	struct replica_env shared;
	struct places start_places, upload_places;
	struct stop *stop;
	struct pool *start, *upload;
	struct replica *r;
	struct capture *c;
};

static void no_wake(void *arg)
{
	(void)arg; /* this test's loop looks by itself */
}

static void no_fatal(void *arg, const struct err *e)
{
	(void)arg;
	fail_msg("fatal: %s", e->msg);
}

static int on_page(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		   struct err *e)
{
	struct env *t = arg;

	(void)e;
	replica_page(t->r, pgno, commit, page);
	return 0;
}

static void on_commit(void *arg, int64_t time_ms, uint64_t db_sum, uint32_t pages)
{
	struct env *t = arg;

	replica_commit(t->r, time_ms, db_sum, pages, clock_mono_ms());
}

static struct env *begin(void)
{
	struct env *t = mem_alloc(sizeof(*t));
	struct err e = ERR_INIT;

	t->dir = tmpdir_new();
	t->db = file_join(t->dir, "app.db");
	t->meta = file_join(t->dir, "meta");
	t->folder = file_join(t->dir, "replica");
	assert_int_equal(sqlite3_open(t->db, &t->app), SQLITE_OK);
	assert_int_equal(sqlite3_exec(t->app,
				      "PRAGMA page_size=4096; PRAGMA journal_mode=wal;"
				      "CREATE TABLE t(x); INSERT INTO t VALUES(1)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	t->rc = (struct replica_config){ .name = mem_str("file"),
					 .type = REPLICA_FILE,
					 .path = t->folder,
					 .compression = COMPRESSION_ZST,
					 .sync_interval_ms = 10 };
	t->cfg = (struct db_config){ .path = t->db,
				     .meta_path = t->meta,
				     .min_checkpoint_pages = 1000,
				     .spool_limit_bytes = 1 << 20,
				     .replicas = &t->rc,
				     .nreplicas = 1 };
	t->stop = stop_new();
	t->start = pool_new("start", 1);
	t->upload = pool_new("upload", 1);
	atomic_store(&t->start_places.left, 1);
	atomic_store(&t->upload_places.left, 1);
	t->shared = (struct replica_env){ .start_pool = t->start,
					  .upload_pool = t->upload,
					  .start_places = &t->start_places,
					  .upload_places = &t->upload_places,
					  .stop = t->stop,
					  .version = "test",
					  .fatal = no_fatal };
	t->r = replica_new(&t->shared, &t->cfg, &t->rc, no_wake, NULL, &e);
	if (!t->r)
		fail_msg("replica: %s", e.msg);
	memset(&store, 0, sizeof(store));
	store.real = t->r->store->ops;
	store.ops = *store.real;
	store.ops.put = put;
	store.ops.write_begin = write_begin;
	t->r->store->ops = &store.ops;
	return t;
}

static void open_capture(struct env *t)
{
	struct capture_options o = { .checkpoint_pages = 1000 };
	struct capture_sink sink = { t, on_page, on_commit };
	struct err e = ERR_INIT;

	t->c = capture_open(t->db, &o, &sink, &e);
	if (!t->c)
		fail_msg("capture: %s", e.msg);
}

/* What the database's job does, until the replica runs. */
static void until_running(struct env *t)
{
	int64_t deadline = clock_mono_ms() + 20000;
	struct replica_status s;
	struct err e = ERR_INIT;

	open_capture(t);
	while (!capture_settled(t->c))
		assert_int_equal(capture_settle(t->c, &e), 0);
	replica_open(t->r, t->c, clock_wall_ms());
	do {
		assert_true(clock_mono_ms() < deadline);
		assert_int_equal(capture_copy(t->c, &e), 0);
		if (replica_wants_barrier(t->r))
			assert_true(capture_barrier(t->c, &e) >= 0);
		replica_serve(t->r, t->c, capture_at_rest(t->c));
		replica_cut_due(t->r, clock_mono_ms(), false);
		clock_sleep_ms(2);
		replica_status(t->r, &s);
	} while (s.phase != REPLICA_RUNNING);
}

static void end(struct env *t)
{
	replica_destroy(t->r);
	capture_close(t->c);
	pool_destroy(t->start);
	pool_destroy(t->upload);
	stop_destroy(t->stop);
	sqlite3_close(t->app);
	tmpdir_remove(t->dir);
	free(t->db);
	free(t->meta);
	free(t->folder);
	free(t->rc.name);
	free(t);
}

static void a_snapshot_is_not_uploaded_again_when_only_head_could_not_be_written(
	void **state)
{
	struct env *t = begin();

	(void)state;
	store.fail_heads = 2;
	store.code = ERR_AGAIN;
	until_running(t);
	assert_int_equal(store.heads, 3);
	assert_int_equal(store.snapshots, 1);
	end(t);
}

static void a_head_that_has_moved_is_decided_about_anew(void **state)
{
	struct env *t = begin();

	(void)state;
	store.fail_heads = 1;
	store.code = ERR_EXISTS;
	until_running(t);
	assert_int_equal(store.heads, 2);
	assert_int_equal(store.snapshots, 2);
	end(t);
}

static void a_stop_ends_the_copy_for_a_snapshot(void **state)
{
	struct env *t = begin();
	struct err e = ERR_INIT;

	(void)state;
	open_capture(t);
	struct sq_file *f = capture_file(t->c, &e);

	assert_non_null(f);
	t->r->plan.record.page_size = PAGE_SIZE;
	assert_int_equal(snapshotter_make_copy(t->r, f, 2, &e), 0);
	stop_set(t->stop, 0);
	assert_int_equal(snapshotter_make_copy(t->r, f, 2, &e), -1);
	assert_int_equal(e.code, ERR_CANCELED);
	sq_file_close(f);
	end(t);
}

static void a_snapshot_is_due_by_size_or_by_age(void **state)
{
	const uint64_t mib = 1 << 20;
	static const struct {
		uint64_t wal_mib, db_mib;
		int64_t age_ms, interval_ms;
		bool due;
	} row[] = {
		{ 64, 1, 60000, 0, false },
		{ 65, 1, 60000, 0, true },
		{ 65, 1, 30000, 0, true },
		{ 65, 1, 29999, 0, false }, /* not one after the other */
		{ 5000, 1, 29999, 0, false },
		{ 65, 200, 60000, 0, false },
		{ 200, 200, 60000, 0, false },
		{ 201, 200, 60000, 0, true },
		{ 0, 200, 86399999, 86400000, false },
		{ 0, 200, 86400000, 86400000, true },
		{ 0, 200, 86400000 * 2, 0, false },
		{ 0, 200, 5000, 5000, true }, /* as the user says */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (snapshotter_is_due(row[i].wal_mib * mib, row[i].db_mib * mib,
				       row[i].age_ms, row[i].interval_ms) != row[i].due)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_snapshot_is_not_uploaded_again_when_only_head_could_not_be_written),
		cmocka_unit_test(a_snapshot_is_due_by_size_or_by_age),
		cmocka_unit_test(a_head_that_has_moved_is_decided_about_anew),
		cmocka_unit_test(a_stop_ends_the_copy_for_a_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
