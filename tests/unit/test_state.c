/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/state.h"
#include "base/file.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir, *path;

static int begin(void **state)
{
	(void)state;
	dir = tmpdir_new();
	path = file_join(dir, "state");
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(path);
	tmpdir_remove(dir);
	return 0;
}

static struct state sample(uint32_t n)
{
	return (struct state){ .generation = "0123456789abcdef",
			       .acked = { n, 4152ULL * n },
			       .db_sum = 0xfedcba9876543210ULL + n,
			       .session = 0x8000000000000000ULL | n,
			       .time_ms = 1700000000000 + n };
}

static struct state_file *reopen(struct state_file *f)
{
	struct err e = ERR_INIT;

	state_close(f);
	f = state_open(path, &e);
	assert_non_null(f);
	return f;
}

static void put(struct state_file *f, uint32_t n)
{
	struct err e = ERR_INIT;
	struct state s = sample(n);

	assert_int_equal(state_put(f, &s, true, &e), 0);
}

static void assert_holds(const struct state_file *f, uint32_t n)
{
	struct state got, want = sample(n);

	assert_true(state_get(f, &got));
	assert_string_equal(got.generation, want.generation);
	assert_int_equal(got.acked.index, want.acked.index);
	assert_int_equal(got.acked.offset, want.acked.offset);
	assert_int_equal(got.db_sum, want.db_sum);
	assert_int_equal(got.session, want.session);
	assert_int_equal(got.time_ms, want.time_ms);
}

static void overwrite(long at, const char *bytes)
{
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	fputs(bytes, f);
	fclose(f);
}

static void a_new_file_says_nothing(void **state)
{
	struct state_file *f = reopen(NULL);
	struct state s;

	(void)state;
	assert_false(state_get(f, &s));
	state_close(f);
}

static void the_newest_write_is_found_again(void **state)
{
	struct state_file *f = reopen(NULL);

	(void)state;
	for (uint32_t n = 1; n <= 5; n++) {
		put(f, n);
		assert_holds(f, n);
		f = reopen(f);
		assert_holds(f, n);
	}
	state_close(f);
}

static void a_damaged_newer_slot_leaves_the_older_one(void **state)
{
	struct state_file *f = reopen(NULL);

	(void)state;
	put(f, 1); /* slot 0 */
	put(f, 2); /* slot 1 */
	overwrite(4096 + 20, "xx");
	f = reopen(f);
	assert_holds(f, 1);
	put(f, 3); /* over the damaged one */
	f = reopen(f);
	assert_holds(f, 3);
	state_close(f);
}

static void the_generation_that_head_moves_to_is_kept(void **state)
{
	struct state_file *f = reopen(NULL);
	struct state s = sample(1), got;
	struct err e = ERR_INIT;

	(void)state;
	memcpy(s.next, "fedcba9876543210", sizeof(s.next));
	assert_int_equal(state_put(f, &s, true, &e), 0);
	f = reopen(f);
	assert_true(state_get(f, &got));
	assert_string_equal(got.generation, "0123456789abcdef");
	assert_string_equal(got.next, "fedcba9876543210");
	state_close(f);
}

static void room_is_reserved_without_losing_what_it_says(void **state)
{
	struct err e = ERR_INIT;
	struct state_file *f = state_open(path, &e);

	(void)state;
	assert_int_equal(state_reserve(f, &e), 0);
	for (uint32_t n = 1; n < 4; n++) {
		put(f, n);
		assert_int_equal(state_reserve(f, &e), 0);
		assert_holds(f, n);
		state_close(f);
		f = state_open(path, &e);
		assert_holds(f, n);
	}
	state_close(f);
}

static void a_torn_file_is_no_error(void **state)
{
	struct state_file *f = reopen(NULL);
	struct state s;

	(void)state;
	put(f, 1);
	assert_int_equal(truncate(path, 100), 0);
	f = reopen(f);
	assert_false(state_get(f, &s));
	put(f, 4);
	f = reopen(f);
	assert_holds(f, 4);
	state_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_file_says_nothing, begin, end),
		cmocka_unit_test_setup_teardown(the_newest_write_is_found_again, begin,
						end),
		cmocka_unit_test_setup_teardown(a_damaged_newer_slot_leaves_the_older_one,
						begin, end),
		cmocka_unit_test_setup_teardown(the_generation_that_head_moves_to_is_kept,
						begin, end),
		cmocka_unit_test_setup_teardown(
			room_is_reserved_without_losing_what_it_says, begin, end),
		cmocka_unit_test_setup_teardown(a_torn_file_is_no_error, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
