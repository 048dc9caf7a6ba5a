/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/hash.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"
#include "wal/apply.h"
#include "wal/dbhdr.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
	char *dir, path[300];
	int fd;
	uint32_t ps;
	struct pagesum *sums;
	struct apply *a;
	struct err e;
	uint8_t page[65536];
};

static void begin(struct rig *r, uint32_t ps)
{
	memset(r, 0, sizeof *r);
	r->dir = tmpdir_new();
	snprintf(r->path, sizeof(r->path), "%s/out.db", r->dir);
	r->fd = open(r->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(r->fd >= 0);
	r->ps = ps;
	r->sums = pagesum_new(ps, NULL, &r->e);
	r->a = apply_new(r->fd, "out.db", ps, r->sums);
}

static void end(struct rig *r)
{
	apply_destroy(r->a);
	pagesum_destroy(r->sums);
	close(r->fd);
	tmpdir_remove(r->dir);
}

static const uint8_t *page(struct rig *r, uint32_t pgno, uint32_t version)
{
	uint32_t x = pgno * 2654435761U ^ version * 40503U;

	for (size_t i = 0; i < r->ps; i++) {
		x = x * 1664525 + 1013904223;
		r->page[i] = (uint8_t)(x >> 24);
	}
	if (pgno == 1) {
		memset(r->page, 0, 100);
		memcpy(r->page, "SQLite format 3", 16);
		r->page[16] = (uint8_t)(r->ps == 65536 ? 0 : r->ps >> 8);
		r->page[17] = r->ps == 65536;
		r->page[99] = (uint8_t)version;
	}
	return r->page;
}

/* An image of n pages, version 0, in pieces of step bytes. */
static void image(struct rig *r, uint32_t n, size_t step)
{
	size_t len = (size_t)n * r->ps;
	uint8_t *p = malloc(len);

	assert_non_null(p);
	for (uint32_t i = 0; i < n; i++)
		memcpy(p + (size_t)i * r->ps, page(r, i + 1, 0), r->ps);
	for (size_t i = 0; i < len; i += step)
		if (apply_image(r->a, p + i, len - i < step ? len - i : step, &r->e))
			fail_msg("%s", r->e.msg);
	if (apply_image_end(r->a, &r->e))
		fail_msg("%s", r->e.msg);
	free(p);
}

static void frame(struct rig *r, uint32_t pgno, uint32_t version, uint32_t commit)
{
	if (apply_frame(r->a, pgno, commit, page(r, pgno, version), false, &r->e))
		fail_msg("%s", r->e.msg);
}

static void expect_page(struct rig *r, uint32_t pgno, uint32_t version)
{
	uint8_t *got = malloc(r->ps);

	assert_non_null(got);
	assert_int_equal(pread(r->fd, got, r->ps, (off_t)(pgno - 1) * r->ps), r->ps);
	assert_memory_equal(got, page(r, pgno, version), r->ps);
	free(got);
}

/* The file has n pages and the sums are those of the file. */
static void expect_sums(struct rig *r, uint32_t n)
{
	struct stat st;
	uint64_t want = 0;
	uint8_t *got = malloc(r->ps);

	assert_non_null(got);
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_size, (off_t)n * r->ps);
	assert_int_equal(apply_pages(r->a), n);
	assert_int_equal(pagesum_pages(r->sums), n);
	for (uint32_t i = 1; i <= n; i++) {
		assert_int_equal(pread(r->fd, got, r->ps, (off_t)(i - 1) * r->ps), r->ps);
		if (i != db_lock_page(r->ps))
			want ^= hash_page(i, got, r->ps);
	}
	assert_int_equal(pagesum_value(r->sums), want);
	free(got);
}

static void images_come_in_pieces_of_any_size(void **state)
{
	static const size_t steps[] = { 1, 99, 100, 511, 4096, 5000, 1 << 20 };
	static struct rig r;

	(void)state;
	for (uint32_t ps = 512; ps <= 65536; ps *= 2)
		for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
			if (ps > 4096 && steps[i] == 1)
				continue;
			begin(&r, ps);
			image(&r, 5, steps[i]);
			expect_sums(&r, 5);
			for (uint32_t p = 1; p <= 5; p++)
				expect_page(&r, p, 0);
			assert_int_equal(apply_page_size(r.a), ps);
			end(&r);
		}
}

