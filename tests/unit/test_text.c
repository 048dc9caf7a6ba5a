/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void decimal_numbers_are_whole_strings_in_range(void **state)
{
	static const struct {
		const char *s;
		int rc64;
		uint64_t v;
		int rc32;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "007", 0, 7, 0 },
		{ "4294967295", 0, UINT32_MAX, 0 },
		{ "4294967296", 0, UINT64_C(4294967296), -1 },
		{ "18446744073709551615", 0, UINT64_MAX, -1 },
		{ "18446744073709551616", -1, 0, -1 },
		{ "99999999999999999999", -1, 0, -1 },
		{ "", -1, 0, -1 },
		{ " 1", -1, 0, -1 },
		{ "1 ", -1, 0, -1 },
		{ "+1", -1, 0, -1 },
		{ "-1", -1, 0, -1 },
		{ "0x10", -1, 0, -1 },
		{ "1e3", -1, 0, -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 77;
		uint32_t w = 77;

		assert_int_equal(text_u64(rows[i].s, &v), rows[i].rc64);
		assert_int_equal(v, rows[i].rc64 ? 77 : rows[i].v);
		assert_int_equal(text_u32(rows[i].s, &w), rows[i].rc32);
		assert_int_equal(w, rows[i].rc32 ? 77 : rows[i].v);
	}
}

