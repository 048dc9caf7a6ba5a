/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/watch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/tmpdir.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_EVENT_MS 50

/* A folder `box` below a folder of the test's own, watched for app.db and for other.db. */
struct rig {
	char *top, *box;
	struct watch *w;
	struct watch_entry *app, *other;
	int app_calls, other_calls;
};

static void count(void *arg)
{
	++*(int *)arg;
}

static int begin(void **state)
{
	struct rig *r = mem_alloc(sizeof(*r));

	r->top = tmpdir_new();
	r->box = file_join(r->top, "box");
	assert_int_equal(mkdir(r->box, 0700), 0);
	r->w = watch_new();
	assert_non_null(r->w);
	r->app = watch_add(r->w, r->box, "app.db", count, &r->app_calls);
	r->other = watch_add(r->w, r->box, "other.db", count, &r->other_calls);
	*state = r;
	return 0;
}

static int end(void **state)
{
	struct rig *r = *state;

	watch_destroy(r->w);
	free(r->box);
	tmpdir_remove(r->top);
	free(r);
	return 0;
}

/* Calls of the entry for app.db because of what has just been done: inotify tells at once. */
static int calls(struct rig *r)
{
	struct pollfd ready = { .fd = watch_fd(r->w), .events = POLLIN };

	r->app_calls = r->other_calls = 0;
	if (poll(&ready, 1, NO_EVENT_MS) > 0)
		watch_dispatch(r->w);
	return r->app_calls;
}

static void put(const char *dir, const char *name)
{
	AUTO_FREE char *path = file_join(dir, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
}

static void take(const char *dir, const char *name)
{
	AUTO_FREE char *path = file_join(dir, name);

	assert_int_equal(unlink(path), 0);
}

static void move(const char *from_dir, const char *from, const char *to_dir, const char *to)
{
	AUTO_FREE char *a = file_join(from_dir, from);
	AUTO_FREE char *b = file_join(to_dir, to);

	assert_int_equal(rename(a, b), 0);
}

static bool arm(struct rig *r, const char *name)
{
	AUTO_FREE char *path = file_join(r->box, name);

	return watch_arm(r->w, r->app, path);
}

static void names_that_come_go_or_are_replaced(void **state)
{
	struct rig *r = *state;

	put(r->box, "app.db");
	assert_int_equal(calls(r), 1);
	put(r->box, "app.db-wal");
	assert_int_equal(calls(r), 1);
	take(r->box, "app.db-wal");
	assert_int_equal(calls(r), 1);
	put(r->top, "new");
	move(r->top, "new", r->box, "app.db");
	assert_int_equal(calls(r), 1);
	move(r->box, "app.db", r->top, "old");
	assert_int_equal(calls(r), 1);
	assert_int_equal(r->other_calls, 0);
}

static void other_names_are_no_ones_business(void **state)
{
	struct rig *r = *state;

	put(r->box, "my-app.db");
	put(r->box, "app.d");
	assert_int_equal(calls(r), 0);
	put(r->box, "other.db-shm");
	assert_int_equal(calls(r), 0);
	assert_int_equal(r->other_calls, 1);
}

static void an_armed_file_tells_of_one_write(void **state)
{
	struct rig *r = *state;

	put(r->box, "app.db-wal");
	calls(r);
	assert_int_equal(calls(r), 0);
	put(r->box, "app.db-wal"); /* not armed */
	assert_int_equal(calls(r), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(arm(r, "app.db-wal"));
		put(r->box, "app.db-wal");
		put(r->box, "app.db-wal");
		assert_int_equal(calls(r), 1);
		put(r->box, "app.db-wal");
		assert_int_equal(calls(r), 0);
	}
}

static void arming_twice_is_arming_once(void **state)
{
	struct rig *r = *state;

	put(r->box, "app.db-wal");
	calls(r);
	assert_true(arm(r, "app.db-wal"));
	assert_true(arm(r, "app.db-wal"));
	put(r->box, "app.db-wal");
	assert_int_equal(calls(r), 1);
	put(r->box, "app.db-wal");
	assert_int_equal(calls(r), 0);
}

static void a_file_that_is_not_there_is_watched_for(void **state)
{
	struct rig *r = *state;

	assert_true(arm(r, "app.db-wal"));
	put(r->box, "app.db-wal");
	assert_true(calls(r) > 0);
}

static void the_file_at_the_name_is_armed_not_the_one_before(void **state)
{
	struct rig *r = *state;

	put(r->box, "app.db-wal");
	assert_true(arm(r, "app.db-wal"));
	move(r->box, "app.db-wal", r->top, "old");
	put(r->box, "app.db-wal");
	calls(r);
	assert_true(arm(r, "app.db-wal"));
	put(r->top, "old");
	assert_int_equal(calls(r), 0);
	put(r->box, "app.db-wal");
	assert_int_equal(calls(r), 1);
}

static void a_folder_that_is_removed_and_made_anew(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rmdir(r->box), 0);
	assert_int_equal(calls(r), 1);
	assert_int_equal(r->other_calls, 1);
	assert_false(arm(r, "app.db-wal")); /* poll */
	assert_int_equal(mkdir(r->box, 0700), 0);
	put(r->box, "app.db");
	assert_int_equal(calls(r), 0);
	assert_false(
		arm(r, "app.db-wal")); /* what has happened there so far was not seen */
	assert_true(arm(r, "app.db-wal"));
	put(r->box, "app.db-wal");
	assert_true(calls(r) > 0);
	take(r->box, "app.db");
	assert_int_equal(calls(r), 1);
}

