/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/sqlite_check.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct box {
	char *dir, db[300], wal[310];
};

static int new_box(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	b->dir = tmpdir_new();
	snprintf(b->db, sizeof(b->db), "%s/a%%20b.db", b->dir);
	snprintf(b->wal, sizeof(b->wal), "%s-wal", b->db);
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

static sqlite3 *run(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return db;
}

#define FILL                                                                         \
	"PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"    \
	"CREATE INDEX tb ON t(b);"                                                   \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)" \
	"INSERT INTO t SELECT i, hex(randomblob(40)) FROM n;"

static void make(const struct box *b, const char *sql)
{
	sqlite3_close(run(b->db, sql));
}

static void poke(const char *path, off_t at, const void *p, size_t n)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, at), (ssize_t)n);
	close(fd);
}

static struct sq_check_result check(const struct box *b, enum sq_check_mode mode)
{
	struct sq_check_result r;
	struct err e = ERR_INIT;

	assert_int_equal(sq_check(b->db, mode, 10000, &r, &e), 0);
	return r;
}

static struct sq_check_result sealed(const char *path, enum sq_check_mode mode)
{
	struct sq_check_result r;
	struct err e = ERR_INIT;

	assert_int_equal(sq_check_sealed(path, mode, 10000, &r, &e), 0);
	return r;
}

