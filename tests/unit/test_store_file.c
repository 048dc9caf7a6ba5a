/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "tests/unit/store_suite.h"
#include "tests/unit/tmpdir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *root;

static void path_of(char out[300], const char *name)
{
	assert_true(snprintf(out, 300, "%s/%s", root, name) < 300);
}

static int setup(void **state)
{
	AUTO_FREE char *dir = tmpdir_new();
	const struct store_options o = { .timeout_ms = 300 };

	root = mem_fmt("%s/new/root", dir);
	*state = store_file_new(root, &o);
	return 0;
}

static int teardown(void **state)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *sub = file_dirname(root);
	AUTO_FREE char *dir = file_dirname(sub);

	store_close(*state);
	free(root);
	return file_remove_tree(dir, &e);
}

static void names_become_paths_below_the_root(void **state)
{
	struct store *s = *state;
	char path[300];
	struct stat st;

	suite_put(s, "generations/0123/wal/00000000_00000000.wal.lz4", "bytes");
	path_of(path, "generations/0123/wal/00000000_00000000.wal.lz4");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(s->url + 7, root);
}

static void temporary_and_hidden_files_are_no_objects(void **state)
{
	struct store *s = *state;
	char path[300];
	struct buf b = BUF(10);

	suite_put(s, "d/a", "1");
	path_of(path, "d/.hidden");
	close(open(path, O_CREAT | O_WRONLY, 0600));
	path_of(path, "d/b.tmp");
	close(open(path, O_CREAT | O_WRONLY, 0600));
	path_of(path, "e");
	assert_int_equal(mkdir(path, 0700), 0);
	path_of(path, "e/.walback-0.tmp");
	close(open(path, O_CREAT | O_WRONLY, 0600));
	suite_lists(s, "", false, "d/a=1");
	suite_lists(s, "", true, "d/=0");
	SUITE_FAILS(ERR_USAGE, s->ops->put(s, "d/.hidden", "x", 1, NULL, e));
	SUITE_FAILS(ERR_USAGE, s->ops->put(s, "d/b.tmp", "x", 1, NULL, e));
	SUITE_FAILS(ERR_USAGE, s->ops->get(s, "d/.hidden", 0, 1, &b, NULL, e));
	SUITE_FAILS(ERR_USAGE, s->ops->list(s, "../", false, NULL, NULL, e));
}

static void links_and_special_files_are_passed_over(void **state)
{
	struct store *s = *state;
	char path[300];
	struct buf b = BUF(10);

	suite_put(s, "d/a", "1");
	path_of(path, "out");
	assert_int_equal(symlink("/etc", path), 0);
	path_of(path, "d/passwd");
	assert_int_equal(symlink("/etc/passwd", path), 0);
	path_of(path, "d/loop");
	assert_int_equal(symlink("..", path), 0);
	path_of(path, "d/fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	suite_lists(s, "", false, "d/a=1");
	suite_lists(s, "", true, "d/=0");
	suite_lists(s, "out/", false, "");
	suite_lists(s, "d/loop/d/", false, "");
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->get(s, "d/passwd", 0, 1, &b, NULL, e));
	SUITE_FAILS(ERR_NOT_FOUND, s->ops->get(s, "d/fifo", 0, 1, &b, NULL, e));
}

static void the_root_itself_may_be_a_link(void **state)
{
	struct store *s = *state;
	AUTO_FREE char *dir = file_dirname(root);
	AUTO_FREE char *name = mem_fmt("%s/link", dir);

	suite_put(s, "d/a", "1");
	assert_int_equal(symlink(root, name), 0);
	struct store *linked = store_file_new(name, NULL);

	suite_lists(linked, "d/", false, "d/a=1");
	suite_put(linked, "d/b", "22");
	suite_lists(s, "", false, "d/a=1 d/b=2");
	store_close(linked);
}

static void folders_nested_without_end_are_refused(void **state)
{
	struct store *s = *state;
	char path[300];
	struct suite_list l = { .n = 0 };

	SUITE_OK(file_mkdirs(root, 0700, e));
	assert_true(snprintf(path, sizeof(path), "%s", root) > 0);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(strlen(strcat(path, "/d")) < 290, 1);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	SUITE_FAILS(ERR_CORRUPT, s->ops->list(s, "", false, suite_collect, &l, e));
}

