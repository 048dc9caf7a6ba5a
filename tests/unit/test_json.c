/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct json *parse(const char *text)
{
	struct err e = ERR_INIT;
	struct json *j = json_parse(text, strlen(text), "head.json", &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void values_are_found_by_key_and_type(void **state)
{
	CLEANUP(json_freep)
	struct json *j = parse("{\"s\":\"text\",\"i\":-5,\"u\":7,\"t\":true,\"f\":false,"
			       "\"n\":null,\"r\":1.5,\"o\":{\"k\":\"v\"},"
			       "\"max\":9223372036854775807}");
	int64_t i = 77;
	uint64_t u = 77;

	(void)state;
	assert_string_equal(json_str(j, "s"), "text");
	assert_null(json_str(j, "i"));
	assert_null(json_str(j, "none"));
	assert_null(json_str(j, "n"));
	assert_string_equal(json_str(json_obj(j, "o"), "k"), "v");
	assert_null(json_obj(j, "s"));
	assert_null(json_obj(j, "none"));
	assert_int_equal(json_i64(j, "s", &i), -1);
	assert_int_equal(json_i64(j, "r", &i), -1);
	assert_int_equal(json_i64(j, "none", &i), -1);
	assert_int_equal(json_u64(j, "i", &u), -1);
	assert_int_equal(json_u64(j, "t", &u), -1);
	assert_int_equal(i, 77);
	assert_int_equal(u, 77);
	assert_int_equal(json_i64(j, "i", &i), 0);
	assert_int_equal(i, -5);
	assert_int_equal(json_u64(j, "u", &u), 0);
	assert_int_equal(u, 7);
	assert_int_equal(json_i64(j, "max", &i), 0);
	assert_int_equal(i, INT64_MAX);
	assert_true(json_bool(j, "t", false));
	assert_false(json_bool(j, "f", true));
	assert_true(json_bool(j, "none", true));
	assert_false(json_bool(j, "i", false));
	assert_true(json_is_null(j, "n"));
	assert_true(json_is_null(j, "none"));
	assert_false(json_is_null(j, "f"));
}

static void arrays_hold_objects_and_strings(void **state)
{
	CLEANUP(json_freep)
	struct json *j = parse("{\"a\":[\"x\",{\"k\":\"v\"},3],\"e\":[],\"o\":{}}");

	(void)state;
	assert_int_equal(json_array_len(j, "a"), 3);
	assert_int_equal(json_array_len(j, "e"), 0);
	assert_int_equal(json_array_len(j, "o"), 0);
	assert_int_equal(json_array_len(j, "none"), 0);
	assert_string_equal(json_array_str(j, "a", 0), "x");
	assert_null(json_array_str(j, "a", 1));
	assert_null(json_array_str(j, "a", 3));
	assert_null(json_array_str(j, "none", 0));
	assert_string_equal(json_str(json_array_obj(j, "a", 1), "k"), "v");
	assert_null(json_array_obj(j, "a", 0));
	assert_null(json_array_obj(j, "a", 9));
}

static void a_missing_parent_has_no_values(void **state)
{
	int64_t i = 0;

	(void)state;
	assert_null(json_str(NULL, "k"));
	assert_null(json_obj(NULL, "k"));
	assert_int_equal(json_i64(NULL, "k", &i), -1);
	assert_int_equal(json_array_len(NULL, "k"), 0);
	assert_null(json_array_obj(NULL, "k", 0));
	json_free(NULL);
}

static void broken_documents_are_corrupt_and_named(void **state)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "[1]", "head.json: not a JSON object" },
		{ "", "head.json: line 1: '[' or '{' expected near end of file" },
		{ "{\"a\":1", "head.json: line 1: '}' expected near end of file" },
		{ "{\"a\":1}x", "head.json: line 1: end of file expected near 'x'" },
		{ "{\n\"a\":1,\n\"a\":2}",
		  "head.json: line 3: duplicate object key near '\"a\"'" },
		{ "{\"a\":\"\\u0000\"}",
		  "head.json: line 1: \\u0000 is not allowed without JSON_ALLOW_NUL" },
		{ "{\"a\":\"\xff\"}",
		  "head.json: line 1: unable to decode byte 0xff near '\"'" },
		{ "{\"a\":9223372036854775808}", "head.json: line 1: too big integer" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		assert_null(
			json_parse(rows[i].text, strlen(rows[i].text), "head.json", &e));
		assert_int_equal(e.code, ERR_CORRUPT);
		/* The library adds what it saw there. */
		if (!text_starts(e.msg, rows[i].msg))
			fail_msg("%s", e.msg);
	}
}

static char *nested(size_t depth)
{
	char *text = mem_alloc(depth * 6 + 3);

	for (size_t i = 0; i < depth; i++)
		memcpy(text + i * 5, "{\"a\":", 5);
	memcpy(text + depth * 5, "1", 1);
	memset(text + depth * 5 + 1, '}', depth);
	return text;
}