static void the_page_size_can_come_from_the_image(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 1024);
	apply_destroy(r.a);
	r.a = apply_new(r.fd, "out.db", 0, NULL);
	image(&r, 3, 7);
	assert_int_equal(apply_page_size(r.a), 1024);
	assert_int_equal(apply_pages(r.a), 3);
	frame(&r, 4, 1, 4);
	expect_page(&r, 4, 1);
	end(&r);
}

static void an_image_that_is_no_database_is_refused(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 4096);
	assert_int_equal(apply_image(r.a, page(&r, 2, 0), 4096, &r.e), -1);
	assert_string_equal(r.e.msg, "not a SQLite database (or an encrypted one)");
	end(&r);
	begin(&r, 4096);
	assert_int_equal(apply_image_end(r.a, &r.e), -1);
	assert_string_equal(r.e.msg, "an image of 0 bytes is not whole pages");
	assert_int_equal(apply_image(r.a, page(&r, 1, 0), 4095, &r.e), 0);
	assert_int_equal(apply_image_end(r.a, &r.e), -1);
	assert_string_equal(r.e.msg, "an image of 4095 bytes is not whole pages");
	end(&r);
	begin(&r, 4096);
	r.ps = 512;
	assert_int_equal(apply_image(r.a, page(&r, 1, 0), 512, &r.e), -1);
	assert_string_equal(r.e.msg, "page size 512 in the image, 4096 expected");
	end(&r);
}

static void only_committed_frames_reach_the_file_newest_first(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 4096);
	image(&r, 4, 4096);
	frame(&r, 3, 1, 0);
	frame(&r, 2, 1, 0);
	frame(&r, 3, 2, 0);
	assert_int_equal(apply_open_frames(r.a), 3);
	expect_page(&r, 3, 0);
	frame(&r, 5, 1, 5);
	assert_int_equal(apply_open_frames(r.a), 0);
	assert_int_equal(apply_commits(r.a), 1);
	expect_page(&r, 1, 0);
	expect_page(&r, 2, 1);
	expect_page(&r, 3, 2);
	expect_page(&r, 5, 1);
	expect_sums(&r, 5);
	frame(&r, 2, 9, 0);
	apply_drop_open(r.a);
	frame(&r, 3, 3, 5);
	expect_page(&r, 2, 1);
	expect_page(&r, 3, 3);
	expect_sums(&r, 5);
	end(&r);
}

static void a_commit_cuts_and_grows_the_file(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 512);
	image(&r, 10, 512);
	frame(&r, 9, 1, 0); /* beyond the commit: ignored */
	frame(&r, 2, 1, 4);
	expect_sums(&r, 4);
	frame(&r, 8, 1, 8); /* 5 to 7 come in as zeros */
	expect_sums(&r, 8);
	expect_page(&r, 8, 1);
	assert_int_equal(pread(r.fd, r.page, 512, 512 * 5), 512);
	for (int i = 0; i < 512; i++)
		assert_int_equal(r.page[i], 0);
	end(&r);
}

static void a_strict_commit_brings_every_new_page(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 512);
	image(&r, 3, 512);
	assert_int_equal(apply_frame(r.a, 5, 0, page(&r, 5, 1), true, &r.e), 0);
	assert_int_equal(apply_frame(r.a, 4, 0, page(&r, 4, 1), true, &r.e), 0);
	assert_int_equal(apply_frame(r.a, 5, 5, page(&r, 5, 2), true, &r.e), 0);
	expect_sums(&r, 5);
	assert_int_equal(apply_frame(r.a, 7, 0, page(&r, 7, 1), true, &r.e), 0);
	assert_int_equal(apply_frame(r.a, 7, 7, page(&r, 7, 2), true, &r.e), -1);
	assert_int_equal(r.e.code, ERR_CORRUPT);
	assert_string_equal(r.e.msg,
			    "a commit grows the database by 2 pages and has 1 of them");
	end(&r);
}

