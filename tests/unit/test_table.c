/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char *const columns[] = { "replica", "generation", "size" };

static void columns_are_as_wide_as_their_widest_cell_plus_two(void **state)
{
	struct table t;
	struct buf out = BUF(1 << 16);
	struct err e = ERR_INIT;

	(void)state;
	table_init(&t, columns, 3);
	table_add(&t, "s3");
	table_add(&t, "9f2c41aa07b3e6d1");
	table_addf(&t, "%d", 5120);
	table_add(&t, "größer als");
	table_add(&t, NULL);
	table_add(&t, "");
	assert_int_equal(table_format(&t, &out, &e), 0);
	assert_string_equal((char *)out.p, "replica     generation        size\n"
					   "s3          9f2c41aa07b3e6d1  5120\n"
					   "größer?als  -                 -\n");
	buf_free(&out);
	table_free(&t);
}

static void the_header_is_printed_without_rows(void **state)
{
	struct table t;
	struct buf out = BUF(1 << 16);
	struct err e = ERR_INIT;

	(void)state;
	table_init(&t, columns, 3);
	assert_int_equal(table_format(&t, &out, &e), 0);
	assert_string_equal((char *)out.p, "replica  generation  size\n");
	buf_free(&out);
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell_plus_two),
		cmocka_unit_test(the_header_is_printed_without_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
