/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmds.h"
#include "cmd/opts.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

struct args {
	struct common_args common;
	const char *output, *check;
	uint64_t count, limit;
	int64_t wait_ms;
	bool force;
};

#define AT(f) offsetof(struct args, f)
static const struct opt table[] = {
	{ "output", 'o', OPT_STRING, AT(output), "PATH", "write the database here" },
	{ "integrity-check", 0, OPT_CHOICE, AT(check), "none|quick|full", "how to check" },
	{ "parallelism", 0, OPT_U64, AT(count), "N", "so many at once" },
	{ "limit", 0, OPT_SIZE, AT(limit), "SIZE", "no more than this" },
	{ "wait", 0, OPT_DURATION, AT(wait_ms), "TIME", "wait so long" },
	{ "force", 'f', OPT_FLAG, AT(force), NULL, "replace an existing file" },
	{ 0 },
};
static const struct command cmd = {
	.name = "restore",
	.opts = table,
	.operands = "DB|URL",
	.help = "rebuild a database",
	.min_operands = 1,
	.max_operands = 2,
	.config = true,
};

/* The words of a line, parsed; argv lives in *words. */
static int parse(const struct command *c, const char *line, char *words, struct args *a,
		 struct err *e)
{
	char *argv[16] = { NULL };
	int argc = 1;
	char *save = NULL;

	snprintf(words, 256, "%s", line);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	static char *kept[16];

	memcpy(kept, argv, sizeof(argv));
	return opts_parse(c, argc, kept, a, e);
}

static void values_land_in_the_struct_wherever_they_stand(void **state)
{
	static const char *const lines[] = {
		"-o x.db -parallelism 42 -f -limit 16MiB -wait 1m30s -integrity-check full "
		"app.db",
		"app.db --output x.db --parallelism=42 --force --limit=16MiB --wait=1m30s "
		"--integrity-check=full",
		"-o=x.db -parallelism=7 app.db -parallelism=42 -f=true -limit 16777216 "
		"-wait 90s "
		"-integrity-check full -v -config c.yml",
		"-f=false -force -output y -output x.db --parallelism 42 --limit 16MiB "
		"-wait 90000ms "
		"-integrity-check=full -- app.db",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct args a = { 0 };
		struct err e = ERR_INIT;
		char words[256];

		assert_int_equal(parse(&cmd, lines[i], words, &a, &e), 0);
		assert_string_equal(a.output, "x.db");
		assert_string_equal(a.check, "full");
		assert_int_equal(a.count, 42);
		assert_int_equal(a.limit, 16 << 20);
		assert_int_equal(a.wait_ms, 90000);
		assert_true(a.force);
		assert_int_equal(a.common.noperands, 1);
		assert_string_equal(a.common.operands[0], "app.db");
		assert_null(a.common.operands[1]);
	}
}

