/* SPDX-License-Identifier: Apache-2.0 */
/* Also the child that dbcheck_ask starts from /proc/self/exe. */
#include "agent/swap/dbcheck.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct box {
	char *dir, db[300], wal[310], journal[310];
};

static int new_box(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	b->dir = tmpdir_new();
	snprintf(b->db, sizeof(b->db), "%s/app.db", b->dir);
	snprintf(b->wal, sizeof(b->wal), "%s-wal", b->db);
	snprintf(b->journal, sizeof(b->journal), "%s-journal", b->db);
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

static void put(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

/* Runs sql in a child that ends without closing: what a crash leaves. */
static void crash(const struct box *b, const char *sql)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		sqlite3 *db = NULL;

		sqlite3_open(b->db, &db);
		_exit(sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static struct dbcheck look(const struct box *b)
{
	struct dbcheck c;
	struct err e = ERR_INIT;

	if (dbcheck_ask(b->db, SQ_CHECK_QUICK, 10000, &c, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static void assert_state(const struct box *b, enum db_state want)
{
	struct dbcheck c = look(b);

	if (c.state != want)
		fail_msg("%s: %s", db_state_name(c.state), c.message);
}

static void no_file_and_an_empty_one_are_absent(void **state)
{
	const struct box *b = *state;

	assert_state(b, DB_ABSENT);
	assert_false(look(b).leftovers);
	put(b->wal, "frames", 6);
	assert_true(look(b).leftovers);
	put(b->db, "", 0);
	assert_state(b, DB_ABSENT);
	assert_true(look(b).leftovers);
	put(b->wal, "", 0);
	assert_false(look(b).leftovers);
	put(b->journal, "pages", 5);
	assert_true(look(b).leftovers);
}

static void what_has_no_header_is_corrupt_or_unreadable(void **state)
{
	const struct box *b = *state;
	char bytes[8192] = "";

	put(b->db, bytes, sizeof(bytes));
	assert_state(b, DB_CORRUPT);
	assert_string_equal(look(b).message, "zeros where the header should be");
	put(b->db, "SQLite format 3", 16);
	assert_state(b, DB_CORRUPT);
	put(b->db, "hello", 5);
	assert_state(b, DB_CORRUPT);
	memset(bytes, 0x9c, sizeof(bytes)); /* as an encrypted one looks */
	put(b->db, bytes, sizeof(bytes));
	assert_state(b, DB_UNREADABLE);
	assert_non_null(strstr(look(b).message, "9c 9c 9c 9c"));
	put(b->wal, bytes, sizeof(bytes)); /* a -wal does not change that */
	assert_state(b, DB_UNREADABLE);
}

static void a_header_that_is_right_with_nothing_behind_it_is_corrupt(void **state)
{
	const struct box *b = *state;
	char bytes[4096] = "SQLite format 3";

	put(b->db, bytes, sizeof(bytes)); /* page size 0 */
	assert_state(b, DB_CORRUPT);
	assert_true(look(b).message[0]);
}

static void a_healthy_one_is_intact(void **state)
{
	const struct box *b = *state;

	crash(b, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
	assert_state(b, DB_INTACT);
	assert_true(look(b).bytes > 0);
	assert_string_equal(look(b).message, "");
}

/* The header is what SQLite makes of file and journal together. */
static void a_hot_journal_is_recovered_before_the_header_is_judged(void **state)
{
	const struct box *b = *state;
	char zeros[4096] = "";
	int fd;

	crash(b, "CREATE TABLE t(a); INSERT INTO t VALUES(1);"
		 "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN;"
		 "CREATE TABLE u(a);"
		 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)"
		 "INSERT INTO u SELECT hex(randomblob(200)) FROM n");
	fd = open(b->db, O_WRONLY); /* page 1, half way through being written */
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
	assert_int_equal(access(b->journal, F_OK), 0);
	assert_state(b, DB_INTACT);
	assert_int_equal(access(b->journal, F_OK), -1);
}

static void a_first_transaction_that_never_committed_is_absent(void **state)
{
	const struct box *b = *state;

	crash(b, "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN;"
		 "CREATE TABLE u(a);"
		 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)"
		 "INSERT INTO u SELECT hex(randomblob(200)) FROM n");
	struct stat st;

	assert_int_equal(stat(b->db, &st), 0);
	if (st.st_size > 0) { /* and its page 1 is not there yet */
		char zeros[4096] = "";
		int fd = open(b->db, O_WRONLY);

		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
		close(fd);
	}
	assert_state(b, DB_ABSENT);
}

static void damage_is_corrupt_and_named(void **state)
{
	const struct box *b = *state;
	char junk[4096];
	int fd;

	crash(b,
	      "CREATE TABLE t(a);"
	      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)"
	      "INSERT INTO t SELECT hex(randomblob(40)) FROM n");
	memset(junk, 0x77, sizeof(junk));
	fd = open(b->db, O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 3 * 4096), sizeof(junk));
	close(fd);
	assert_state(b, DB_CORRUPT);
	assert_true(look(b).message[0]);
}

static void what_cannot_be_opened_is_unusable(void **state)
{
	const struct box *b = *state;

	assert_int_equal(mkdir(b->db, 0700), 0);
	assert_state(b, DB_UNUSABLE);
	assert_string_equal(look(b).message, "not a regular file");
	assert_int_equal(rmdir(b->db), 0);
	assert_int_equal(symlink(b->db, b->db), 0);
	assert_state(b, DB_UNUSABLE);
}

static void a_locked_one_is_busy(void **state)
{
	const struct box *b = *state;
	int ready[2];
	int done[2];
	char c;
	pid_t pid;

	crash(b, "CREATE TABLE t(a)");
	assert_int_equal(pipe(ready) | pipe(done), 0);
	pid = fork();
	if (!pid) {
		sqlite3 *db = NULL;

		close(done[1]);
		sqlite3_open(b->db, &db);
		sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(done[0], &c, 1) == 1);
	}
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_state(b, DB_BUSY);
	close(done[1]);
	waitpid(pid, NULL, 0);
	assert_state(b, DB_INTACT);
}

static void a_child_that_dies_is_no_proof_of_damage(void **state)
{
	const struct box *b = *state;

	crash(b, "CREATE TABLE t(a)");
	setenv("DBCHECK_TEST_DIES", "1", 1);
	assert_state(b, DB_UNUSABLE);
	unsetenv("DBCHECK_TEST_DIES");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_box, drop_box)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(no_file_and_an_empty_one_are_absent),
		CASE(what_has_no_header_is_corrupt_or_unreadable),
		CASE(a_header_that_is_right_with_nothing_behind_it_is_corrupt),
		CASE(a_healthy_one_is_intact),
		CASE(a_hot_journal_is_recovered_before_the_header_is_judged),
		CASE(a_first_transaction_that_never_committed_is_absent),
		CASE(damage_is_corrupt_and_named),
		CASE(what_cannot_be_opened_is_unusable),
		CASE(a_locked_one_is_busy),
		CASE(a_child_that_dies_is_no_proof_of_damage),
	};

	if (argc == 5 && getenv("DBCHECK_TEST_DIES"))
		abort();
	if (argc == 5)
		return dbcheck_main(argv[2], argv[3], argv[4]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