static void frames_that_cannot_be_are_refused(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 4096);
	image(&r, 1, 4096);
	static const uint32_t pgno[] = { 0, UINT32_MAX, 262145 };

	for (int i = 0; i < 3; i++) {
		assert_int_equal(apply_frame(r.a, pgno[i], 0, page(&r, 2, 0), false, &r.e),
				 -1);
		assert_int_equal(r.e.code, ERR_CORRUPT);
	}
	assert_string_equal(r.e.msg, "a frame of page 262145");
	assert_int_equal(apply_frame(r.a, 1, UINT32_MAX, page(&r, 1, 0), false, &r.e), -1);
	assert_string_equal(r.e.msg, "a commit to 4294967295 pages");
	apply_drop_open(r.a);
	assert_int_equal(apply_frame(r.a, 1, 0x10000000, page(&r, 1, 0), false, &r.e), -1);
	assert_int_equal(r.e.code, ERR_CORRUPT);
	expect_sums(&r, 1);
	end(&r);
}

/* More than 4 MiB goes through the spill file. */
static void large_transactions_come_out_the_same(void **state)
{
	static struct rig r;
	static const uint32_t sizes[] = { 512, 4096, 65536 };

	(void)state;
	for (int k = 0; k < 3; k++) {
		uint32_t n = (11U << 20) / sizes[k], seed = 1;

		begin(&r, sizes[k]);
		image(&r, 2, 4096);
		uint32_t *version = calloc(n + 1, sizeof *version);

		assert_non_null(version);
		for (uint32_t i = 1; i < 3 * n / 2;
		     i++) { /* about a third of the pages twice */
			seed = seed * 1664525 + 1013904223;
			uint32_t pgno = i < n ? n + 1 - i : seed % n + 1;

			frame(&r, pgno, i, 0);
			version[pgno] = i;
		}
		expect_page(&r, 2, 0);
		frame(&r, 1, 7777, n - 5);
		version[1] = 7777;
		expect_sums(&r, n - 5);
		for (uint32_t i = 1; i <= n - 5; i += 1 + n / 500)
			expect_page(&r, i, version[i]);
		/* And again, dropped: nothing changes; and a small one after it. */
		for (uint32_t i = 1; i < n; i++)
			frame(&r, i, 55, 0);
		apply_drop_open(r.a);
		assert_int_equal(apply_open_frames(r.a), 0);
		frame(&r, 2, 5, n - 5);
		version[2] = 5;
		for (uint32_t i = 2; i <= n - 5; i += 1 + n / 500)
			expect_page(&r, i, version[i]);
		expect_sums(&r, n - 5);
		free(version);
		end(&r);
	}
}

static void strictness_holds_for_large_transactions(void **state)
{
	static struct rig r;

	(void)state;
	for (int missing = 0; missing < 2; missing++) {
		uint32_t n = 3000;

		begin(&r, 4096);
		image(&r, 2, 4096);
		for (uint32_t i = 1; i < n; i++)
			if (!missing || i != 1234)
				frame(&r, i, 1, 0);
		int ret = apply_frame(r.a, n, n, page(&r, n, 1), true, &r.e);

		assert_int_equal(ret, -missing);
		if (missing)
			assert_string_equal(r.e.msg, "a commit grows the database by 2998 "
						     "pages and has 2997 of them");
		end(&r);
	}
}

/* A sparse database over 1 GiB: the lock page stays zero and outside the sum. */
static void the_lock_page_is_always_zeros(void **state)
{
	static struct rig r;
	static const uint32_t sizes[] = { 4096, 65536 };

	(void)state;
	for (int k = 0; k < 2; k++) {
		uint32_t ps = sizes[k], lock = db_lock_page(ps);

		begin(&r, ps);
		image(&r, 1, ps);
		uint64_t was = pagesum_value(r.sums);

		frame(&r, lock - 1, 1, lock - 1);
		uint64_t before = pagesum_value(r.sums);

		frame(&r, lock - 1, 1, lock); /* grows by the lock page alone */
		assert_int_equal(pagesum_value(r.sums), before);
		assert_int_equal(apply_frame(r.a, lock + 1, lock + 1, page(&r, lock + 1, 1),
					     true, &r.e),
				 0); /* strict does not ask for it */
		assert_int_equal(
			apply_frame(r.a, lock, lock + 1, page(&r, lock, 1), false, &r.e),
			-1);
		expect_page(&r, lock - 1, 1);
		expect_page(&r, lock + 1, 1);
		assert_int_equal(pread(r.fd, r.page, ps, 1 << 30), ps);
		for (uint32_t i = 0; i < ps; i++)
			assert_int_equal(r.page[i], 0);
		frame(&r, 1, 0, 1);
		assert_int_equal(pagesum_value(r.sums), was);
		end(&r);
	}
}