static void bad_input_says_which_option_and_what_to_do(void **state)
{
	static const struct {
		const char *line, *msg, *hint;
	} cases[] = {
		{ "x --forse", "restore: unknown option --forse (did you mean --force?)",
		  "walback restore -help" },
		{ "x -confg=a", "restore: unknown option -confg (did you mean -config?)",
		  "walback restore -help" },
		{ "x --zzz", "restore: unknown option --zzz", "walback restore -help" },
		{ "x -json", "restore: unknown option -json", "walback restore -help" },
		{ "x -fo", "restore: unknown option -fo", "walback restore -help" },
		{ "x --parallelism=4x", "-parallelism: not a number: '4x'",
		  "walback restore -help" },
		{ "x --parallelism=-1", "-parallelism: not a number: '-1'",
		  "walback restore -help" },
		{ "x -wait 5", "-wait: not a duration: '5'",
		  "for instance 500ms, 10s, 1h30m, 7d" },
		{ "x -limit many", "-limit: not a size: 'many'",
		  "for instance 4096, 16MiB, 2GB" },
		{ "x -o", "-output: needs a value (PATH)", "walback restore -help" },
		{ "x -force=perhaps", "-force: neither true nor false: 'perhaps'",
		  "walback restore -help" },
		{ "x -integrity-check qu", "-integrity-check: unknown value: 'qu'",
		  "one of none|quick|full" },
		{ "", "restore: missing argument: DB|URL", "walback restore -help" },
		{ "a b c", "restore: too many arguments: 'c'", "walback restore -help" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct args a = { 0 };
		struct err e = ERR_INIT;
		char words[256];

		assert_int_equal(parse(&cmd, cases[i].line, words, &a, &e), -1);
		assert_int_equal(e.code, ERR_USAGE);
		assert_string_equal(e.msg, cases[i].msg);
		assert_string_equal(e.hint, cases[i].hint);
	}
}

static void an_empty_value_counts_as_not_given(void **state)
{
	struct args a = { 0 };
	struct err e = ERR_INIT;
	char words[256];

	(void)state;
	assert_int_equal(parse(&cmd, "-output= x", words, &a, &e), 0);
	assert_null(a.output);
}

static void words_after_the_app_belong_to_it(void **state)
{
	static const struct command app = { .name = "run",
					    .operands = "[--] APP [ARG...]",
					    .help = "",
					    .max_operands = -1,
					    .app = true };
	static const char *const lines[] = { "-v app -v --help -- x",
					     "-v -- app -v --help -- x" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct args a = { 0 };
		struct err e = ERR_INIT;
		char words[256];

		assert_int_equal(parse(&app, lines[i], words, &a, &e), 0);
		assert_true(a.common.verbose);
		assert_int_equal(a.common.noperands, 5);
		assert_null(a.common.operands[5]);
		assert_string_equal(a.common.operands[0], "app");
		assert_string_equal(a.common.operands[1], "-v");
		assert_string_equal(a.common.operands[3], "--");
		assert_null(a.common.operands[5]);
	}
}

static void help_is_asked_for_in_four_ways_and_lists_every_option(void **state)
{
	static const char *const lines[] = { "-h", "-help", "--help", "--h -nonsense" };
	struct buf out = BUF(1 << 16);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct args a = { 0 };
		struct err e = ERR_INIT;
		char words[256];

		assert_int_equal(parse(&cmd, lines[i], words, &a, &e), 1);
	}
	opts_help(&cmd, &out);
	assert_true(buf_ok(&out));
	assert_non_null(strstr((char *)out.p, "usage: walback restore [option...] DB|URL\n"
					      "rebuild a database\n"));
	assert_non_null(strstr((char *)out.p,
			       "\n  -output, -o PATH\n        write the database here\n"));
	assert_non_null(strstr((char *)out.p, "\n  -config PATH\n"));
	assert_non_null(strstr((char *)out.p, "\n  -v\n"));
	assert_null(strstr((char *)out.p, "-json"));
	buf_free(&out);
}

static void every_command_of_the_table_is_complete(void **state)
{
	(void)state;
	for (size_t i = 0; cmds[i]; i++) {
		const struct opt *o;
		bool verbose = false; /* as entry points give it to each of them */

		assert_ptr_equal(cmds_find(cmds[i]->name), cmds[i]);
		assert_non_null(cmds[i]->run);
		assert_non_null(cmds[i]->operands);
		assert_non_null(cmds[i]->help);
		for (size_t k = 0; (o = opts_at(cmds[i], k)); k++) {
			verbose = verbose || strcmp(o->name, "v") == 0;
			assert_non_null(o->help);
			assert_int_equal(o->type == OPT_FLAG, o->arg == NULL);
			/* No option hides another of the same name or letter. */
			for (size_t m = 0; m < k; m++) {
				assert_string_not_equal(opts_at(cmds[i], m)->name, o->name);
				if (o->letter)
					assert_int_not_equal(opts_at(cmds[i], m)->letter,
							     o->letter);
			}
		}
		assert_true(verbose);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_land_in_the_struct_wherever_they_stand),
		cmocka_unit_test(bad_input_says_which_option_and_what_to_do),
		cmocka_unit_test(an_empty_value_counts_as_not_given),
		cmocka_unit_test(words_after_the_app_belong_to_it),
		cmocka_unit_test(help_is_asked_for_in_four_ways_and_lists_every_option),
		cmocka_unit_test(every_command_of_the_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
