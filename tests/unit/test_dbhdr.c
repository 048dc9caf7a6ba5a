/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "tests/unit/unit.h"
#include "wal/dbhdr.h"

#include <string.h>

static void make(uint8_t h[DBHDR_SIZE], uint16_t page_size)
{
	memset(h, 0, DBHDR_SIZE);
	memcpy(h, "SQLite format 3", 16);
	h[16] = (uint8_t)(page_size >> 8);
	h[17] = (uint8_t)page_size;
	h[18] = h[19] = 2;
	put_be32(h + 24, 7);
	put_be32(h + 28, 11);
	put_be32(h + 40, 5);
	put_be32(h + 92, 7);
}

static void a_header_is_decoded(void **state)
{
	uint8_t h[DBHDR_SIZE];
	struct dbhdr d;
	struct err e = ERR_INIT;

	(void)state;
	make(h, 4096);
	assert_int_equal(dbhdr_parse(&d, h, sizeof h, &e), 0);
	assert_int_equal(d.page_size, 4096);
	assert_int_equal(d.pages, 11);
	assert_true(d.pages_valid);
	assert_int_equal(d.change_counter, 7);
	assert_int_equal(d.schema_cookie, 5);
	assert_int_equal(d.write_version, 2);
	assert_int_equal(d.read_version, 2);
	put_be32(h + 92, 6);
	assert_int_equal(dbhdr_parse(&d, h, sizeof h, &e), 0);
	assert_false(d.pages_valid);
}

static void page_sizes_are_powers_of_two_and_1_means_65536(void **state)
{
	static const struct {
		uint16_t field;
		uint32_t size; /* 0: refused */
	} cases[] = { { 1, 65536 }, { 512, 512 }, { 1024, 1024 }, { 32768, 32768 },
		      { 0, 0 },	    { 256, 0 },	  { 513, 0 },	  { 4097, 0 },
		      { 2, 0 },	    { 65535, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t h[DBHDR_SIZE];
		struct dbhdr d;
		struct err e = ERR_INIT;

		make(h, cases[i].field);
		assert_int_equal(dbhdr_parse(&d, h, sizeof h, &e), cases[i].size ? 0 : -1);
		if (cases[i].size)
			assert_int_equal(d.page_size, cases[i].size);
		else
			assert_int_equal(e.code, ERR_CORRUPT);
	}
}

static void what_is_no_database_is_refused(void **state)
{
	uint8_t h[DBHDR_SIZE];
	struct dbhdr d;
	struct err e = ERR_INIT;

	(void)state;
	make(h, 4096);
	assert_int_equal(dbhdr_parse(&d, h, 99, &e), -1);
	assert_string_equal(e.msg, "a database header has 100 bytes, here are 99");
	h[3] = 'x';
	assert_int_equal(dbhdr_parse(&d, h, sizeof h, &e), -1);
	assert_string_equal(e.msg, "not a SQLite database (or an encrypted one)");
	assert_false(dbhdr_magic(h, sizeof h));
	assert_false(dbhdr_magic((const uint8_t *)"SQLite format 3", 15));
}

static void the_lock_page_holds_byte_2_to_the_30(void **state)
{
	(void)state;
	assert_int_equal(db_lock_page(512), 2097153);
	assert_int_equal(db_lock_page(4096), 262145);
	assert_int_equal(db_lock_page(65536), 16385);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_decoded),
		cmocka_unit_test(page_sizes_are_powers_of_two_and_1_means_65536),
		cmocka_unit_test(what_is_no_database_is_refused),
		cmocka_unit_test(the_lock_page_holds_byte_2_to_the_30),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
