/* SPDX-License-Identifier: Apache-2.0 */
/* Environment expansion, and YAML as a tree. */
#include "agent/config/config_expand.h"
#include "agent/config/config_yaml.h"
#include "base/buf.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char *const env[] = { "A=one", "B=", "A_1=two", "LONG=x y", NULL };

static void variables_expand_by_litestreams_rules(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "$A", "one" },
		{ "${A}", "one" },
		{ "$A_1$A", "twoone" },
		{ "$A-x", "one-x" },
		{ "$B|$NONE|${NONE}|", "|||" },
		{ "a$$b", "ab" },
		{ "$1x$9", "x" },
		{ "$*$#$@$!$?$-", "" },
		{ "$12", "2" },
		{ "${}x", "x" },
		{ "${A", "A" },
		{ "x${", "x" },
		{ "${A B}", "" },
		{ "50% $ off", "50% $ off" },
		{ "$(A) $", "$(A) $" },
		{ "\\$A", "\\one" },
		{ "# $A in a comment", "# one in a comment" },
		{ "$\n$A", "$\none" },
		{ "${A:-d}|${NONE:-d}", "|" },
		{ "$LONG", "x y" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF(1 << 16);
		const struct expand_options o = { .env = env };

		config_expand(cases[i].text, strlen(cases[i].text), &o, &out);
		assert_int_equal(out.len, strlen(cases[i].want));
		assert_memory_equal(out.len ? (char *)out.p : "", cases[i].want, out.len);
		buf_free(&out);
	}
}

static void defaults_count_where_they_are_asked_for(void **state)
{
	static const char *const cases[][2] = {
		{ "${A:-d}", "one" }, { "${NONE:-d e/f}", "d e/f" },
		{ "${B:-d}", "d" },   { "${NONE:-}x", "x" },
		{ "${:-d}", "" },     { "${NONE-d}", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF(1 << 16);
		const struct expand_options o = { .env = env, .defaults = true };

		config_expand(cases[i][0], strlen(cases[i][0]), &o, &out);
		assert_int_equal(out.len, strlen(cases[i][1]));
		assert_memory_equal(out.len ? (char *)out.p : "", cases[i][1], out.len);
		buf_free(&out);
	}
}

static void remember(void *arg, const struct expand_note *n)
{
	char *out = arg;
	size_t len = strlen(out);

	snprintf(out + len, 256 - len, "%d:%d:%s;", n->line, (int)n->what, n->name);
}

static void what_vanishes_is_noted_with_its_line_but_not_in_comments(void **state)
{
	static const char text[] = "a: 1\n# ${X:-y} $$\nb: ${PATH_X:-/data}\nc: pa$$w#$1\n"
				   "d: ${NOWHERE} $nowhere # ${NOWHERE}\n";
	char notes[256] = "";
	const struct expand_options o = { .env = env, .note = remember, .arg = notes };
	struct buf out = BUF(1 << 16);

	(void)state;
	config_expand(text, strlen(text), &o, &out);
	assert_string_equal(notes, "3:0:PATH_X;4:1:;4:1:;5:2:NOWHERE;5:2:;");
	buf_free(&out);
}

static void expansion_stops_at_the_ceiling(void **state)
{
	struct buf out = BUF(8);
	const struct expand_options o = { .env = env };

	(void)state;
	config_expand("$A$A$A$A", 8, &o, &out);
	assert_false(buf_ok(&out));
	buf_free(&out);
}

/* A tree in one line. */
static void print(const struct yaml *y, struct buf *out)
{
	if (y->kind == YAML_TEXT) {
		buf_addf(out, "%s", y->null ? "null" : y->text);
		return;
	}
	buf_addf(out, "%c", y->kind == YAML_LIST ? '[' : '{');
	for (size_t i = 0; i < y->n; i++) {
		if (i)
			buf_addf(out, ",");
		if (y->kind == YAML_MAP)
			buf_addf(out,
				 "%s@%d:", y->items[i].key ? y->items[i].key->text : "?",
				 y->items[i].value->line);
		print(y->items[i].value, out);
	}
	buf_addf(out, "%c", y->kind == YAML_LIST ? ']' : '}');
}

static void yaml_becomes_a_tree_with_lines(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "-" },
		{ "# only a comment\n", "-" },
		{ "---\na: 1\n", "{a@2:1}" },
		{ "a: ~\nb: 'null'\nc: null\nd:\n",
		  "{a@1:null,b@2:null,c@3:null,d@4:null}" },
		{ "dbs:\n - path: /a\n   replicas:\n    - url: x\n",
		  "{dbs@2:[{path@2:/a,replicas@4:[{url@4:x}]}]}" },
		{ "a: &x {k: v}\nb: *x\n", "{a@1:{k@1:v},b@1:{k@1:v}}" },
		{ "? [1]\n: x\n", "{?@2:x}" },
		{ "a: 1\n---\nb: 2\n", "{a@1:1}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct buf out = BUF(1 << 16);
		struct yaml_doc *d =
			yaml_parse(cases[i].text, strlen(cases[i].text), "f", &e);

		assert_non_null(d);
		if (yaml_root(d))
			print(yaml_root(d), &out);
		else
			buf_addf(&out, "-");
		assert_string_equal((char *)out.p, cases[i].want);
		assert_int_equal(yaml_second_document(d), i == 7 ? 2 : 0);
		yaml_doc_free(d);
		buf_free(&out);
	}
}