static void an_image_over_1_gib_has_a_hole_for_the_lock_page(void **state)
{
	static struct rig r;
	static const size_t steps[] = { 1000003, 4096 * 256, 65536 };
	uint8_t *ones = malloc(1000003 + 65536 * 2);

	(void)state;
	assert_non_null(ones);
	memset(ones, 1, 1000003 + 65536 * 2);
	for (int k = 0; k < 3; k++) {
		uint32_t ps = k == 2 ? 65536 : 4096;
		uint64_t lock = 1 << 30, end_at = lock + 2 * ps, at;
		struct stat st;

		/* Without sums; a sparse gigabyte, then the pages around the lock page. */
		begin(&r, ps);
		apply_destroy(r.a);
		r.a = apply_new(r.fd, "out.db", ps, NULL);
		assert_int_equal(apply_image(r.a, page(&r, 1, 0), ps, &r.e), 0);
		memset(r.page, 0, sizeof r.page);
		uint8_t *zeros = calloc(1, 1 << 24);

		assert_non_null(zeros);
		for (at = ps; at < lock - (1 << 24); at += 1 << 24) {
			assert_int_equal(apply_image(r.a, zeros, 1 << 24, &r.e), 0);
			/* keep it sparse: what was written is zeros anyway */
			assert_int_equal(ftruncate(r.fd, ps), 0);
		}
		for (; at < lock - ps; at += ps)
			assert_int_equal(apply_image(r.a, zeros, ps, &r.e), 0);
		free(zeros);
		for (; at < end_at;) {
			size_t n =
				end_at - at < steps[k] ? (size_t)(end_at - at) : steps[k];

			assert_int_equal(apply_image(r.a, ones, n, &r.e), 0);
			at += n;
		}
		assert_int_equal(apply_image_end(r.a, &r.e), 0);
		assert_int_equal(fstat(r.fd, &st), 0);
		assert_int_equal(st.st_size, end_at);
		for (uint64_t p = lock - ps; p < end_at; p += ps) {
			assert_int_equal(pread(r.fd, r.page, ps, (off_t)p), ps);
			for (uint32_t i = 0; i < ps; i++)
				assert_int_equal(r.page[i], p != lock);
		}
		end(&r);
	}
	free(ones);
}

static void a_full_disk_is_an_error_with_the_name(void **state)
{
	static struct rig r;
	struct rlimit old, tight;

	(void)state;
	begin(&r, 4096);
	image(&r, 2, 4096);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 4096 * 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	struct err a = ERR_INIT, b = ERR_INIT;
	int ra = apply_frame(r.a, 20, 20, page(&r, 20, 1), false, &a), rb = 0;

	apply_drop_open(r.a);
	for (uint32_t i = 100; i < 1200 && !rb; i++)
		rb = apply_frame(r.a, i, 0, page(&r, i, 1), false, &b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(ra, -1);
	assert_non_null(strstr(a.msg, "out.db"));
	assert_int_equal(rb, -1);
	assert_non_null(strstr(b.msg, "the temporary file of a large transaction"));
	end(&r);
}

static void limit_files(uint64_t bytes)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes ? bytes : l.rlim_max;
	signal(SIGXFSZ, bytes ? SIG_IGN : SIG_DFL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void a_run_of_pages_cut_short_by_the_disk_is_an_error(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 4096);
	image(&r, 2, 4096);
	for (uint32_t i = 5; i < 15; i++)
		frame(&r, i, 1, 0);
	limit_files(10 * 4096 + 100); /* the write stops inside page 11 */
	int ret = apply_frame(r.a, 15, 15, page(&r, 15, 1), false, &r.e);

	limit_files(0);
	assert_int_equal(ret, -1);
	assert_string_equal(r.e.msg, "write out.db: File too large");
	expect_page(&r, 10, 1);
	end(&r);
}

static void an_image_that_does_not_fit_is_an_error(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 4096);
	limit_files(4096);
	int first = apply_image(r.a, page(&r, 1, 0), 4096, &r.e),
	    second = apply_image(r.a, page(&r, 2, 0), 4096, &r.e);

	limit_files(0);
	assert_int_equal(first, 0);
	assert_int_equal(second, -1);
	assert_non_null(strstr(r.e.msg, "out.db"));
	end(&r);
	begin(&r, 4096);
	assert_int_equal(apply_image(r.a, page(&r, 1, 0), 4096, &r.e), 0);
	limit_files(100);
	assert_int_equal(apply_image_end(r.a, &r.e), 0); /* it has that size already */
	int ret = apply_frame(r.a, 1, 9, page(&r, 1, 1), false, &r.e);

	limit_files(0);
	assert_int_equal(ret, -1);
	end(&r);
}