static void depth_and_size_have_ceilings(void **state)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *fits = nested(64), *deep = nested(65);
	const size_t large = (1 << 20) + 1;
	AUTO_FREE char *big = mem_alloc(large + 1);

	(void)state;
	json_free(parse(fits));
	assert_null(json_parse(deep, strlen(deep), "x", &e));
	assert_string_equal(e.msg, "x: JSON is nested deeper than 64 levels");
	memset(big, ' ', large);
	memcpy(big, "{}", 2);
	assert_null(json_parse(big, large, "x", &e));
	assert_string_equal(e.msg, "x: JSON of 1048577 bytes is larger than 1048576");
	struct json *j = json_parse(big, large - 1, "x", &e);
	assert_non_null(j);
	json_free(j);
	/* Brackets inside strings are no levels. */
	json_free(parse(
		"{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		"\\\"[[\"}"));
}

static void commas_and_escapes_are_put_by_the_writer(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(2000);
	struct json_out j = { .b = &b };

	(void)state;
	json_open(&j, NULL, '{');
	json_put_str(&j, "s", "q\"b\\n\n\b\f\r\t\x01\x7f");
	json_put_str(&j, "utf", "\xc3\xa9\xff\xe2\x82");
	json_put_str(&j, "none", NULL);
	json_put_i64(&j, "i", INT64_MIN);
	json_put_u64(&j, "u", UINT64_MAX);
	json_put_bool(&j, "t", true);
	json_put_bool(&j, "f", false);
	json_put_null(&j, "n");
	json_put_time(&j, "at", INT64_C(1795230131920));
	json_put_hex(&j, "sum", 0x1f, 16);
	json_open(&j, "a", '[');
	json_put_i64(&j, NULL, 1);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_open(&j, NULL, '[');
	json_close(&j, ']');
	json_put_str(&j, NULL, "x");
	json_close(&j, ']');
	json_put_i64(&j, "last", 0);
	json_close(&j, '}');
	assert_string_equal(
		buf_str(&b),
		"{\"s\":\"q\\\"b\\\\n\\n\\b\\f\\r\\t\\u0001\\u007f\","
		"\"utf\":\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
		"\"none\":null,\"i\":-9223372036854775808,\"u\":18446744073709551615,"
		"\"t\":true,\"f\":false,\"n\":null,\"at\":\"2026-11-21T03:02:11.920Z\","
		"\"sum\":\"000000000000001f\",\"a\":[1,{},[],\"x\"],\"last\":0}");
}

static void pretty_documents_have_two_spaces_a_level(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(2000);
	struct json_out j = { .b = &b, .pretty = true };

	(void)state;
	json_open(&j, NULL, '{');
	json_put_i64(&j, "a", 1);
	json_open(&j, "list", '[');
	json_put_i64(&j, NULL, 1);
	json_put_i64(&j, NULL, 2);
	json_close(&j, ']');
	json_open(&j, "none", '{');
	json_close(&j, '}');
	json_close(&j, '}');
	assert_string_equal(buf_str(&b),
			    "{\n  \"a\": 1,\n  \"list\": [\n    1,\n    2\n  ],\n"
			    "  \"none\": {}\n}");
}

static void one_writer_makes_many_documents(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(2000);
	struct json_out j = { .b = &b };

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_open(&j, NULL, '{');
		json_put_i64(&j, "i", i);
		json_close(&j, '}');
		buf_addc(&b, '\n');
	}
	assert_string_equal(buf_str(&b), "{\"i\":0}\n{\"i\":1}\n");
}

static void what_is_written_can_be_read(void **state)
{
	CLEANUP(buf_free) struct buf b = BUF(2000);
	struct json_out out = { .b = &b, .pretty = true };
	char all[256];

	(void)state;
	for (int i = 0; i < 255; i++)
		all[i] = (char)(i < 127 ? i + 1 : 'x');
	all[255] = 0;
	json_open(&out, NULL, '{');
	json_put_str(&out, all, all);
	json_close(&out, '}');
	CLEANUP(json_freep) struct json *j = parse(buf_str(&b));
	assert_string_equal(json_str(j, all), all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_by_key_and_type),
		cmocka_unit_test(arrays_hold_objects_and_strings),
		cmocka_unit_test(a_missing_parent_has_no_values),
		cmocka_unit_test(broken_documents_are_corrupt_and_named),
		cmocka_unit_test(depth_and_size_have_ceilings),
		cmocka_unit_test(commas_and_escapes_are_put_by_the_writer),
		cmocka_unit_test(pretty_documents_have_two_spaces_a_level),
		cmocka_unit_test(one_writer_makes_many_documents),
		cmocka_unit_test(what_is_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
