/* SPDX-License-Identifier: Apache-2.0 */
/* The library behind the command, on the replicas of tests/data; the command's own tests are in tests/it. */
#include "agent/exit.h"
#include "agent/restore/restore.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/stop.h"
#include "tests/unit/tmpdir.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A database with one replica, a folder; and a place for results. */
struct fixture {
	char *dir, *out;
	struct replica_config rc[2];
	struct db_config db;
	struct restore_request q;
	struct restore_report rep;
};

static void begin(struct fixture *f, const char *replica)
{
	char here[4096];

	*f = (struct fixture){ .rep.temp_fd = -1 };
	assert_non_null(getcwd(here, sizeof(here)));
	f->dir = tmpdir_new();
	f->out = mem_fmt("%s/new/x.db", f->dir);
	for (int i = 0; i < 2; i++) {
		f->rc[i].type = REPLICA_FILE;
		f->rc[i].name = mem_str(i ? "second" : "first");
	}
	f->rc[0].path = mem_fmt("%s/tests/data/%s/replica", here, replica);
	f->rc[1].path = mem_fmt("%s/second", f->dir);
	f->db = (struct db_config){ .path = f->out, .replicas = f->rc, .nreplicas = 1 };
	f->q = (struct restore_request){ .db = &f->db, .check = SQ_CHECK_QUICK };
}

static void end(struct fixture *f)
{
	restore_report_free(&f->rep);
	for (int i = 0; i < 2; i++) {
		free(f->rc[i].name);
		free(f->rc[i].path);
	}
	free(f->out);
	tmpdir_remove(f->dir);
}

/* All objects of the first replica into the second, but those whose key holds `without`. */
struct copying {
	struct store *from, *to;
	const char *without;
};