static void a_folder_that_is_moved_away_and_another_put_there(void **state)
{
	struct rig *r = *state;

	move(r->top, "box", r->top, "gone");
	assert_int_equal(calls(r), 1);
	assert_int_equal(r->other_calls, 1);
	assert_int_equal(mkdir(r->box, 0700), 0);
	assert_false(arm(r, "app.db-wal"));
	assert_true(arm(r, "app.db-wal"));
	AUTO_FREE char *gone = file_join(r->top, "gone");

	put(gone, "app.db");
	assert_int_equal(calls(r), 0);
	put(r->box, "app.db");
	assert_int_equal(calls(r), 1);
}

/* Of a folder further up that is exchanged no event tells; arming does. */
static void another_folder_at_the_path_is_seen_by_arming(void **state)
{
	struct rig *r = *state;
	AUTO_FREE char *deep = file_join(r->box, "deep");
	AUTO_FREE char *wal = file_join(deep, "app.db-wal");
	int deep_calls = 0;

	assert_int_equal(mkdir(deep, 0700), 0);
	struct watch_entry *x = watch_add(r->w, deep, "app.db", count, &deep_calls);

	assert_true(watch_arm(r->w, x, wal));
	move(r->top, "box", r->top, "gone");
	assert_int_equal(mkdir(r->box, 0700), 0);
	assert_int_equal(mkdir(deep, 0700), 0);
	calls(r);
	assert_int_equal(deep_calls, 0);
	assert_false(watch_arm(r->w, x, wal));
	assert_true(watch_arm(r->w, x, wal));
	put(deep, "app.db-wal");
	calls(r);
	assert_true(deep_calls > 0);
	watch_remove(r->w, x);
}

static void an_entry_of_a_folder_that_comes_later(void **state)
{
	struct rig *r = *state;
	AUTO_FREE char *later = file_join(r->top, "later");
	AUTO_FREE char *wal = file_join(later, "x.db-wal");
	int later_calls = 0;
	struct watch_entry *x = watch_add(r->w, later, "x.db", count, &later_calls);

	assert_non_null(x);
	assert_false(watch_arm(r->w, x, wal));
	assert_int_equal(mkdir(later, 0700), 0);
	assert_false(watch_arm(r->w, x, wal));
	assert_true(watch_arm(r->w, x, wal));
	put(later, "x.db-wal");
	calls(r);
	assert_true(later_calls > 0);
	watch_remove(r->w, x);
}

static void entries_of_one_folder_go_one_by_one(void **state)
{
	struct rig *r = *state;

	watch_remove(r->w, r->other);
	put(r->box, "app.db");
	put(r->box, "other.db");
	assert_int_equal(calls(r), 1);
	assert_int_equal(r->other_calls, 0);
}

static void without_a_watch_its_users_poll(void **state)
{
	(void)state;
	assert_int_equal(watch_fd(NULL), -1);
	assert_null(watch_add(NULL, "/", "x", count, NULL));
	assert_false(watch_arm(NULL, NULL, "/x"));
	watch_remove(NULL, NULL);
	watch_destroy(NULL);
}

/* ---- what the system's limits do ---- */