static void names_in_hex_are_lower_case_and_as_long_as_said(void **state)
{
	static const struct {
		const char *s;
		size_t n;
		int rc;
		uint64_t v;
	} rows[] = {
		{ "00000012.wal", 8, 0, 0x12 },
		{ "ffffffffffffffff", 16, 0, UINT64_MAX },
		{ "a", 1, 0, 10 },
		{ "0123456789abcdef0", 17, -1, 0 },
		{ "12", 0, -1, 0 },
		{ "AB", 2, -1, 0 },
		{ "1g", 2, -1, 0 },
		{ "0x", 2, -1, 0 },
		{ "12\0"
		  "4",
		  4, -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 77;

		assert_int_equal(text_hex64(rows[i].s, rows[i].n, &v), rows[i].rc);
		assert_int_equal(v, rows[i].rc ? 77 : rows[i].v);
	}
}

static void hex_typed_by_people_takes_either_case_and_a_prefix(void **state)
{
	static const struct {
		const char *s;
		int rc;
		uint64_t v;
	} rows[] = {
		{ "1F", 0, 0x1f },
		{ "0x2d458", 0, 0x2d458 },
		{ "0XFF", 0, 0xff },
		{ "ffffffffffffffff", 0, UINT64_MAX },
		{ "0000000000000000001", 0, 1 },
		{ "10000000000000000", -1, 0 },
		{ "0x", -1, 0 },
		{ "", -1, 0 },
		{ "-1", -1, 0 },
		{ "1 ", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 77;

		assert_int_equal(text_hex_any(rows[i].s, &v), rows[i].rc);
		assert_int_equal(v, rows[i].rc ? 77 : rows[i].v);
	}
}

static void truth_has_four_spellings_in_any_case(void **state)
{
	static const char *const yes[] = { "true", "TRUE", "Yes", "on", "1" };
	static const char *const no[] = { "false", "False", "NO", "off", "0" };
	static const char *const neither[] = { "", "y", "t", "2", "true ", "nope" };
	bool v = false;

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++) {
		v = false;
		assert_int_equal(text_bool(yes[i], &v), 0);
		assert_true(v);
		assert_int_equal(text_bool(no[i], &v), 0);
		assert_false(v);
	}
	for (size_t i = 0; i < COUNT(neither); i++)
		assert_int_equal(text_bool(neither[i], &v), -1);
}

static void sizes_have_decimal_and_binary_units(void **state)
{
	static const struct {
		const char *s;
		int rc;
		uint64_t v;
	} rows[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4096B", 0, 4096 },
		{ "1K", 0, 1024 },
		{ "1KB", 0, 1000 },
		{ "1Ki", 0, 1024 },
		{ "1kib", 0, 1024 },
		{ "16MiB", 0, 16777216 },
		{ "256MB", 0, 256000000 },
		{ "64m", 0, 67108864 },
		{ "1.5GB", 0, 1500000000 },
		{ "1.5G", 0, 1610612736 },
		{ "2T", 0, UINT64_C(2199023255552) },
		{ "0.001KB", 0, 1 },
		{ "0.0001KB", 0, 0 },
		{ "1.0000000000000000000000009", 0, 1 },
		{ "16777215T", 0, UINT64_C(18446742974197923840) },
		{ "16777216T", -1, 0 },
		{ "99999999999999999999", -1, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "", -1, 0 },
		{ "MB", -1, 0 },
		{ ".5M", -1, 0 },
		{ "1.M", -1, 0 },
		{ "-1", -1, 0 },
		{ "1 MB", -1, 0 },
		{ "1MB ", -1, 0 },
		{ "1P", -1, 0 },
		{ "1KBB", -1, 0 },
		{ "1Bi", -1, 0 },
		{ "1.5.5", -1, 0 },
		{ "1\x01", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 77;

		if (text_size(rows[i].s, &v) != rows[i].rc)
			fail_msg("size '%s'", rows[i].s);
		assert_int_equal(v, rows[i].rc ? 77 : rows[i].v);
	}
}

static void byte_counts_for_people_have_one_decimal(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "1.0 kB" },
		{ 1049, "1.0 kB" },
		{ 1050, "1.1 kB" },
		{ 999949, "999.9 kB" },
		{ 999950, "1.0 MB" },
		{ 143200000, "143.2 MB" },
		{ 1200000000, "1.2 GB" },
		{ UINT64_C(999949999999), "999.9 GB" },
		{ UINT64_C(5000000000000), "5.0 TB" },
		{ UINT64_C(5000000000000000), "5.0 PB" },
		{ UINT64_MAX, "18.4 EB" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[24];

		text_human_bytes(rows[i].n, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void counts_name_one_thing_or_several(void **state)
{
	char text[48];

	(void)state;
	text_human_count(0, "object", text);
	assert_string_equal(text, "0 objects");
	text_human_count(1, "transaction", text);
	assert_string_equal(text, "1 transaction");
	text_human_count(UINT64_MAX, "a name of more than 20 characters", text);
	assert_string_equal(text, "18446744073709551615 a name of more than s");
}

static void prefixes_and_suffixes_are_found(void **state)
{
	(void)state;
	assert_true(text_starts("s3://b", "s3://"));
	assert_true(text_starts("x", ""));
	assert_false(text_starts("s3:", "s3://"));
	assert_true(text_ends("a.wal.lz4", ".lz4"));
	assert_true(text_ends("x", ""));
	assert_false(text_ends("lz4", ".lz4"));
}

static void the_edit_distance_counts_a_swap_once(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned d;
	} rows[] = {
		{ "", "", 0 },
		{ "abc", "", 3 },
		{ "", "abcd", 4 },
		{ "restore", "restore", 0 },
		{ "restroe", "restore", 1 },
		{ "retsore", "restore", 1 },
		{ "resore", "restore", 1 },
		{ "rextore", "restore", 1 },
		{ "kitten", "sitting", 3 },
		{ "snapshots", "generations", 8 },
	};
	char a[64], b[64];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].d);
		assert_int_equal(text_distance(rows[i].b, rows[i].a), rows[i].d);
	}
	memset(a, 'a', 63);
	memset(b, 'a', 63);
	a[63] = b[63] = 0;
	a[40] = 'x';
	assert_int_equal(text_distance(a, b), 0);
	a[31] = 'x';
	assert_int_equal(text_distance(a, b), 1);
}

