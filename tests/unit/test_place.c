/* SPDX-License-Identifier: Apache-2.0 */
/* Also the child that inuse_ask starts from /proc/self/exe. */
#include "agent/exit.h"
#include "agent/restore/restore_place.h"
#include "agent/swap/inuse.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "tests/unit/tmpdir.h"

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct box {
	char *dir, *out, *temp;
	struct place place;
};

static void put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (file_write_atomic(path, text, strlen(text), 0600, false, &e) < 0)
		fail_msg("%s", e.msg);
}

static void assert_holds(const char *path, const char *text)
{
	CLEANUP(buf_free) struct buf b = BUF(1000);
	struct err e = ERR_INIT;

	if (file_read(path, &b, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(b.len, strlen(text));
	assert_memory_equal(b.p ? b.p : (const uint8_t *)"", text, b.len);
}

static size_t count_names(const struct box *b)
{
	AUTO_FREE char *pattern = mem_fmt("%s/*", b->dir);
	glob_t found;
	size_t n;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	n = found.gl_pathc;
	globfree(&found);
	return n;
}

static int open_place(struct box *b, struct err *e)
{
	const struct restore_request r = { .output = b->out };

	return place_open(&b->place, &r, e);
}

/* A place with a file that holds "new". */
static void must_open(struct box *b)
{
	struct err e = ERR_INIT;

	if (open_place(b, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(write(b->place.fd, "new", 3), 3);
}

static int new_box(void **state)
{
	struct box *b = mem_alloc(sizeof(*b));

	b->dir = tmpdir_new();
	b->out = mem_fmt("%s/x.db", b->dir);
	b->temp = mem_fmt("%s.walback-tmp", b->out);
	b->place.fd = -1;
	*state = b;
	return 0;
}

static int drop_box(void **state)
{
	struct box *b = *state;

	place_drop(&b->place);
	tmpdir_remove(b->dir);
	free(b->out);
	free(b->temp);
	free(b);
	return 0;
}

static void must_commit(struct box *b)
{
	struct err e = ERR_INIT;
	bool moved = true;

	if (place_commit(&b->place, &moved, &e) < 0)
		fail_msg("%s", e.msg);
	assert_false(moved);
	assert_holds(b->out, "new");
	assert_int_equal(count_names(b), 1);
}

static void assert_refused(struct box *b, int status, const char *words)
{
	struct err e = ERR_INIT;
	bool moved = true;

	assert_int_equal(place_commit(&b->place, &moved, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(exit_from_err(&e), status);
	if (!strstr(e.msg, words))
		fail_msg("%s", e.msg);
}

static void a_file_gets_its_name_and_the_temporary_one_goes(void **state)
{
	struct box *b = *state;

	must_open(b);
	must_commit(b);
}

static void an_empty_file_makes_way(void **state)
{
	struct box *b = *state;

	put(b->out, "");
	must_open(b);
	must_commit(b);
}

static void what_came_during_the_restore_stays(void **state)
{
	struct box *b = *state;

	must_open(b);
	put(b->out, "somebody's");
	assert_refused(b, EXIT_FAILED, "during the restore something came there");
	assert_holds(b->out, "somebody's");
	place_drop(&b->place);
	assert_int_equal(count_names(b), 1);
}

/* stat(2) sees nothing behind it, and still it is somebody's. */
static void a_link_to_nowhere_that_came_stays(void **state)
{
	struct box *b = *state;

	must_open(b);
	assert_int_equal(symlink("nowhere", b->out), 0);
	assert_refused(b, EXIT_FAILED, "during the restore something came there");
	struct stat st;

	assert_int_equal(lstat(b->out, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void an_empty_file_that_somebody_has_open_stays(void **state)
{
	struct box *b = *state;
	int ready[2];
	int done[2];
	char c;
	pid_t pid;

	put(b->out, "");
	must_open(b);
	assert_int_equal(pipe(ready) | pipe(done), 0);
	pid = fork();
	if (!pid) {
		close(done[1]);
		if (open(b->out, O_RDWR) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(done[0], &c, 1) == 1);
	}
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_refused(b, EXIT_LOCKED, "is open in process");
	assert_int_equal(file_size(b->out), 0);
	close(done[1]);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	must_commit(b);
}

/* Killed between link(2) and unlink(2): the temporary name is one of the finished database. */
static void a_finished_database_is_not_emptied_through_its_temporary_name(void **state)
{
	struct box *b = *state;

	put(b->out, "restored");
	assert_int_equal(link(b->out, b->temp), 0);
	must_open(b);
	assert_holds(b->out, "restored");
	assert_holds(b->temp, "new");
}

static void a_temporary_name_that_is_no_file_is_refused(void **state)
{
	struct box *b = *state;
	struct err e = ERR_INIT;

	assert_int_equal(mkfifo(b->temp, 0600), 0);
	assert_int_equal(open_place(b, &e), -1);
	assert_non_null(strstr(e.msg, "x.db.walback-tmp is not a regular file"));
	assert_true(file_exists(b->temp));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, new_box, drop_box)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_file_gets_its_name_and_the_temporary_one_goes),
		CASE(an_empty_file_makes_way),
		CASE(what_came_during_the_restore_stays),
		CASE(a_link_to_nowhere_that_came_stays),
		CASE(an_empty_file_that_somebody_has_open_stays),
		CASE(a_finished_database_is_not_emptied_through_its_temporary_name),
		CASE(a_temporary_name_that_is_no_file_is_refused),
	};

	if (argc > 2 && !strcmp(argv[1], "internal-inuse"))
		return inuse_main(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
