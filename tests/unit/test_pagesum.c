/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/dbhdr.h"
#include "wal/pagesum.h"
#include "wal/scratch.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pagesum *make(uint32_t page_size, const char *path)
{
	struct err e = ERR_INIT;
	struct pagesum *s = pagesum_new(page_size, path, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static void resize(struct pagesum *s, uint32_t pages)
{
	struct err e = ERR_INIT;

	if (pagesum_resize(s, pages, &e))
		fail_msg("%s", e.msg);
}

static void the_sum_is_the_xor_of_hashes_of_number_and_page(void **state)
{
	struct pagesum *s = make(512, NULL);
	uint8_t b[4 + 512] = { 0 };
	uint64_t want = 0;

	(void)state;
	assert_int_equal(pagesum_value(s), 0);
	resize(s, 3);
	for (uint8_t i = 1; i <= 3; i++) {
		b[3] = i;
		memset(b + 4, i * 7, 512);
		want ^= hash_xxh3(b, sizeof b);
		pagesum_set(s, i, b + 4);
		assert_int_equal(pagesum_get(s, i), hash_xxh3(b, sizeof b));
	}
	assert_int_equal(pagesum_value(s), want);
	pagesum_set(s, 3, b + 4); /* again: nothing changes */
	assert_int_equal(pagesum_value(s), want);
	pagesum_destroy(s);
	pagesum_destroy(NULL);
}

static void growing_counts_zeros_and_shrinking_takes_pages_out(void **state)
{
	struct pagesum *a = make(1024, NULL), *b = make(1024, NULL);
	uint8_t page[1024] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	resize(a, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(pagesum_append(b, page, &e), 0);
	assert_int_equal(pagesum_value(a), pagesum_value(b));
	assert_true(pagesum_value(a) != 0);
	page[0] = 1;
	pagesum_set(a, 5, page);
	resize(a, 4);
	resize(a, 5); /* the page that was cut off comes back as zeros */
	assert_int_equal(pagesum_value(a), pagesum_value(b));
	resize(a, 0);
	assert_int_equal(pagesum_value(a), 0);
	assert_int_equal(pagesum_pages(a), 0);
	pagesum_destroy(a);
	pagesum_destroy(b);
}

static void the_lock_page_never_counts(void **state)
{
	uint32_t lock = db_lock_page(65536);
	struct pagesum *s = make(65536, NULL);
	uint8_t *page = calloc(1, 65536);

	(void)state;
	assert_non_null(page);
	resize(s, lock - 1);
	uint64_t before = pagesum_value(s);

	resize(s, lock);
	assert_int_equal(pagesum_value(s), before);
	page[9] = 1;
	pagesum_set(s, lock, page);
	pagesum_set_hash(s, lock, 77);
	assert_int_equal(pagesum_value(s), before);
	assert_int_equal(pagesum_get(s, lock), 0);
	resize(s, lock + 1);
	assert_int_equal(pagesum_value(s), before ^ pagesum_get(s, lock + 1));
	free(page);
	pagesum_destroy(s);
}

static long anonymous_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[200];
	long kb = -1;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, "RssAnon:", 8))
			kb = strtol(line + 8, NULL, 10);
	fclose(f);
	return kb;
}

static void large_maps_lie_in_a_file(void **state)
{
	struct pagesum *s = make(512, NULL);
	long before = anonymous_kb();

	(void)state;
	resize(s, 100);
	for (uint32_t i = 1; i <= 100; i++)
		pagesum_set_hash(s, i, i);
	uint32_t n = 3000000; /* 24 MB of map */

	resize(s, 1000);
	resize(s, n);
	assert_int_equal(pagesum_pages(s), n);
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(pagesum_get(s, i), i);
	for (uint32_t i = 1; i <= n; i++)
		pagesum_set_hash(s, i, i);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(pagesum_get(s, i), i == db_lock_page(512) ? 0 : i);
#ifndef SANITIZED /* shadow memory counts as ours */
	assert_true(anonymous_kb() - before < 4096);
#else
	(void)before;
#endif
	pagesum_destroy(s);
}

static void a_named_map_is_created_and_truncated(void **state)
{
	char *dir = tmpdir_new();
	AUTO_FREE char *path = file_join(dir, "map");
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;
	uint64_t v = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old old old", 11), 11);
	struct pagesum *s = make(4096, path);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	resize(s, 2);
	pagesum_set_hash(s, 2, 0x1122334455667788);
	assert_int_equal(pread(fd, &v, 8, 8), 8);
	assert_int_equal(v, 0x1122334455667788);
	resize(s, 100000);
	assert_int_equal(pagesum_get(s, 2), 0x1122334455667788);
	pagesum_destroy(s);
	close(fd);
	tmpdir_remove(dir);
}

static void a_map_that_cannot_be_made_names_its_path(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(pagesum_new(4096, "/nonexistent/pages.map", &e));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/nonexistent/pages.map"));
}

static void no_room_is_an_error_and_changes_nothing(void **state)
{
	struct rlimit old, tight;
	struct err e = ERR_INIT;
	struct pagesum *s = make(512, NULL);

	(void)state;
	resize(s, 1000);
	uint64_t before = pagesum_value(s);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	int r = pagesum_resize(s, 10000000, &e);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -1);
	assert_non_null(strstr(e.msg, "the temporary page map"));
	assert_int_equal(pagesum_pages(s), 1000);
	assert_int_equal(pagesum_value(s), before);
	resize(s, 1001);
	pagesum_destroy(s);
}

static void scratch_files_have_no_name(void **state)
{
	struct err e = ERR_INIT;
	char *dir = tmpdir_new();
	AUTO_FREE char *name = file_join(dir, "file");

	(void)state;
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	int a = scratch_open(dir, &e), b = scratch_open_beside(fd, &e);
	struct stat sa, sb, sd;

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(fstat(a, &sa) | fstat(b, &sb) | stat(dir, &sd), 0);
	assert_int_equal(sa.st_nlink, 0);
	assert_int_equal(sb.st_nlink, 0);
	assert_true(sa.st_dev == sd.st_dev && sb.st_dev == sd.st_dev);
	assert_int_equal(scratch_open("/nonexistent", &e), -1);
	assert_string_equal(e.hint, "set TMPDIR to a folder with room");
	assert_int_equal(scratch_reserve(a, UINT64_MAX, "it", &e), -1);
	assert_int_equal(e.sys, EFBIG);
	/* A descriptor that is no file has no folder: the common place does. */
	int p[2];

	assert_int_equal(pipe(p), 0);
	int c = scratch_open_beside(p[0], &e);

	assert_true(c >= 0);
	close(c);
	close(p[0]);
	close(p[1]);
	close(a);
	close(b);
	close(fd);
	unlink(name);
	assert_int_equal(rmdir(dir), 0); /* nothing else was in it */
	free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_is_the_xor_of_hashes_of_number_and_page),
		cmocka_unit_test(growing_counts_zeros_and_shrinking_takes_pages_out),
		cmocka_unit_test(the_lock_page_never_counts),
		cmocka_unit_test(large_maps_lie_in_a_file),
		cmocka_unit_test(a_named_map_is_created_and_truncated),
		cmocka_unit_test(a_map_that_cannot_be_made_names_its_path),
		cmocka_unit_test(no_room_is_an_error_and_changes_nothing),
		cmocka_unit_test(scratch_files_have_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