static int copy_object(void *arg, const struct store_object *o)
{
	struct copying *c = arg;
	struct buf b CLEANUP(buf_free) = BUF(64 << 20);
	struct store_put put = { .if_absent = false };
	struct err e = ERR_INIT;

	if (c->without && strstr(o->key, c->without))
		return 0;
	if (c->from->ops->get(c->from, o->key, 0, UINT64_MAX, &b, NULL, &e) < 0 ||
	    c->to->ops->put(c->to, o->key, b.p, b.len, &put, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static void copy_without(struct fixture *f, const char *without)
{
	struct store_options o = { .timeout_ms = 0 };
	struct err e = ERR_INIT;
	struct copying c = {
		.from = store_open(&f->rc[0], &o, &e),
		.to = store_open(&f->rc[1], &o, &e),
		.without = without,
	};

	assert_non_null(c.from);
	assert_non_null(c.to);
	assert_int_equal(c.from->ops->list(c.from, "", false, copy_object, &c, &e), 0);
	store_close(c.from);
	store_close(c.to);
	f->db.replicas = &f->rc[1];
}

static void expect_sha(const char *path, const char *want)
{
	struct buf b CLEANUP(buf_free) = BUF(64 << 20);
	struct err e = ERR_INIT;
	char got[65];

	assert_int_equal(file_read(path, &b, &e), 0);
	hash_sha256_hex(b.p, b.len, got);
	assert_string_equal(got, want);
}

static void expect_ok(struct fixture *f, const char *sha)
{
	struct err e = ERR_INIT;

	if (restore_run(&f->q, &f->rep, &e) < 0)
		fail_msg("%s", e.msg);
	expect_sha(f->rep.output, sha);
}

static void expect_failure(struct fixture *f, int status, const char *slug)
{
	struct err e = ERR_INIT;

	assert_int_equal(restore_run(&f->q, &f->rep, &e), -1);
	if (exit_from_err(&e) != status)
		fail_msg("%d: %s", exit_from_err(&e), e.msg);
	if (slug)
		assert_string_equal(e.slug, slug);
	assert_int_equal(file_size(f->out), -1);
}

#define BASIC "55054f24fca32426c05ecbddfcc174bf91cefa6d9dd85e6bbd08f5ed82d54adc"
#define ZST_512 "501951ced1b672cdaa8729197024ee187474003811b1d1b8c95894ba2954f716"

static void a_litestream_replica_is_restored_and_reported(void **state)
{
	struct fixture f;
	struct stat st;

	(void)state;
	begin(&f, "litestream-v03/basic");
	expect_ok(&f, BASIC);
	assert_string_equal(f.rep.generation, "c78ceaa43e5d01e4");
	assert_string_equal(f.rep.replica_name, "first");
	assert_int_equal(f.rep.objects, 16);
	assert_int_equal(f.rep.transactions, 59);
	assert_int_equal(f.rep.end.index, 2);
	assert_int_equal(f.rep.bytes, 155648);
	assert_true(f.rep.time_is_stored);
	assert_false(f.rep.proven);
	assert_string_equal(f.rep.warnings, "");
	assert_int_equal(stat(f.rep.output, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	end(&f);
}

static void our_own_is_proven_page_for_page(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "walback/zst-512");
	f.q.check = SQ_CHECK_FULL;
	expect_ok(&f, ZST_512);
	assert_true(f.rep.proven && f.rep.have_db_sum);
	assert_false(f.rep.time_is_stored);
	assert_true(f.rep.time_ms == 1704164963342);
	assert_int_equal(f.rep.check.verdict, SQ_OK);
	end(&f);
}

static void a_dry_run_plans_and_writes_nothing(void **state)
{
	struct fixture f;
	struct err e = ERR_INIT;

	(void)state;
	begin(&f, "walback/zst-512");
	f.q.dry_run = true;
	assert_int_equal(restore_run(&f.q, &f.rep, &e), 0);
	assert_true(f.rep.time_ms == 1704164963342);
	assert_int_equal(f.rep.objects, 12);
	assert_int_equal(file_size(f.out), -1);
	end(&f);
}

static void a_temporary_file_is_kept_and_locked_for_a_swap(void **state)
{
	struct fixture f;
	struct restore_report other;
	struct err e = ERR_INIT;

	(void)state;
	begin(&f, "walback/zst-512");
	f.q.temp_only = true;
	assert_int_equal(restore_run(&f.q, &f.rep, &e), 0);
	assert_true(f.rep.temp_fd >= 0);
	expect_sha(f.rep.temp, ZST_512);
	assert_int_equal(restore_run(&f.q, &other, &e), -1);
	assert_int_equal(exit_from_err(&e), EXIT_LOCKED);
	assert_string_equal(e.slug, "restore_running");
	restore_report_free(&other);
	end(&f);
}

static void what_is_there_is_refused(void **state)
{
	struct fixture f;
	struct err e = ERR_INIT;

	(void)state;
	begin(&f, "walback/zst-512");
	free(f.out);
	f.out = mem_fmt("%s/x.db", f.dir);
	f.db.path = f.out;
	assert_int_equal(file_write_atomic(f.out, "x", 1, 0600, false, &e), 0);
	assert_int_equal(restore_run(&f.q, &f.rep, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(exit_from_err(&e), EXIT_FAILED);
	end(&f);
}

static void failures_have_their_own_exit_status(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "litestream-v03/no-such-folder");
	expect_failure(&f, EXIT_NO_BACKUP, "no_backup");
	end(&f);

	begin(&f, "litestream-v05/shrink");
	expect_failure(&f, EXIT_DAMAGED, "ltx_only");
	end(&f);

	begin(&f, "walback/zst-512");
	f.q.replica = "nobody";
	expect_failure(&f, EXIT_USAGE, NULL);
	end(&f);

	begin(&f, "walback/zst-512");
	f.q.target.kind = PLAN_TIME;
	f.q.target.time_ms = 1;
	expect_failure(&f, EXIT_NO_BACKUP, "before_first");
	end(&f);

	begin(&f, "walback/zst-512");
	f.q.target.kind = PLAN_POSITION;
	f.q.target.pos = (struct wal_pos){ 1, 1105 };
	expect_failure(&f, EXIT_USAGE, "no_such_position");
	end(&f);
}

struct loss {
	const char *replica, *without, *slug;
};

static const struct loss losses[] = {
	{ "litestream-v03/basic", "00000001_000273c8", "gap_in_wal" },
	{ "litestream-v03/basic", "wal/00000001_", "gap_in_wal" },
	{ "litestream-v03/basic", "snapshots/", "no_snapshot" },
	{ "walback/zst-512", "00000001_00000450", "gap_in_wal" },
	{ "walback/zst-512", "00000001_00000000", "gap_in_wal" },
	{ "walback/zst-512", "e17458e16f875092/snapshots/", "no_snapshot" },
	{ "walback/zst-512", "00000000_00000000", "gap_in_wal" },
};

static void what_is_missing_is_damage(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		struct fixture f;

		begin(&f, losses[i].replica);
		copy_without(&f, losses[i].without);
		expect_failure(&f, EXIT_DAMAGED, losses[i].slug);
		end(&f);
	}
}

/* Nothing is made room for that no store can hold: the list is not believed. */
static void an_object_of_an_absurd_size_is_damage(void **state)
{
	static const char *const keys[] = { "wal/00000001_00000000.wal.zst",
					    "snapshots/00000000.snapshot.zst" };
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char *path AUTO_FREE = NULL;

		begin(&f, "walback/zst-512");
		copy_without(&f, NULL);
		path = mem_fmt("%s/generations/%s/%s", f.rc[1].path, "e17458e16f875092",
			       keys[i]);
		assert_int_equal(truncate(path, (off_t)9 << 40), 0);
		expect_failure(&f, 13, "absurd_size");
		end(&f);
	}
}

static void an_older_snapshot_reaches_the_same_state(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "litestream-v03/pruned");
	copy_without(&f, "00000005.snapshot");
	expect_ok(&f, "227e858a9543913d569b5282801c549b2ba52c6cf4f36f20105f5ce269d2170b");
	assert_int_equal(f.rep.snapshot_index, 4);
	end(&f);
}

static void a_replica_that_cannot_be_used_is_a_warning_beside_a_good_one(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "walback/zst-512");
	copy_without(&f, "00000001_00000450");
	f.db.replicas = f.rc;
	f.db.nreplicas = 2;
	/* Equally new: the first is tried first. */
	expect_ok(&f, ZST_512);
	assert_string_equal(f.rep.replica_name, "first");
	assert_string_equal(f.rep.warnings, "");
	end(&f);

	begin(&f, "walback/zst-512");
	copy_without(&f, "00000001_00000450");
	struct replica_config tmp = f.rc[0];

	f.rc[0] = f.rc[1];
	f.rc[1] = tmp;
	f.db.replicas = f.rc;
	f.db.nreplicas = 2;
	expect_ok(&f, ZST_512);
	assert_string_equal(f.rep.replica_name, "first");
	assert_non_null(strstr(f.rep.warnings, "replica second: cannot prove a chain"));
	end(&f);
}

static void a_stop_ends_it_and_leaves_nothing(void **state)
{
	struct stop *s = stop_new();
	struct fixture f;

	(void)state;
	begin(&f, "walback/zst-512");
	stop_set(s, SIGTERM);
	f.q.stop = s;
	expect_failure(&f, 143, NULL);
	end(&f);
	stop_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_litestream_replica_is_restored_and_reported),
		cmocka_unit_test(our_own_is_proven_page_for_page),
		cmocka_unit_test(a_dry_run_plans_and_writes_nothing),
		cmocka_unit_test(a_temporary_file_is_kept_and_locked_for_a_swap),
		cmocka_unit_test(what_is_there_is_refused),
		cmocka_unit_test(failures_have_their_own_exit_status),
		cmocka_unit_test(what_is_missing_is_damage),
		cmocka_unit_test(an_object_of_an_absurd_size_is_damage),
		cmocka_unit_test(an_older_snapshot_reaches_the_same_state),
		cmocka_unit_test(
			a_replica_that_cannot_be_used_is_a_warning_beside_a_good_one),
		cmocka_unit_test(a_stop_ends_it_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