static void lines_are_told_apart_by_their_words(void **state)
{
	static const struct {
		const char *line;
		bool structural;
	} rows[] = {
		{ "*** in database main ***", true },
		{ "Tree 2 page 3: btreeInitPage() returns error code 11", true },
		{ "On tree page 2 cell 0: Rowid 5 out of order", true },
		{ "Page 17: never used", true },
		{ "Freelist: size is 3 but should be 4", true },
		{ "Main freelist: freelist leaf count too big on page 9", true },
		{ "row 12 missing from index tb", true },
		{ "wrong # of entries in index tb", true },
		{ "non-unique entry in index tu", true },
		{ "row 3 values differ from index tb", true },
		{ "NULL value in t.b", false },
		{ "CHECK constraint failed in t", false },
		{ "non-INTEGER value in t.a", false },
		{ "NUMERIC value in t.a", false },
		{ "malformed inverted index for FTS5 table main.f", false },
		{ "a message of a later SQLite", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (sq_check_line_is_structural(rows[i].line) != rows[i].structural)
			fail_msg("%s", rows[i].line);
}

static void a_healthy_file_is_ok_and_its_wal_stays(void **state)
{
	const struct box *b = *state;
	sqlite3 *db = run(b->db, FILL);
	struct stat before;
	struct stat after;

	assert_int_equal(stat(b->wal, &before), 0);
	for (int mode = SQ_CHECK_NONE; mode <= SQ_CHECK_FULL; mode++)
		assert_int_equal(check(b, (enum sq_check_mode)mode).verdict, SQ_OK);
	assert_int_equal(stat(b->wal, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	sqlite3_close(db);
}

/* The connection that leaves last would normally checkpoint and delete it. */
static void a_wal_left_by_a_crash_is_neither_checkpointed_nor_deleted(void **state)
{
	const struct box *b = *state;
	struct stat before;
	struct stat after;
	pid_t pid = fork();

	if (!pid) {
		run(b->db, FILL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(stat(b->wal, &before), 0);
	assert_true(before.st_size > 0);
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_OK);
	assert_int_equal(stat(b->wal, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void assert_alone(const struct box *b)
{
	char shm[310];

	snprintf(shm, sizeof(shm), "%s-shm", b->db);
	assert_int_equal(access(b->wal, F_OK), -1);
	assert_int_equal(access(shm, F_OK), -1);
}

static void where_there_was_no_wal_none_remains(void **state)
{
	const struct box *b = *state;
	char junk[4096];
	struct sq_check_result r;
	struct err e = ERR_INIT;

	make(b, FILL);
	for (int mode = SQ_CHECK_NONE; mode <= SQ_CHECK_FULL; mode++) {
		assert_int_equal(check(b, (enum sq_check_mode)mode).verdict, SQ_OK);
		assert_alone(b);
	}
	assert_int_equal(sq_check(b->db, SQ_CHECK_FULL, 1, &r, &e), 0);
	assert_alone(b);
	memset(junk, 0x55, sizeof(junk));
	poke(b->db, 5 * 4096, junk, sizeof(junk));
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_CORRUPT);
	assert_alone(b);
	poke(b->db, 16, junk, 2); /* the page size; WAL mode still stands behind it */
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_CORRUPT);
	assert_alone(b);
}

static void an_empty_wal_that_was_there_stays(void **state)
{
	const struct box *b = *state;

	make(b, FILL);
	close(open(b->wal, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_OK);
	assert_int_equal(access(b->wal, F_OK), 0);
}

/* Whoever opens the database while it is checked shares the check's -wal. */
static void one_that_comes_meanwhile_keeps_its_wal(void **state)
{
	const struct box *b = *state;
	struct stat st;
	int status = 0;
	pid_t pid;

	make(b,
	     "PRAGMA journal_mode=WAL; CREATE TABLE t(a, b, c); CREATE INDEX ta ON t(a);"
	     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300000)"
	     "INSERT INTO t SELECT i, -i, hex(i) FROM n;");
	pid = fork();
	if (!pid)
		_exit(check(b, SQ_CHECK_FULL).verdict != SQ_OK);
	for (int i = 0; i < 2000 && access(b->wal, F_OK) != 0; i++)
		usleep(1000);
	sqlite3 *db = run(b->db, "INSERT INTO t VALUES(1, 2, 3)");

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(stat(b->wal, &st), 0);
	assert_true(st.st_size > 0);
	sqlite3_close(db);
	sqlite3_close(run(b->db, "SELECT 1/(count(*) = 300001) FROM t"));
}

static void a_damaged_page_is_corrupt_and_named(void **state)
{
	const struct box *b = *state;
	char junk[4096];
	struct sq_check_result r;

	make(b, FILL);
	memset(junk, 0x55, sizeof(junk));
	poke(b->db, 5 * 4096, junk, sizeof(junk));
	r = check(b, SQ_CHECK_QUICK);
	assert_int_equal(r.verdict, SQ_CORRUPT);
	assert_true(r.message[0]);
	assert_null(strchr(r.message, '\n'));
	assert_int_equal(sealed(b->db, SQ_CHECK_QUICK).verdict, SQ_CORRUPT);
	assert_int_equal(sealed(b->db, SQ_CHECK_NONE).verdict, SQ_OK);
}

static void a_file_that_is_none_is_corrupt(void **state)
{
	const struct box *b = *state;
	char junk[8192];

	memset(junk, 'x', sizeof(junk));
	close(open(b->db, O_CREAT | O_WRONLY, 0600));
	poke(b->db, 0, junk, sizeof(junk));
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_CORRUPT);
}

static void a_missing_index_entry_is_seen_by_the_full_check_alone(void **state)
{
	const struct box *b = *state;

	make(b, "CREATE TABLE t(a, b); CREATE INDEX tb ON t(b);"
		"INSERT INTO t VALUES(1,2),(3,4);"
		"PRAGMA writable_schema=ON;"
		"UPDATE sqlite_master SET name='tb' WHERE 0;"
		"CREATE TABLE u(b, r); CREATE INDEX ub ON u(b);"
		"UPDATE sqlite_master SET rootpage="
		"(SELECT rootpage FROM sqlite_master WHERE name='ub') WHERE name='tb';"
		"DELETE FROM sqlite_master WHERE name='ub';");
	assert_int_equal(check(b, SQ_CHECK_FULL).verdict, SQ_CORRUPT);
}

static void broken_constraints_are_warnings(void **state)
{
	const struct box *b = *state;
	struct sq_check_result r;

	make(b, "CREATE TABLE t(a, b); INSERT INTO t VALUES(NULL, 7);"
		"PRAGMA writable_schema=ON;"
		"UPDATE sqlite_master SET sql='CREATE TABLE t(a NOT NULL, b CHECK(b<5))'");
	r = check(b, SQ_CHECK_QUICK);
	assert_int_equal(r.verdict, SQ_WARN);
	assert_string_equal(r.message, "NULL value in t.a");
}

static void what_only_the_app_can_check_is_a_warning(void **state)
{
	const struct box *b = *state;
	struct sq_check_result r;

	make(b, "CREATE TABLE t(a); INSERT INTO t VALUES(1); PRAGMA writable_schema=ON;"
		"UPDATE sqlite_master SET sql='CREATE TABLE t(a CHECK(own_function(a)))'");
	r = check(b, SQ_CHECK_QUICK);
	assert_int_equal(r.verdict, SQ_WARN);
	assert_non_null(strstr(r.message, "own_function"));
	make(b, "PRAGMA writable_schema=ON;"
		"UPDATE sqlite_master SET sql='CREATE TABLE t(a) NEWER SYNTAX'");
	r = check(b, SQ_CHECK_QUICK);
	assert_int_equal(r.verdict, SQ_WARN);
	assert_non_null(strstr(r.message, "malformed database schema"));
}

static void a_lock_that_does_not_end_is_busy(void **state)
{
	const struct box *b = *state;
	int ready[2];
	int done[2];
	char c;
	pid_t pid;

	make(b, "CREATE TABLE t(a)");
	assert_int_equal(pipe(ready) | pipe(done), 0);
	pid = fork();
	if (!pid) {
		close(done[1]);
		run(b->db, "BEGIN EXCLUSIVE");
		assert_int_equal(write(ready[1], "x", 1), 1);
		_exit(read(done[0], &c, 1) == 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(check(b, SQ_CHECK_QUICK).verdict, SQ_BUSY);
	close(done[1]);
	waitpid(pid, NULL, 0);
}

static void what_cannot_be_written_is_unusable_not_corrupt(void **state)
{
	const struct box *b = *state;
	struct sq_check_result r;
	struct err e = ERR_INIT;

	assert_int_equal(sq_check(b->db, SQ_CHECK_QUICK, 1000, &r, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(mkdir(b->db, 0700), 0);
	r = check(b, SQ_CHECK_QUICK);
	assert_int_equal(r.verdict, SQ_UNUSABLE);
	assert_true(r.message[0]);
}

static void time_that_runs_out_is_a_warning(void **state)
{
	const struct box *b = *state;
	struct sq_check_result r;
	struct err e = ERR_INIT;

	make(b,
	     "CREATE TABLE t(a, b, c); CREATE INDEX ta ON t(a); CREATE INDEX tb ON t(b);"
	     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300000)"
	     "INSERT INTO t SELECT i, -i, hex(i) FROM n;");
	assert_int_equal(sq_check(b->db, SQ_CHECK_FULL, 1, &r, &e), 0);
	assert_int_equal(r.verdict, SQ_WARN);
	assert_true(r.timed_out);
}

static void a_sealed_file_gets_no_side_files_and_may_be_unlinked(void **state)
{
	const struct box *b = *state;
	char proc[64];
	int fd;

	make(b, FILL);
	assert_int_equal(sealed(b->db, SQ_CHECK_FULL).verdict, SQ_OK);
	assert_int_equal(access(b->wal, F_OK), -1);
	fd = open(b->db, O_RDONLY);
	assert_int_equal(unlink(b->db), 0);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	assert_int_equal(sealed(proc, SQ_CHECK_FULL).verdict, SQ_OK);
	close(fd);
}

static void leaving_wal_mode_leaves_one_file(void **state)
{
	const struct box *b = *state;
	struct err e = ERR_INIT;
	sqlite3 *db = run(b->db, FILL);

	assert_int_equal(sq_leave_wal(b->db, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(e.exit, 15);
	sqlite3_close(db);
	assert_int_equal(sq_leave_wal(b->db, &e), 0);
	assert_int_equal(access(b->wal, F_OK), -1);
	assert_int_equal(sealed(b->db, SQ_CHECK_FULL).verdict, SQ_OK);
}

static void names_go_both_ways(void **state)
{
	(void)state;
	for (int v = SQ_OK; v <= SQ_UNUSABLE; v++)
		assert_int_equal(sq_verdict_parse(sq_verdict_name((enum sq_verdict)v)), v);
	for (int m = SQ_CHECK_NONE; m <= SQ_CHECK_FULL; m++)
		assert_int_equal(
			sq_check_mode_parse(sq_check_mode_name((enum sq_check_mode)m)), m);
	assert_int_equal(sq_verdict_parse("fine"), -1);
	assert_int_equal(sq_check_mode_parse(""), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_box, drop_box)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_told_apart_by_their_words),
		CASE(a_healthy_file_is_ok_and_its_wal_stays),
		CASE(a_wal_left_by_a_crash_is_neither_checkpointed_nor_deleted),
		CASE(where_there_was_no_wal_none_remains),
		CASE(an_empty_wal_that_was_there_stays),
		CASE(one_that_comes_meanwhile_keeps_its_wal),
		CASE(a_damaged_page_is_corrupt_and_named),
		CASE(a_file_that_is_none_is_corrupt),
		CASE(a_missing_index_entry_is_seen_by_the_full_check_alone),
		CASE(broken_constraints_are_warnings),
		CASE(what_only_the_app_can_check_is_a_warning),
		CASE(a_lock_that_does_not_end_is_busy),
		CASE(what_cannot_be_written_is_unusable_not_corrupt),
		CASE(time_that_runs_out_is_a_warning),
		CASE(a_sealed_file_gets_no_side_files_and_may_be_unlinked),
		CASE(leaving_wal_mode_leaves_one_file),
		cmocka_unit_test(names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