static void sums_that_find_no_room_are_an_error(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 512);
	image(&r, 2, 512);
	limit_files(512 * 1024); /* the map of two million pages wants 16 MB */
	int ret = apply_frame(r.a, 1, 2000000, page(&r, 1, 1), false, &r.e);

	limit_files(0);
	assert_int_equal(ret, -1);
	assert_string_equal(r.e.msg, "the temporary page map: File too large");
	end(&r);
	/* A commit that cuts the map's database fails where its size cannot be set. */
	begin(&r, 512);
	image(&r, 2, 512);
	close(r.fd);
	r.fd = open(r.path, O_RDONLY | O_CLOEXEC);
	ret = apply_frame(r.a, 2, 1, page(&r, 2, 1), false, &r.e);
	assert_int_equal(ret, -1);
	assert_non_null(strstr(r.e.msg, "out.db: set its size to 512"));
	end(&r);
	apply_destroy(NULL);
}

static void a_large_transaction_that_does_not_fit_is_an_error(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r, 65536);
	image(&r, 1, 65536);
	for (uint32_t i = 1; i < 100; i++)
		frame(&r, i, 1, 0);
	limit_files(70 * 65536);
	int ret = apply_frame(r.a, 1, 99, page(&r, 1, 2), false, &r.e);

	limit_files(0);
	assert_int_equal(ret, -1);
	end(&r);
	/* What the spill file lost is found when it is read back. */
	begin(&r, 65536);
	image(&r, 1, 65536);
	for (uint32_t i = 1; i < 100; i++)
		frame(&r, i, 1, 0);
	close(r.fd);
	r.fd = open(r.path, O_RDONLY | O_CLOEXEC);
	ret = apply_frame(r.a, 1, 99, page(&r, 1, 2), false, &r.e);
	assert_int_equal(ret, -1);
	assert_non_null(strstr(r.e.msg, "out.db"));
	end(&r);
}

static void pages_too_far_apart_are_an_error(void **state)
{
	static struct rig r;
	int ret = 0;

	(void)state;
	begin(&r, 512);
	image(&r, 1, 512);
	for (uint32_t i = 0; i < 131071 && !ret; i++)
		ret = apply_frame(r.a, i * 32768 + 7, 0, page(&r, 7, 1), false, &r.e);
	assert_int_equal(ret, -1);
	assert_true(r.e.code == ERR_CORRUPT || r.e.code == ERR_IO);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_come_in_pieces_of_any_size),
		cmocka_unit_test(the_page_size_can_come_from_the_image),
		cmocka_unit_test(an_image_that_is_no_database_is_refused),
		cmocka_unit_test(only_committed_frames_reach_the_file_newest_first),
		cmocka_unit_test(a_commit_cuts_and_grows_the_file),
		cmocka_unit_test(a_strict_commit_brings_every_new_page),
		cmocka_unit_test(frames_that_cannot_be_are_refused),
		cmocka_unit_test(large_transactions_come_out_the_same),
		cmocka_unit_test(strictness_holds_for_large_transactions),
		cmocka_unit_test(the_lock_page_is_always_zeros),
		cmocka_unit_test(an_image_over_1_gib_has_a_hole_for_the_lock_page),
		cmocka_unit_test(a_full_disk_is_an_error_with_the_name),
		cmocka_unit_test(a_run_of_pages_cut_short_by_the_disk_is_an_error),
		cmocka_unit_test(an_image_that_does_not_fit_is_an_error),
		cmocka_unit_test(sums_that_find_no_room_are_an_error),
		cmocka_unit_test(a_large_transaction_that_does_not_fit_is_an_error),
		cmocka_unit_test(pages_too_far_apart_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