/* The log of what follows goes to a file. */
static int log_to_file(const struct rig *r)
{
	AUTO_FREE char *path = file_join(r->top, "log");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	log_to(fd);
	return fd;
}

static int times_said(const struct rig *r, const char *what)
{
	AUTO_FREE char *path = file_join(r->top, "log");
	char text[8192] = "";
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n = 0;

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static long queue_limit(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	char text[32] = "";

	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return strtol(text, NULL, 10);
}

static void when_events_were_lost_everybody_looks(void **state)
{
	struct rig *r = *state;
	long limit = queue_limit();

	if (limit <= 0 || limit > 100000)
		skip();
	int fd = log_to_file(r);

	for (int round = 0; round < 2; round++) {
		for (long i = 0; i <= limit / 2; i++) { /* two events each */
			put(r->box, "app.db-wal");
			take(r->box, "app.db-wal");
		}
		put(r->box, "other.db"); /* lost */
		assert_true(calls(r) > 0);
		assert_int_equal(r->other_calls, 1);
		take(r->box, "other.db");
		calls(r);
	}
	log_to(2);
	close(fd);
	assert_int_equal(times_said(r, "more files change than can be watched"), 1);
}

static bool limit_to(const char *what, int n)
{
	AUTO_FREE char *path = mem_fmt("/proc/sys/user/max_inotify_%s", what);
	FILE *f = fopen(path, "we");
	bool done = f && fprintf(f, "%d\n", n) > 0;

	if (f && fclose(f) != 0)
		done = false;
	return done;
}

/* In a user namespace, whose limits are its own.  77: not to be had. */
static int with_limits(struct rig *r, int (*check)(struct rig *r))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) == 0 ? check(r) : 77);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The exit status says which line failed. */
#define CHECK(c)                                  \
	do {                                      \
		if (!(c))                         \
			return __LINE__ % 70 + 1; \
	} while (0)

static int polled_until_there_is_room(struct rig *r, struct watch *w, const char *wal)
{
	int hits = 0;
	struct watch_entry *x = watch_add(w, r->box, "app.db", count, &hits);
	struct watch_entry *y = watch_add(w, r->top, "app.db", count, &hits);

	put(r->box, "app.db-wal");
	CHECK(!watch_arm(w, x, wal)); /* its folder is watched, the file cannot be */
	CHECK(!watch_arm(w, y, wal));
	CHECK(times_said(r, "too many files are watched") == 1);
	watch_dispatch(w);
	CHECK(hits == 1);
	CHECK(limit_to("watches", 10));
	CHECK(watch_arm(w, x, wal));
	put(r->box, "app.db-wal");
	watch_dispatch(w);
	CHECK(hits == 2);
	return 0;
}

static int at_the_limit(struct rig *r)
{
	AUTO_FREE char *wal = file_join(r->box, "app.db-wal");

	log_to_file(r);
	if (!limit_to("watches", 1))
		return 77;
	struct watch *w = watch_new();
	int line = polled_until_there_is_room(r, w, wal);

	watch_destroy(w);
	return line;
}

static void at_the_systems_limit_users_poll_until_there_is_room(void **state)
{
	int status = with_limits(*state, at_the_limit);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

static int without_instances(struct rig *r)
{
	log_to_file(r);
	if (!limit_to("instances", 0))
		return 77;
	CHECK(watch_new() == NULL);
	CHECK(times_said(r, "files cannot be watched, they are polled") == 1);
	return 0;
}

static void without_inotify_it_is_said(void **state)
{
	int status = with_limits(*state, without_instances);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(names_that_come_go_or_are_replaced),
		CASE(other_names_are_no_ones_business),
		CASE(an_armed_file_tells_of_one_write),
		CASE(arming_twice_is_arming_once),
		CASE(a_file_that_is_not_there_is_watched_for),
		CASE(the_file_at_the_name_is_armed_not_the_one_before),
		CASE(a_folder_that_is_removed_and_made_anew),
		CASE(a_folder_that_is_moved_away_and_another_put_there),
		CASE(another_folder_at_the_path_is_seen_by_arming),
		CASE(an_entry_of_a_folder_that_comes_later),
		CASE(entries_of_one_folder_go_one_by_one),
		cmocka_unit_test(without_a_watch_its_users_poll),
		CASE(when_events_were_lost_everybody_looks),
		CASE(at_the_systems_limit_users_poll_until_there_is_room),
		CASE(without_inotify_it_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