static void uri_encoding_keeps_only_the_unreserved(void **state)
{
	static const struct {
		const char *in;
		bool keep_slash;
		const char *out;
	} rows[] = {
		{ "AZaz09-._~", false, "AZaz09-._~" },
		{ "a b+c&d=e", false, "a%20b%2Bc%26d%3De" },
		{ "db/0001.wal", true, "db/0001.wal" },
		{ "db/0001.wal", false, "db%2F0001.wal" },
		{ "\xc3\xa9\x01\x7f", true, "%C3%A9%01%7F" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP(buf_free) struct buf b = BUF(100);

		text_uri_encode(&b, rows[i].in, strlen(rows[i].in), rows[i].keep_slash);
		assert_string_equal(buf_str(&b), rows[i].out);
	}
}

static void uri_decoding_refuses_broken_escapes_and_nul(void **state)
{
	static const struct {
		const char *in;
		bool plus;
		int rc;
		const char *out;
	} rows[] = {
		{ "a%20b%2bc", false, 0, "a b+c" },
		{ "a+b", false, 0, "a+b" },
		{ "a+b%2B", true, 0, "a b+" },
		{ "%C3%A9", false, 0, "\xc3\xa9" },
		{ "%", false, -1, "" },
		{ "%4", false, -1, "" },
		{ "ab%4", false, -1, "ab" },
		{ "%zz", false, -1, "" },
		{ "%4z", false, -1, "" },
		{ "x%00", false, -1, "x" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP(buf_free) struct buf b = BUF(100);

		assert_int_equal(
			text_uri_decode(&b, rows[i].in, strlen(rows[i].in), rows[i].plus),
			rows[i].rc);
		assert_string_equal(buf_str(&b), rows[i].out);
	}
}

static void uri_decoding_stops_at_the_given_length(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(100);

	(void)state;
	assert_int_equal(text_uri_decode(&b, "a%41", 3, false), -1);
	buf_reset(&b);
	assert_int_equal(text_uri_decode(&b, "a%41", 4, false), 0);
	assert_string_equal(buf_str(&b), "aA");
}

static void bytes_become_hex(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x0f, 0xf0, 0xff };
	char out[9];

	(void)state;
	text_hex(bytes, sizeof(bytes), out);
	assert_string_equal(out, "000ff0ff");
	text_hex(bytes, 0, out);
	assert_string_equal(out, "");
}

static void only_well_formed_utf8_is_a_character(void **state)
{
	static const struct {
		const char *s;
		size_t n, len;
		uint32_t cp;
	} rows[] = {
		{ "a", 1, 1, 'a' },
		{ "\0", 1, 1, 0 },
		{ "\xc2\xb5s", 3, 2, 0xb5 },
		{ "\xe2\x82\xac", 3, 3, 0x20ac },
		{ "\xf0\x9f\x98\x80", 4, 4, 0x1f600 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "", 0, 0, 77 },
		{ "\xc2\xb5", 1, 0, 77 },	  /* cut short */
		{ "\xc2z", 2, 0, 77 },		  /* no continuation */
		{ "\x80", 1, 0, 77 },		  /* a stray one */
		{ "\xc0\x80", 2, 0, 77 },	  /* overlong */
		{ "\xc1\xbf", 2, 0, 77 },	  /* overlong */
		{ "\xe0\x9f\xbf", 3, 0, 77 },	  /* overlong */
		{ "\xf0\x8f\xbf\xbf", 4, 0, 77 }, /* overlong */
		{ "\xed\xa0\x80", 3, 0, 77 },	  /* surrogate */
		{ "\xf4\x90\x80\x80", 4, 0, 77 }, /* beyond Unicode */
		{ "\xf5\x80\x80\x80", 4, 0, 77 },
		{ "\xff", 1, 0, 77 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t cp = 77;

		assert_int_equal(text_utf8(rows[i].s, rows[i].n, &cp), rows[i].len);
		assert_int_equal(cp, rows[i].cp);
	}
}

static void what_may_move_a_cursor_is_a_control_character(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++)
		assert_int_equal(text_is_control((char)c), c < 32 || c == 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_numbers_are_whole_strings_in_range),
		cmocka_unit_test(names_in_hex_are_lower_case_and_as_long_as_said),
		cmocka_unit_test(hex_typed_by_people_takes_either_case_and_a_prefix),
		cmocka_unit_test(truth_has_four_spellings_in_any_case),
		cmocka_unit_test(sizes_have_decimal_and_binary_units),
		cmocka_unit_test(byte_counts_for_people_have_one_decimal),
		cmocka_unit_test(counts_name_one_thing_or_several),
		cmocka_unit_test(prefixes_and_suffixes_are_found),
		cmocka_unit_test(the_edit_distance_counts_a_swap_once),
		cmocka_unit_test(uri_encoding_keeps_only_the_unreserved),
		cmocka_unit_test(uri_decoding_refuses_broken_escapes_and_nul),
		cmocka_unit_test(uri_decoding_stops_at_the_given_length),
		cmocka_unit_test(bytes_become_hex),
		cmocka_unit_test(only_well_formed_utf8_is_a_character),
		cmocka_unit_test(what_may_move_a_cursor_is_a_control_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
