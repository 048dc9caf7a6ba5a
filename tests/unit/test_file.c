/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/file.h"
#include "tests/unit/tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char *dir;

static int enter(void **state)
{
	(void)state;
	dir = tmpdir_new();
	return chdir(dir);
}

static int leave(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return chdir("/");
}

static void put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (file_write_atomic(path, text, strlen(text), 0644, false, &e))
		fail_msg("%s", e.msg);
}

static void assert_holds(const char *path, const char *text)
{
	CLEANUP(buf_free) struct buf b = BUF(1000);
	struct err e = ERR_INIT;

	if (file_read(path, &b, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(buf_str(&b), text);
}

/* Names in the current folder but . and .. */
static int count_names(void)
{
	DIR *d = opendir(".");
	int n = -2;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void a_whole_file_is_appended_to_the_buffer(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(100);
	struct err e = ERR_INIT;

	(void)state;
	put("a", "hello");
	buf_adds(&b, "<");
	assert_int_equal(file_read("a", &b, &e), 0);
	assert_string_equal(buf_str(&b), "<hello");
}

static void a_file_may_fill_the_ceiling_but_not_pass_it(void **state)
{
	CLEANUP(buf_free) struct buf exact = BUF(5), small = BUF(4), none = BUF(0);
	struct err e = ERR_INIT;

	(void)state;
	put("a", "hello");
	put("empty", "");
	assert_int_equal(file_read("a", &exact, &e), 0);
	assert_string_equal(buf_str(&exact), "hello");
	assert_int_equal(file_read("a", &small, &e), -1);
	assert_int_equal(e.code, ERR_IO);
	assert_string_equal(e.msg, "a: larger than the allowed 4 bytes");
	assert_int_equal(file_read("empty", &none, &e), 0);
}

static void a_large_file_is_read_whole(void **state)
{
	CLEANUP(buf_free) struct buf in = BUF(300000), out = BUF(300000);
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 300000; i++)
		buf_addc(&in, (char)(i * 7));
	assert_int_equal(file_write_atomic("big", in.p, in.len, 0600, false, &e), 0);
	assert_int_equal(file_size("big"), 300000);
	assert_int_equal(file_read("big", &out, &e), 0);
	assert_int_equal(out.len, in.len);
	assert_memory_equal(out.p, in.p, in.len);
}

static void a_missing_file_is_not_found_and_named(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(100);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_read("no/such", &b, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "open no/such: No such file or directory");
	assert_int_equal(file_read(".", &b, &e), -1);
	assert_string_equal(e.msg, "read .: Is a directory");
}

static void a_full_read_fails_at_the_end_of_the_file(void **state)
{
	struct err e = ERR_INIT;
	char p[8] = "";

	(void)state;
	put("a", "0123456789");
	AUTO_CLOSE int fd = open("a", O_RDONLY | O_CLOEXEC);

	assert_int_equal(file_pread_full(fd, p, 4, 6, "a", &e), 0);
	assert_string_equal(p, "6789");
	assert_int_equal(file_pread_full(fd, p, 4, 7, "a", &e), -1);
	assert_string_equal(e.msg, "read a: ends at 10, wanted 4 bytes at 7");
	assert_int_equal(file_pread_some(fd, p, 8, 7, "a", &e), 3);
	assert_int_equal(file_pread_some(fd, p, 8, 20, "a", &e), 0);
	assert_int_equal(file_pread_some(fd, p, 8, INT64_MAX, "a", &e), -1);
	assert_string_equal(e.msg, "a: offset 9223372036854775807 is beyond any file");
	assert_int_equal(e.code, ERR_BUG);
	assert_int_equal(file_pread_full(-1, p, 8, 5, "a", &e), -1);
	assert_string_equal(e.msg, "read a at 5: Bad file descriptor");
}

static void writes_land_where_they_should(void **state)
{
	struct err e = ERR_INIT;
	int fd = open("w", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(file_write_full(fd, "0123456789", 10, "w", &e), 0);
	assert_int_equal(file_pwrite_full(fd, "ab", 2, 4, "w", &e), 0);
	assert_int_equal(file_pwrite_full(fd, "ab", 2, UINT64_MAX - 1, "w", &e), -1);
	assert_int_equal(e.code, ERR_BUG);
	assert_int_equal(file_sync(fd, "w", &e), 0);
	assert_int_equal(file_datasync(fd, "w", &e), 0);
	assert_int_equal(file_close(&fd, "w", &e), 0);
	assert_int_equal(fd, -1);
	assert_holds("w", "0123ab6789");
}

static void failures_of_a_descriptor_name_the_file(void **state)
{
	struct err e = ERR_INIT;
	int fd = -1;

	(void)state;
	assert_int_equal(file_write_full(-1, "x", 1, "w", &e), -1);
	assert_string_equal(e.msg, "write w: Bad file descriptor");
	assert_int_equal(file_sync(-1, "w", &e), -1);
	assert_string_equal(e.msg, "fsync w: Bad file descriptor");
	assert_int_equal(file_datasync(-1, "w", &e), -1);
	assert_string_equal(e.msg, "fdatasync w: Bad file descriptor");
	assert_int_equal(file_close(&fd, "w", &e), -1);
	assert_string_equal(e.msg, "close w: Bad file descriptor");
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(file_write_full(full, "x", 1, "w", &e), -1);
	assert_string_equal(e.msg, "write w: No space left on device");
	assert_string_equal(e.hint, "free some space on that file system");
}

static void an_atomic_write_replaces_and_leaves_no_temp(void **state)
{
	(void)state;
	put("a", "old");
	put("a", "new");
	assert_holds("a", "new");
	assert_int_equal(count_names(), 1);
}

static void an_atomic_write_keeps_the_old_file_when_it_fails(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_mkdirs("sub/a", 0755, &e), 0);
	put("sub/a/inner", "x");
	/* rename(2) refuses to replace a folder. */
	assert_int_equal(file_write_atomic("sub/a", "x", 1, 0600, false, &e), -1);
	assert_non_null(strstr(e.msg, " to sub/a: Is a directory"));
	assert_int_equal(file_write_atomic("none/a", "x", 1, 0600, false, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_holds("sub/a/inner", "x");
	assert_int_equal(chdir("sub"), 0);
	assert_int_equal(count_names(), 1);
	assert_int_equal(chdir(".."), 0);
}

static void if_absent_refuses_anything_of_that_name(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_write_atomic("a", "one", 3, 0600, true, &e), 0);
	assert_int_equal(file_write_atomic("a", "two", 3, 0600, true, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_string_equal(e.msg, "create a: File exists");
	assert_holds("a", "one");
	assert_int_equal(symlink("nowhere", "link"), 0);
	assert_int_equal(file_write_atomic("link", "two", 3, 0600, true, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(count_names(), 2);
}

static void a_new_name_is_given_only_if_nothing_has_it(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("from", "mine");
	assert_int_equal(file_move_new("from", "to", &e), 0);
	assert_holds("to", "mine");
	assert_int_equal(count_names(), 1);
	put("other", "theirs");
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(file_mkdirs("folder", 0700, &e), 0);
	const char *const taken[] = { "other", "dangling", "folder" };

	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
		e = (struct err)ERR_INIT;
		assert_int_equal(file_move_new("to", taken[i], &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
		assert_non_null(strstr(e.msg, "rename to to "));
	}
	assert_holds("to", "mine");
	assert_holds("other", "theirs");
	assert_int_equal(count_names(), 4);
	e = (struct err)ERR_INIT;
	assert_int_equal(file_move_new("none", "b", &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(count_names(), 4);
}

/* As a crash between link(2) and unlink(2) leaves it. */
static void a_new_name_that_is_there_already_is_finished(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("from", "mine");
	assert_int_equal(link("from", "to"), 0);
	assert_int_equal(file_move_new("from", "to", &e), 0);
	assert_holds("to", "mine");
	assert_int_equal(count_names(), 1);
}

static void the_mode_is_as_given(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_write_atomic("a", "x", 1, 0600, false, &e), 0);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(file_write_atomic("b", "x", 1, 0640, true, &e), 0);
	assert_int_equal(stat("b", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_nlink, 1);
}

static void the_longest_name_can_be_written_too(void **state)
{
	char name[256];

	(void)state;
	memset(name, 'n', 255);
	name[255] = 0;
	put(name, "long");
	assert_holds(name, "long");
	assert_int_equal(count_names(), 1);
}

static void folders_are_made_along_the_path(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_mkdirs("a/b//c/d/", 0755, &e), 0);
	assert_int_equal(file_mkdirs("a/b/c/d", 0755, &e), 0);
	assert_int_equal(file_mkdirs("/", 0755, &e), 0);
	put("a/b/c/d/file", "x");
	assert_int_equal(file_mkdirs("a/b/c/d/file", 0755, &e), -1);
	assert_string_equal(e.msg, "create folder a/b/c/d/file: Not a directory");
	assert_int_equal(file_mkdirs("a/b/c/d/file/e", 0755, &e), -1);
	assert_string_equal(e.msg, "create folder a/b/c/d/file: Not a directory");
	assert_int_equal(file_mkdirs("", 0755, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void a_tree_is_removed_but_not_what_links_lead_to(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_mkdirs("keep", 0755, &e), 0);
	put("keep/me", "x");
	assert_int_equal(file_mkdirs("tree/a/b", 0755, &e), 0);
	put("tree/a/f", "x");
	put("tree/a/b/g", "x");
	assert_int_equal(symlink("../keep", "tree/link"), 0);
	assert_int_equal(symlink("nowhere", "tree/dangling"), 0);
	assert_int_equal(file_remove_tree("tree", &e), 0);
	assert_false(file_exists("tree"));
	assert_holds("keep/me", "x");
	assert_int_equal(file_remove_tree("tree", &e), 0);
	assert_int_equal(file_remove_tree("keep/me", &e), 0);
	assert_false(file_exists("keep/me"));
}

static void a_tree_that_cannot_be_removed_is_named(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	/* Not even root removes these. */
	assert_int_equal(file_remove_tree("/proc/self/fdinfo", &e), -1);
	assert_non_null(strstr(e.msg, "remove /proc/self/fdinfo/0: "));
}

static void unlink_and_rename_say_what_they_did(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("a", "x");
	assert_int_equal(file_rename("a", "b", &e), 0);
	assert_false(file_exists("a"));
	assert_int_equal(file_rename("a", "b", &e), -1);
	assert_string_equal(e.msg, "rename a to b: No such file or directory");
	assert_int_equal(file_unlink("b", &e), 0);
	assert_int_equal(file_unlink("b", &e), 0);
	assert_int_equal(file_unlink(".", &e), -1);
	assert_non_null(strstr(e.msg, "remove .: "));
}

static void facts_about_files(void **state)
{
	struct err e = ERR_INIT;
	uint64_t room = 0, same = 0;

	(void)state;
	put("a", "12345");
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_true(file_exists("dangling"));
	assert_false(file_exists("nowhere"));
	assert_int_equal(file_size("a"), 5);
	assert_int_equal(file_size("."), -1);
	assert_int_equal(file_size("nowhere"), -1);
	assert_int_equal(file_mtime_ms("nowhere"), -1);
	const struct timespec times[2] = { { 5, 0 }, { 1795230131, 920999999 } };
	assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
	assert_int_equal(file_mtime_ms("a"), INT64_C(1795230131920));
	assert_int_equal(file_free_space("a", &room, &e), 0);
	assert_true(room > 0);
	assert_int_equal(file_free_space("not-yet", &same, &e), 0);
	assert_true(same > 0);
	assert_int_equal(file_free_space("no/such", &room, &e), -1);
	assert_string_equal(e.msg, "free space at no/such: No such file or directory");
}

static void the_folder_of_a_path_can_be_synced(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_sync_dir("a", &e), 0);
	/* No fsync there: EINVAL, which is taken for done. */
	assert_int_equal(file_sync_dir("/proc/self", &e), 0);
	assert_int_equal(file_sync_dir("none/a", &e), -1);
	assert_string_equal(e.msg, "open folder none: No such file or directory");
}

static void paths_are_taken_apart_and_joined(void **state)
{
	static const struct {
		const char *path, *dir, *base;
	} rows[] = {
		{ "/a/b/c", "/a/b", "c" }, { "c", ".", "c" },	  { "/c", "/", "c" },
		{ "a//b", "a", "b" },	   { "a/", "a", "" },	  { "//c", "/", "c" },
		{ "./c", ".", "c" },	   { "../c", "..", "c" }, { "", ".", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		AUTO_FREE char *d = file_dirname(rows[i].path);

		assert_string_equal(d, rows[i].dir);
		assert_string_equal(file_basename(rows[i].path), rows[i].base);
	}
	AUTO_FREE char *ab = file_join("a", "b"), *rooted = file_join("/", "b");

	assert_string_equal(ab, "a/b");
	assert_string_equal(rooted, "/b");
}

static void real_paths_need_no_last_part(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_mkdirs("real", 0755, &e), 0);
	assert_int_equal(symlink("real", "link"), 0);
	assert_int_equal(symlink("real/new.db", "dangling"), 0);
	assert_int_equal(symlink("dangling", "again"), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	put("real/here", "x");
	const char *const rows[][2] = {
		{ "link/here", "real/here" },  { "link/none", "real/none" },
		{ "dangling", "real/new.db" }, { "again", "real/new.db" },
		{ "real/../link/.", "real" },
	};

	AUTO_FREE char *here = realpath(".", NULL);

	for (size_t i = 0; i < COUNT(rows); i++) {
		AUTO_FREE char *want = file_join(here, rows[i][1]);
		AUTO_FREE char *got = file_realpath(rows[i][0], &e);

		assert_non_null(got);
		assert_string_equal(got, want);
	}
	char *rooted = file_realpath("/no-such-thing-here", &e);

	assert_string_equal(rooted, "/no-such-thing-here");
	free(rooted);
	assert_null(file_realpath("loop", &e));
	assert_string_equal(e.msg, "loop: Too many levels of symbolic links");
	assert_null(file_realpath("none/such", &e));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "none/such: No such file or directory");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, enter, leave)

static void a_file_is_known_again_by_any_of_its_names(void **state)
{
	struct stat a, b;

	(void)state;
	put("a", "1");
	put("b", "1");
	assert_int_equal(link("a", "hard"), 0);
	assert_int_equal(symlink("a", "soft"), 0);
	assert_int_equal(stat("a", &a), 0);
	assert_int_equal(stat("hard", &b), 0);
	assert_true(file_same(&a, &b));
	assert_int_equal(stat("b", &b), 0);
	assert_false(file_same(&a, &b));
	AUTO_CLOSE int fd = open("a", O_RDONLY | O_CLOEXEC);

	assert_true(file_is_at(fd, "hard"));
	assert_true(file_is_at(fd, "soft"));
	assert_false(file_is_at(fd, "b"));
	assert_false(file_is_at(fd, "none"));
	assert_false(file_is_at(-1, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(a_whole_file_is_appended_to_the_buffer),
		IN_DIR(a_file_may_fill_the_ceiling_but_not_pass_it),
		IN_DIR(a_large_file_is_read_whole),
		IN_DIR(a_missing_file_is_not_found_and_named),
		IN_DIR(a_full_read_fails_at_the_end_of_the_file),
		IN_DIR(writes_land_where_they_should),
		IN_DIR(failures_of_a_descriptor_name_the_file),
		IN_DIR(an_atomic_write_replaces_and_leaves_no_temp),
		IN_DIR(an_atomic_write_keeps_the_old_file_when_it_fails),
		IN_DIR(if_absent_refuses_anything_of_that_name),
		IN_DIR(a_new_name_is_given_only_if_nothing_has_it),
		IN_DIR(a_new_name_that_is_there_already_is_finished),
		IN_DIR(the_mode_is_as_given),
		IN_DIR(the_longest_name_can_be_written_too),
		IN_DIR(folders_are_made_along_the_path),
		IN_DIR(a_tree_is_removed_but_not_what_links_lead_to),
		IN_DIR(a_tree_that_cannot_be_removed_is_named),
		IN_DIR(unlink_and_rename_say_what_they_did),
		IN_DIR(facts_about_files),
		IN_DIR(the_folder_of_a_path_can_be_synced),
		IN_DIR(paths_are_taken_apart_and_joined),
		IN_DIR(real_paths_need_no_last_part),
		IN_DIR(a_file_is_known_again_by_any_of_its_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
