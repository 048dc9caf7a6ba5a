/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "wal/pageset.h"

static void page_sets_find_their_runs(void **state)
{
	struct pageset s = { 0 };
	struct err e = ERR_INIT;
	static const uint32_t in[] = { 1, 2, 3, 64, 65, 32767, 32768, 32769, 4294967294U };
	uint32_t after = 0;

	(void)state;
	assert_true(pageset_empty(&s));
	assert_int_equal(pageset_count(&s, 1, UINT32_MAX), 0);
	for (size_t i = 0; i < sizeof in / sizeof *in; i++)
		assert_int_equal(pageset_add(&s, in[i], &e), 0);
	assert_false(pageset_empty(&s));
	assert_int_equal(pageset_count(&s, 1, UINT32_MAX), 9);
	assert_int_equal(pageset_count(&s, 3, 65), 3);
	assert_int_equal(pageset_run(&s, &after, UINT32_MAX, 2), 2);
	assert_int_equal(after, 1);
	after = 2;
	assert_int_equal(pageset_run(&s, &after, UINT32_MAX, 9), 1);
	assert_int_equal(after, 3);
	assert_int_equal(pageset_run(&s, &after, UINT32_MAX, 9), 2);
	assert_int_equal(after, 64);
	after = 65;
	assert_int_equal(pageset_run(&s, &after, 32768, 9), 2);
	assert_int_equal(after, 32767);
	after = 32769;
	assert_int_equal(pageset_run(&s, &after, UINT32_MAX, 9), 1);
	assert_int_equal(after, 4294967294U);
	assert_int_equal(pageset_run(&s, &after, UINT32_MAX, 9), 0);
	pageset_clear(&s);
	assert_true(pageset_empty(&s));
	int r = 0;
	uint32_t n = 0;

	for (; n < 131072 && !r; n++)
		r = pageset_add(&s, n * 32768 + 5, &e);
	assert_int_equal(r, -1);
	assert_int_equal(n, (16 << 10) + 1);
	assert_string_equal(e.msg, "the pages of a transaction lie too far apart");
	pageset_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_sets_find_their_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
