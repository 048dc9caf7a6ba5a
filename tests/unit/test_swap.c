/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Also the program that tests/it/test_swap.py kills at every system call:
 *   test_swap replace DB TEMP [healthy]    test_swap recover DB
 * and the child that inuse_ask starts from /proc/self/exe.
 */
#include "agent/swap/inuse.h"
#include "agent/swap/swap.h"
#include "agent/swap/swap_record.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS 1795230131000 /* 2026-11-21T03:02:11Z */
#define KEPT "app.db.corrupted.20261121T030211Z"

struct box {
	char *dir, db[300], temp[300], json[300];
};

static char *at(const struct box *b, const char *name)
{
	char *p = NULL;

	assert_true(asprintf(&p, "%s/%s", b->dir, name) > 0);
	return p;
}

static bool there(const struct box *b, const char *name)
{
	AUTO_FREE char *p = at(b, name);

	return access(p, F_OK) == 0;
}

static void put(const struct box *b, const char *name, const char *text)
{
	AUTO_FREE char *p = at(b, name);
	FILE *f = fopen(p, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* A database with one row that says which it is. */
static void make(const char *path, const char *who, bool wal)
{
	sqlite3 *db = NULL;
	char *sql = sqlite3_mprintf("PRAGMA journal_mode=%s; CREATE TABLE t(a);"
				    "INSERT INTO t VALUES(%Q)",
				    wal ? "WAL" : "DELETE", who);

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_is(const struct box *b, const char *name, const char *who)
{
	AUTO_FREE char *p = at(b, name);
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_open_v2(p, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT a FROM t", -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), who);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* A crash leaves a -wal with a commit that the file lacks. */
static void crash_with_wal(const char *path, const char *who)
{
	pid_t pid = fork();

	if (!pid) {
		sqlite3 *db = NULL;
		char *sql = sqlite3_mprintf("PRAGMA journal_mode=WAL; CREATE TABLE t(a);"
					    "INSERT INTO t VALUES(%Q)",
					    who);

		sqlite3_open(path, &db);
		_exit(sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int new_box(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	b->dir = tmpdir_new();
	snprintf(b->db, sizeof(b->db), "%s/app.db", b->dir);
	snprintf(b->temp, sizeof(b->temp), "%s/app.db.walback-tmp", b->dir);
	snprintf(b->json, sizeof(b->json), "%s/.app.db-walback/swap.json", b->dir);
	*state = b;
	return 0;
}

static int drop_box(void **state)
{
	struct box *b = *state;

	tmpdir_remove(b->dir);
	free(b);
	return 0;
}

static int replace(const struct box *b, struct swap_report *out, struct err *e)
{
	const struct swap_request r = { .db_path = b->db,
					.temp_path = b->temp,
					.now_ms = NOW_MS };

	return swap_replace(&r, out, e);
}

static void must_replace(const struct box *b, struct swap_report *out)
{
	struct err e = ERR_INIT;

	if (replace(b, out, &e) < 0)
		fail_msg("%s", e.msg);
}

static void must_recover(const struct box *b, struct swap_report *out)
{
	struct err e = ERR_INIT;

	if (swap_recover(b->db, out, &e) < 0)
		fail_msg("%s", e.msg);
}

static void the_old_file_is_kept_with_its_wal_and_the_new_one_is_in_place(void **state)
{
	const struct box *b = *state;
	struct swap_report out;

	crash_with_wal(b->db, "old");
	make(b->temp, "new", true);
	must_replace(b, &out);
	assert_true(out.side_files);
	assert_non_null(strstr(out.quarantine, "/" KEPT));
	assert_is(b, "app.db", "new");
	assert_is(b, KEPT, "old"); /* only its -wal has the row */
	assert_false(there(b, "app.db.walback-tmp"));
	assert_false(there(b, ".app.db-walback"));
	swap_report_free(&out);
}

static void mode_and_owner_are_kept(void **state)
{
	const struct box *b = *state;
	struct swap_report out;
	struct stat st;

	make(b->db, "old", false);
	make(b->temp, "new", false);
	assert_int_equal(chmod(b->db, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(b->db, 1234, 2345), 0);
	must_replace(b, &out);
	assert_int_equal(stat(b->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 2345);
	}
	swap_report_free(&out);
}

static void a_healthy_old_file_becomes_one_file(void **state)
{
	const struct box *b = *state;
	struct swap_report out;
	struct err e = ERR_INIT;
	struct swap_request r = { .db_path = b->db,
				  .temp_path = b->temp,
				  .now_ms = NOW_MS,
				  .label = "replaced",
				  .old_is_healthy = true };

	crash_with_wal(b->db, "old");
	make(b->temp, "new", false);
	assert_int_equal(swap_replace(&r, &out, &e), 0);
	assert_false(out.side_files);
	assert_false(there(b, "app.db.replaced.20261121T030211Z-wal"));
	assert_is(b, "app.db.replaced.20261121T030211Z", "old");
	assert_is(b, "app.db", "new");
	swap_report_free(&out);
}

static void an_absent_or_empty_database_is_simply_filled(void **state)
{
	const struct box *b = *state;
	struct swap_report out;

	make(b->temp, "new", false);
	must_replace(b, &out);
	assert_null(out.quarantine);
	assert_false(out.side_files);
	assert_is(b, "app.db", "new");
	put(b, "app.db", "");
	put(b, "app.db-wal", "a leftover");
	make(b->temp, "newer", false);
	must_replace(b, &out);
	assert_null(out.quarantine);
	assert_true(out.side_files);
	assert_true(there(b, KEPT "-wal"));
	assert_is(b, "app.db", "newer");
	swap_report_free(&out);
}

static void names_that_are_taken_are_left_alone(void **state)
{
	const struct box *b = *state;
	struct swap_report out;

	make(b->db, "old", false);
	make(b->temp, "new", false);
	put(b, KEPT "-wal", "somebody's");
	must_replace(b, &out);
	assert_non_null(strstr(out.quarantine, KEPT ".2"));
	swap_report_free(&out);
}

/* Holds the database in a child until the returned descriptor is closed. */
static int hold_open(const struct box *b, const char *sql, pid_t *pid)
{
	int ready[2];
	int done[2];
	char c;

	assert_int_equal(pipe(ready) | pipe(done), 0);
	*pid = fork();
	if (!*pid) {
		sqlite3 *db = NULL;

		close(done[1]);
		if (sqlite3_open(b->db, &db) || sqlite3_exec(db, sql, NULL, NULL, NULL) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(done[0], &c, 1) == 1);
	}
	close(ready[1]);
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return done[1];
}

static void assert_refused_while(const struct box *b, const char *sql)
{
	struct swap_report out;
	struct err e = ERR_INIT;
	char want[64];
	pid_t pid = 0;
	int hold = hold_open(b, sql, &pid);

	assert_int_equal(replace(b, &out, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(e.exit, 15);
	snprintf(want, sizeof(want), "is open in process %d (test_swap)", (int)pid);
	if (!strstr(e.msg, want))
		fail_msg("%s", e.msg);
	close(hold);
	waitpid(pid, NULL, 0);
	assert_false(there(b, ".app.db-walback"));
	assert_true(there(b, "app.db.walback-tmp"));
}

static void a_database_that_somebody_has_open_is_not_replaced(void **state)
{
	const struct box *b = *state;

	make(b->db, "old", true);
	make(b->temp, "new", false);
	assert_refused_while(b, "SELECT * FROM t"); /* the shared lock of WAL mode */
	assert_refused_while(b, "BEGIN IMMEDIATE");
	assert_is(b, "app.db", "old");
}

/* Between transactions a rollback-journal connection holds no lock at all. */
static void an_idle_connection_in_rollback_mode_is_seen_too(void **state)
{
	const struct box *b = *state;

	make(b->db, "old", false);
	make(b->temp, "new", false);
	assert_refused_while(b, "SELECT * FROM t");
}

static void who_only_reads_the_file_does_not_count(void **state)
{
	const struct box *b = *state;
	struct inuse u;
	struct err e = ERR_INIT;
	int fd;

	make(b->db, "old", false);
	fd = open(b->db, O_RDONLY | O_CLOEXEC);
	assert_int_equal(inuse_ask(b->db, &u, &e), 0);
	assert_false(u.in_use);
	close(fd);
}

static void nothing_to_recover_is_fine_and_makes_nothing(void **state)
{
	const struct box *b = *state;
	struct swap_report out;

	must_recover(b, &out);
	assert_false(out.redone);
	assert_false(there(b, ".app.db-walback"));
}

static void record(const struct box *b, const char *json)
{
	AUTO_FREE char *meta = at(b, ".app.db-walback");
	FILE *f;

	assert_true(mkdir(meta, 0700) == 0 || errno == EEXIST);
	f = fopen(b->json, "w");
	assert_non_null(f);
	fputs(json, f);
	fclose(f);
}

#define RECORD_WITH(sum)                                             \
	"{\"v\":1,\"temp\":\"app.db.walback-tmp\",\"db_sum\":\"" sum \
	"\",\"old\":true,\"quarantine\":\"" KEPT "\"}"

static void a_temporary_file_that_is_not_the_proven_one_is_not_used(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *kept = at(b, KEPT);
	AUTO_FREE char *wal = at(b, "app.db-wal");
	AUTO_FREE char *kept_wal = at(b, KEPT "-wal");
	struct swap_report out;

	crash_with_wal(b->db, "old"); /* as far as step 4 */
	assert_int_equal(link(b->db, kept), 0);
	assert_int_equal(rename(wal, kept_wal), 0);
	make(b->temp, "another", false);
	record(b, RECORD_WITH("0123456789abcdef"));
	must_recover(b, &out);
	assert_true(out.redone && out.undone);
	assert_is(b, "app.db", "old"); /* its -wal is back */
	assert_false(there(b, KEPT));
	assert_false(there(b, ".app.db-walback"));
	swap_report_free(&out);
}

static void a_lost_temporary_file_puts_the_old_database_back(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *kept = at(b, KEPT);
	struct swap_report out;

	make(b->db, "old", false); /* a file system without links: renamed away */
	assert_int_equal(rename(b->db, kept), 0);
	record(b, RECORD_WITH("0123456789abcdef"));
	must_recover(b, &out);
	assert_true(out.undone);
	assert_is(b, "app.db", "old");
	record(b, RECORD_WITH("0123456789abcdef")); /* before the link was made */
	must_recover(b, &out);
	assert_true(out.undone);
	assert_is(b, "app.db", "old");
	swap_report_free(&out);
}

static void a_record_that_outlived_its_swap_just_goes(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *kept = at(b, KEPT);
	struct swap_report out;

	make(kept, "old", false);
	make(b->db, "new", true);
	record(b, RECORD_WITH("0123456789abcdef"));
	must_recover(b, &out);
	assert_true(out.redone && !out.undone);
	assert_is(b, "app.db", "new");
	assert_is(b, KEPT, "old");
	swap_report_free(&out);
}

/* A swap to a new file whose old one has the quarantine name by now. */
static void record_kept(const struct box *b)
{
	struct err e = ERR_INIT;
	uint64_t sum = 0;
	char json[256];

	make(b->temp, "new", false);
	assert_int_equal(swap_sum_of_file(b->temp, &sum, &e), 0);
	snprintf(json, sizeof(json),
		 "{\"v\":1,\"temp\":\"app.db.walback-tmp\",\"db_sum\":\"%016" PRIx64
		 "\",\"old\":true,\"quarantine\":\"" KEPT "\"}",
		 sum);
	record(b, json);
}

/* Somebody started the app in the moment without a database. */
static void a_database_that_appeared_in_between_is_kept_too(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *kept = at(b, KEPT);
	struct swap_report out;

	make(kept, "old", false);
	make(b->db, "made in between", false);
	record_kept(b);
	must_recover(b, &out);
	assert_is(b, "app.db", "new");
	assert_is(b, KEPT, "old");
	swap_report_free(&out);
	AUTO_FREE char *cmd = at(b, "app.db.replaced.*Z");
	glob_t found;

	assert_int_equal(glob(cmd, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	assert_is(b, strrchr(found.gl_pathv[0], '/') + 1, "made in between");
	globfree(&found);
}

/* Killed between link(2) and unlink(2) of step 5, where a rename that replaces nothing is not to be had. */
static void a_new_file_with_both_names_is_in_place(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *kept = at(b, KEPT);
	struct swap_report out;
	struct stat st;

	make(kept, "old", false);
	make(b->db, "new", false);
	assert_int_equal(link(b->db, b->temp), 0);
	record(b, RECORD_WITH("0123456789abcdef"));
	must_recover(b, &out);
	assert_true(out.redone && !out.undone);
	assert_int_equal(stat(b->db, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_is(b, "app.db", "new");
	assert_is(b, KEPT, "old");
	assert_false(there(b, "app.db.walback-tmp"));
	swap_report_free(&out);
}

/* Its quarantine name is taken: another one, and that too says what it is. */
static void a_wal_that_came_in_between_is_kept_as_a_wal(void **state)
{
	const struct box *b = *state;
	AUTO_FREE char *pattern = at(b, "app.db.replaced.*Z-wal");
	AUTO_FREE char *kept = at(b, KEPT);
	struct swap_report out;
	glob_t found;

	make(kept, "old", false);
	put(b, KEPT "-wal", "the old one's");
	put(b, "app.db-wal", "of an app in between");
	record_kept(b);
	must_recover(b, &out);
	assert_is(b, "app.db", "new");
	assert_true(there(b, KEPT "-wal"));
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	globfree(&found);
	swap_report_free(&out);
}

static void damaged_records_are_errors_that_name_them(void **state)
{
	static const char *const records[] = {
		"",
		"{",
		"[]",
		"{\"v\":2}",
		"{\"v\":1,\"temp\":\"../"
		"x\",\"db_sum\":\"0123456789abcdef\",\"quarantine\":\"q\"}",
		"{\"v\":1,\"temp\":\"app.db\",\"db_sum\":\"0123456789abcdef\","
		"\"quarantine\":\"q\"}",
		"{\"v\":1,\"temp\":\"x\",\"db_sum\":\"0123\",\"quarantine\":\"q\"}",
		"{\"v\":1,\"temp\":\"x\",\"db_sum\":\"0123456789abcdef\",\"quarantine\":"
		"\"\"}",
		"{\"v\":1,\"temp\":\"x\",\"db_sum\":\"0123456789abcdef\"}",
	};
	const struct box *b = *state;
	struct swap_report out;

	make(b->db, "old", false);
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
		struct err e = ERR_INIT;

		record(b, records[i]);
		assert_int_equal(swap_recover(b->db, &out, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_non_null(strstr(e.msg, "swap.json"));
		assert_is(b, "app.db", "old");
	}
}

static void a_request_that_cannot_be_met_changes_nothing(void **state)
{
	const struct box *b = *state;
	struct swap_report out;
	struct err e = ERR_INIT;

	make(b->db, "old", false);
	assert_int_equal(replace(b, &out, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	put(b, "app.db.walback-tmp", "no database");
	assert_int_equal(replace(b, &out, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "nothing was changed"));
	assert_is(b, "app.db", "old");
	assert_false(there(b, ".app.db-walback"));
}

static void leftovers_of_an_absent_database_are_kept(void **state)
{
	const struct box *b = *state;
	struct err e = ERR_INIT;
	bool moved = true;

	assert_int_equal(swap_clear_leftovers(b->db, "corrupted", NOW_MS, &moved, &e), 0);
	assert_false(moved);
	put(b, "app.db-wal", "frames");
	put(b, "app.db-shm", "index");
	put(b, "app.db-journal", "");
	assert_int_equal(swap_clear_leftovers(b->db, "corrupted", NOW_MS, &moved, &e), 0);
	assert_true(moved);
	assert_true(there(b, KEPT "-wal"));
	assert_false(there(b, "app.db-wal"));
	assert_false(there(b, "app.db-shm"));
	assert_false(there(b, KEPT "-journal"));
	make(b->db, "old", false);
	assert_int_equal(swap_clear_leftovers(b->db, "corrupted", NOW_MS, &moved, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(e.exit, 15);
}

static void an_empty_file_leaves_its_name_if_nobody_has_it(void **state)
{
	const struct box *b = *state;
	struct err e = ERR_INIT;
	pid_t pid = 0;
	int hold;

	assert_int_equal(swap_take_empty(b->db, NOW_MS, &e), 0);
	put(b, "app.db", "");
	hold = hold_open(b, "PRAGMA user_version", &pid);
	assert_int_equal(swap_take_empty(b->db, NOW_MS, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(e.exit, 15);
	assert_true(there(b, "app.db"));
	close(hold);
	waitpid(pid, NULL, 0);
	e = (struct err)ERR_INIT;
	assert_int_equal(swap_take_empty(b->db, NOW_MS, &e), 0);
	assert_false(there(b, "app.db"));
	assert_false(there(b, "app.db.replaced.20261121T030211Z"));
	put(b, "app.db", "x");
	assert_int_equal(swap_take_empty(b->db, NOW_MS, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(file_size(b->db), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_box, drop_box)

static int drive(int argc, char **argv)
{
	struct swap_report out = { 0 };
	struct err e = ERR_INIT;
	struct swap_request r = { .db_path = argv[2],
				  .temp_path = argc > 3 ? argv[3] : NULL,
				  .now_ms = NOW_MS,
				  .old_is_healthy = argc > 4 };
	int rc = !strcmp(argv[1], "replace") ? swap_replace(&r, &out, &e)
					     : swap_recover(argv[2], &out, &e);

	if (rc < 0)
		fprintf(stderr, "%s\n", e.msg);
	swap_report_free(&out);
	return rc < 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(the_old_file_is_kept_with_its_wal_and_the_new_one_is_in_place),
		CASE(mode_and_owner_are_kept),
		CASE(a_healthy_old_file_becomes_one_file),
		CASE(an_absent_or_empty_database_is_simply_filled),
		CASE(names_that_are_taken_are_left_alone),
		CASE(a_database_that_somebody_has_open_is_not_replaced),
		CASE(an_idle_connection_in_rollback_mode_is_seen_too),
		CASE(who_only_reads_the_file_does_not_count),
		CASE(nothing_to_recover_is_fine_and_makes_nothing),
		CASE(a_temporary_file_that_is_not_the_proven_one_is_not_used),
		CASE(a_lost_temporary_file_puts_the_old_database_back),
		CASE(a_record_that_outlived_its_swap_just_goes),
		CASE(a_database_that_appeared_in_between_is_kept_too),
		CASE(a_new_file_with_both_names_is_in_place),
		CASE(a_wal_that_came_in_between_is_kept_as_a_wal),
		CASE(damaged_records_are_errors_that_name_them),
		CASE(a_request_that_cannot_be_met_changes_nothing),
		CASE(leftovers_of_an_absent_database_are_kept),
		CASE(an_empty_file_leaves_its_name_if_nobody_has_it),
	};

	if (argc > 2 && !strcmp(argv[1], "internal-inuse"))
		return inuse_main(argv[2]);
	if (argc > 2)
		return drive(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
