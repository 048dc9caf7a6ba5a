/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/ini.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char FILE_TEXT[] = "\xef\xbb\xbf# the machine's\r\n"
				"aws_access_key_id = outside\r\n"
				"[default]\r\n"
				"aws_access_key_id=AKIDDEFAULT\r\n"
				"AWS_Secret_Access_Key =  a/b+c= \r\n"
				"\r\n"
				"; another\n"
				"[ profile   \"two words\" ] # why not\n"
				"  region = eu-west-1\n"
				"  s3 =\n"
				"    addressing_style = path\n"
				"  role_arn = arn:x # a comment\n"
				"  hash = a#b;c ;d\n"
				"  empty =\n"
				"not a key\n"
				"= nameless\n"
				"  region = eu-west-2\n"
				"[broken\n"
				"aws_access_key_id = lost\n"
				"[default]\n"
				"region = us-east-2";

static void is(const char *section, const char *key, const char *want)
{
	struct ini_value v;
	bool found = ini_get(FILE_TEXT, sizeof(FILE_TEXT) - 1, section, key, &v);

	if (found != (want != NULL))
		fail_msg("%s %s: %s", section, key, found ? "there" : "not there");
	if (want && (v.n != strlen(want) || memcmp(v.p, want, v.n) != 0))
		fail_msg("%s %s: %.*s", section, key, (int)v.n, v.p);
}

static void values_by_section_and_key(void **state)
{
	(void)state;
	is("default", "aws_access_key_id", "AKIDDEFAULT");
	is("default", "aws_secret_access_key", "a/b+c=");
	is("default", "region", "us-east-2");
	is("default", "aws_session_token", NULL);
	is("profile two words", "region", "eu-west-2");
	is("profile two words", "role_arn", "arn:x");
	is("profile two words", "hash", "a#b;c");
	is("profile two words", "empty", "");
	is("profile two words", "s3", "");
	is("profile two words", "addressing_style", NULL);
	is("profile two words", "not a key", NULL);
	is("two words", "region", NULL);
	is("broken", "aws_access_key_id", NULL);
	is("Default", "region", NULL);
	is("default", "", NULL);
}

static void sections(void **state)
{
	static const char text[] = "[a]\n[b]\nx=1\n[c";

	(void)state;
	assert_true(ini_has(text, strlen(text), "a"));
	assert_true(ini_has(text, strlen(text), "b"));
	assert_false(ini_has(text, strlen(text), "c"));
	assert_false(ini_has(text, strlen(text), ""));
	assert_false(ini_has(text, 0, "a"));
	assert_false(ini_has(NULL, 0, "a"));
	assert_true(ini_has("[]", 2, ""));
}

/* Any cut of a file is a file. */
static void a_text_may_end_anywhere(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(FILE_TEXT); n++) {
		char *cut = test_malloc(n + 1);
		struct ini_value v;

		memcpy(cut, FILE_TEXT, n);
		if (ini_get(cut, n, "default", "aws_access_key_id", &v))
			assert_true(v.p >= cut && v.p + v.n <= cut + n);
		test_free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_by_section_and_key),
		cmocka_unit_test(sections),
		cmocka_unit_test(a_text_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