static void null_is_plain_not_quoted(void **state)
{
	struct err e = ERR_INIT;
	struct yaml_doc *d = yaml_parse("[~, '~', '']", 12, "f", &e);

	(void)state;
	assert_non_null(d);
	assert_true(yaml_root(d)->items[0].value->null);
	assert_false(yaml_root(d)->items[1].value->null);
	assert_false(yaml_root(d)->items[2].value->null);
	yaml_doc_free(d);
}

static void bad_yaml_names_file_and_line(void **state)
{
	static const struct {
		const char *text, *msg;
	} cases[] = {
		{ "a: [1\n", "f:2: not YAML: did not find expected ',' or ']'" },
		{ "a: 1\n b: 2\n",
		  "f:2: not YAML: mapping values are not allowed in this context" },
		{ "a: *nope\n", "f:1: unknown anchor 'nope'" },
		{ "a: &x [*x]\n", "f:1: the anchor 'x' contains itself" },
		{ "a: \xff\n", "f: not UTF-8 text at byte 3" },
		{ "\"a\\0b\"", "f:1: a zero byte in a value" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;

		assert_null(yaml_parse(cases[i].text, strlen(cases[i].text), "f", &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, cases[i].msg);
	}
}

static void a_billion_laughs_and_deep_nests_are_refused(void **state)
{
	static const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
				     "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				     "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
				     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
				     "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
				     "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
				     "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
	char deep[200];
	struct err e = ERR_INIT;

	(void)state;
	assert_null(yaml_parse(laughs, strlen(laughs), "f", &e));
	assert_string_equal(e.msg, "f:6: more than 1000000 values");
	memset(deep, '[', sizeof(deep));
	assert_null(yaml_parse(deep, sizeof(deep), "f", &e));
	assert_string_equal(e.msg, "f:1: nested deeper than 32 levels");
}

static void a_nest_of_aliases_is_as_deep_as_what_it_stands_for(void **state)
{
	char text[4096] = "a0: &a0 [x]\n";
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 1; i < 40; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	}
	assert_null(yaml_parse(text, strlen(text), "f", &e));
	assert_string_equal(e.msg, "f:31: nested deeper than 32 levels");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_expand_by_litestreams_rules),
		cmocka_unit_test(defaults_count_where_they_are_asked_for),
		cmocka_unit_test(what_vanishes_is_noted_with_its_line_but_not_in_comments),
		cmocka_unit_test(expansion_stops_at_the_ceiling),
		cmocka_unit_test(yaml_becomes_a_tree_with_lines),
		cmocka_unit_test(null_is_plain_not_quoted),
		cmocka_unit_test(bad_yaml_names_file_and_line),
		cmocka_unit_test(a_billion_laughs_and_deep_nests_are_refused),
		cmocka_unit_test(a_nest_of_aliases_is_as_deep_as_what_it_stands_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
