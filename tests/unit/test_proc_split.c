/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/proc.h"
#include "tests/unit/unit.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_WORDS 8

static void words_are_quoted_as_in_a_shell(void **state)
{
	static const struct {
		const char *cmd;
		const char *words[MAX_WORDS];
	} rows[] = {
		{ "app", { "app" } },
		{ "  app\t--port 80 \n", { "app", "--port", "80" } },
		{ "a 'b c' \"d e\" f\\ g", { "a", "b c", "d e", "f g" } },
		{ "a''b\"\"c 'd'e\"f\"", { "abc", "def" } },
		{ "a '' \"\"", { "a", "", "" } },
		{ "a 'it'\\''s'", { "a", "it's" } },
		{ "a '\\n$x\"`;|'", { "a", "\\n$x\"`;|" } },
		{ "a \"\\$x \\`y\\` \\\"q\\\" \\\\ \\n '\"",
		  { "a", "$x `y` \"q\" \\ \\n '" } },
		{ "a \"x\\\ny\" p\\\nq", { "a", "xy", "pq" } },
		{ "a \\\n  b \\\n", { "a", "b" } },
		{ "a \\; \\& \\| \\< \\> \\( \\) \\`", /* escaped, so only characters */
		  { "a", ";", "&", "|", "<", ">", "(", ")" } },
		{ "a \";&|<>()`\"", { "a", ";&|<>()`" } },
		/* no expansion of any kind */
		{ "a $HOME ${x} ~ * ? [a] {b,c}",
		  { "a", "$HOME", "${x}", "~", "*", "?", "[a]", "{b,c}" } },
		{ "a #b !c", { "a", "#b", "!c" } },
		{ "a $\"b\" $", { "a", "$b", "$" } },
		{ "a=1 b", { "a=1", "b" } },
		/* what printf %q writes */
		{ "a $'x\\ny\\tz'", { "a", "x\ny\tz" } },
		{ "a $'it\\'s' $'\\\\'", { "a", "it's", "\\" } },
		{ "a $'\\a\\b\\e\\E\\f\\n\\r\\t\\v\\\"\\?'",
		  { "a", "\a\b\033\033\f\n\r\t\v\"?" } },
		{ "a $'\\303\\251\\x41\\x4a\\x4B1\\7\\1018'", { "a", "\303\251AJK1\aA8" } },
		{ "a x$'\\''y", { "a", "x'y" } },
		{ "a \\$'b'", { "a", "$b" } },
		{ "a caf\xc3\xa9 \xff", { "a", "caf\xc3\xa9", "\xff" } },
		{ "/bin/sh -c 'sleep 1; exec \"$@\"' -- x",
		  { "/bin/sh", "-c", "sleep 1; exec \"$@\"", "--", "x" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		char **argv = proc_split(rows[i].cmd, &e);
		size_t n = 0;

		if (!argv)
			fail_msg("%s: %s", rows[i].cmd, e.msg);
		for (; n < MAX_WORDS && rows[i].words[n]; n++) {
			assert_non_null(argv[n]);
			assert_string_equal(argv[n], rows[i].words[n]);
		}
		if (n < MAX_WORDS)
			assert_null(argv[n]);
		proc_free_argv(argv);
	}
}

static void what_a_shell_would_have_to_do_is_refused(void **state)
{
	static const struct {
		const char *cmd, *msg, *hint;
	} rows[] = {
		{ "", "the command is empty", "" },
		{ " \t\n", "the command is empty", "" },
		{ "\\\n", "the command is empty", "" },
		{ "'' a", "the command is empty", "" },
		{ "a 'b", "a ' is not closed", "" },
		{ "a \"b", "a \" is not closed", "" },
		{ "a \"b\\\"", "a \" is not closed", "" },
		{ "a \"b\\", "a \" is not closed", "" },
		{ "a $'b", "a $' is not closed", "" },
		{ "a $'b\\'", "a $' is not closed", "" },
		{ "a $'b\\", "unknown escape in $'...'", "" },
		{ "a $'\\u00e9'", "unknown escape in $'...'", "" },
		{ "a $'\\xg'", "\\x without digits in $'...'", "" },
		{ "a $'\\0'", "a NUL byte in $'...'", "" },
		{ "a $'b\\x00c' d", "a NUL byte in $'...'", "" },
		{ "a $'\\400'", "a NUL byte in $'...'", "" },
		{ "a b\\", "a backslash at the end", "" },
		{ "a; b", "; needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a & b", "& needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a|b", "| needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a <b", "< needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a 2>b", "> needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "(a)", "( needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a)", ") needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a `b`", "` needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
		{ "a $(b)", "( needs a shell, and none is started",
		  "quote it, or use sh -c '...'" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		assert_null(proc_split(rows[i].cmd, &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, rows[i].msg);
		assert_string_equal(e.hint, rows[i].hint);
	}
}

static void many_words_fit(void **state)
{
	CLEANUP(buf_free) struct buf cmd = BUF(100000);
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_addf(&cmd, "w%d ", i);
	char **argv = proc_split(buf_str(&cmd), &e);
	assert_non_null(argv);
	assert_string_equal(argv[4999], "w4999");
	assert_null(argv[5000]);
	proc_free_argv(argv);
	proc_free_argv(NULL);
}

/* bash's own printf %q writes the quoting, when there is a bash. */
static void what_bash_quotes_is_read_back(void **state)
{
	CLEANUP(buf_free) struct buf out = BUF(10000);
	struct err e = ERR_INIT;
	char all[256];
	int status = -1;

	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = 0;
	const char *const texts[] = { all,	 "", "it's", "a b\tc\nd", "$x `y` \"z\" \\",
				      "\xc3\xa9" };
	const char *const argv[] = { "bash",   "-c",	 "printf 'x '; printf '%q ' \"$@\"",
				     "bash",   texts[0], texts[1],
				     texts[2], texts[3], texts[4],
				     texts[5], NULL };

	if (proc_run(argv, 20000, &out, &status, &e)) {
		assert_int_equal(e.exit, 127);
		skip();
	}
	char **words = proc_split(buf_str(&out), &e);

	if (!words)
		fail_msg("%s in %s", e.msg, buf_str(&out));
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_string_equal(words[i + 1], texts[i]);
	assert_null(words[COUNT(texts) + 1]);
	proc_free_argv(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_quoted_as_in_a_shell),
		cmocka_unit_test(what_a_shell_would_have_to_do_is_refused),
		cmocka_unit_test(many_words_fit),
		cmocka_unit_test(what_bash_quotes_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
