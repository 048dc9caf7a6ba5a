/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmds.h"
#include "cmd/complete.h"
#include "tests/unit/unit.h"

#include <string.h>

static void the_script_completes_commands_options_and_choices(void **state)
{
	struct buf out = BUF(1 << 20);
	const char *text;

	(void)state;
	complete_bash(&out);
	assert_true(buf_ok(&out));
	text = (const char *)out.p;
	assert_non_null(strstr(text, "version help\" -- \"$cur\")"));
	assert_non_null(
		strstr(text, "\n\tconfig)\n\t\topts=\"-strict -config -no-expand-env -json "
			     "-quiet -q -v -log-level -help -h\"\n"));
	assert_non_null(strstr(text, "\t\t-config | --config) kind=files ;;\n"));
	assert_non_null(strstr(
		text, "\t\t-log-level | --log-level) words=\"debug info warn error\"; "
		      "kind=words ;;\n"));
	buf_free(&out);
}

static void the_list_names_commands_options_keys_and_variables(void **state)
{
	static const char *const want[] = {
		"command config\n",	      "option config strict\n",
		"option version log-level\n", "key - dbs\n",
		"key logging level\n",	      "key dbs path\n",
		"key dbs.replicas url\n",     "env LITESTREAM_BUCKET\n",
		"env WALBACK_COMPRESSION\n",  "env WALBACK_CONFIG\n",
	};
	struct buf out = BUF(1 << 20);

	(void)state;
	complete_list(&out);
	assert_true(buf_ok(&out));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_non_null(strstr((const char *)out.p, want[i]));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_script_completes_commands_options_and_choices),
		cmocka_unit_test(the_list_names_commands_options_keys_and_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