static void an_unreadable_folder_is_an_error_not_an_empty_one(void **state)
{
	struct store *s = *state;
	char path[300];
	struct suite_list l = { .n = 0 };

	suite_put(s, "d/e/a", "1");
	path_of(path, "d/e");
	assert_int_equal(chmod(path, 0), 0);
	if (geteuid() != 0)
		SUITE_FAILS(ERR_DENIED, s->ops->list(s, "d/", false, suite_collect, &l, e));
	assert_int_equal(chmod(path, 0700), 0);
	/* A root that is a file, for root too. */
	path_of(path, "d/e/a");
	struct store *f = store_file_new(path, NULL);

	SUITE_FAILS(ERR_IO, f->ops->list(f, "", false, suite_collect, &l, e));
	store_close(f);
}

static void a_killed_writers_temporary_file_is_swept(void **state)
{
	struct store *s = *state;
	char old[300], fresh[300], held[300];
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	suite_put(s, "d/a", "1");
	path_of(old, "d/.object.walback-00000001.tmp");
	path_of(fresh, "d/.walback-0000000000000002.tmp");
	path_of(held, "d/.walback-0000000000000003.tmp");
	close(open(fresh, O_CREAT | O_WRONLY, 0600));
	close(open(old, O_CREAT | O_WRONLY, 0600));
	int fd = open(held, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, held, times, 0), 0);
	suite_write(s, "d/b", (const uint8_t *)"xy", 2, 2);
	assert_false(file_exists(old));
	assert_true(file_exists(fresh));
	assert_true(file_exists(held));
	close(fd);
	suite_lists(s, "", false, "d/a=1 d/b=2");
}

static void a_held_lock_is_waited_for_no_longer_than_the_timeout(void **state)
{
	struct store *s = *state;
	char etag[STORE_ETAG_MAX] = "";
	struct store_put put = { .etag_out = etag };

	SUITE_OK(s->ops->put(s, "k", "one", 3, &put, e));
	int fd = open(root, O_RDONLY | O_DIRECTORY);
	int64_t start = clock_mono_ms();

	assert_int_equal(flock(fd, LOCK_EX), 0);
	put.if_match = etag;
	SUITE_FAILS(ERR_AGAIN, s->ops->put(s, "k", "two", 3, &put, e));
	assert_true(clock_mono_ms() - start < 5000);
	close(fd);
	suite_is(s, "k", "one");
}

static void a_set_stop_token_ends_every_operation(void **state)
{
	struct stop *stop = stop_new();
	const struct store_options o = { .stop = stop };
	struct store *s = store_file_new(root, &o);
	struct suite_list l = { .n = 0 };
	struct buf b = BUF(10);
	const char *key = "k";

	suite_put(*state, "k", "1");
	stop_set(stop, 0);
	SUITE_FAILS(ERR_CANCELED, s->ops->get(s, "k", 0, 1, &b, NULL, e));
	SUITE_FAILS(ERR_CANCELED, s->ops->put(s, "k", "x", 1, NULL, e));
	SUITE_FAILS(ERR_CANCELED, s->ops->list(s, "", false, suite_collect, &l, e));
	SUITE_FAILS(ERR_CANCELED, s->ops->del(s, &key, 1, e));
	SUITE_FAILS(ERR_CANCELED, s->ops->copy(s, "k", "l", NULL, e));
	suite_is(*state, "k", "1");
	store_close(s);
	stop_destroy(stop);
}

static void a_large_objects_etag_changes_with_it(void **state)
{
	struct store *s = *state;
	AUTO_FREE uint8_t *p = suite_bytes(100000, 1);
	char a[STORE_ETAG_MAX] = "", b[STORE_ETAG_MAX] = "";
	struct store_put put = { .etag_out = a };

	SUITE_OK(s->ops->put(s, "k", p, 100000, &put, e));
	put.etag_out = b;
	SUITE_OK(s->ops->put(s, "k", p, 100000, &put, e));
	assert_string_not_equal(a, b);
}

int main(void)
{
	suite_many = 150;
	const struct CMUnitTest tests[] = {
		STORE_SUITE(setup, teardown),
		SUITE_T(of_several_if_absent_puts_one_wins, setup, teardown),
		SUITE_T(names_become_paths_below_the_root, setup, teardown),
		SUITE_T(temporary_and_hidden_files_are_no_objects, setup, teardown),
		SUITE_T(links_and_special_files_are_passed_over, setup, teardown),
		SUITE_T(the_root_itself_may_be_a_link, setup, teardown),
		SUITE_T(folders_nested_without_end_are_refused, setup, teardown),
		SUITE_T(an_unreadable_folder_is_an_error_not_an_empty_one, setup, teardown),
		SUITE_T(a_killed_writers_temporary_file_is_swept, setup, teardown),
		SUITE_T(a_held_lock_is_waited_for_no_longer_than_the_timeout, setup,
			teardown),
		SUITE_T(a_set_stop_token_ends_every_operation, setup, teardown),
		SUITE_T(a_large_objects_etag_changes_with_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
