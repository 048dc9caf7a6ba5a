/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "cmd/cmds.h"
#include "cmd/common.h"
#include "cmd/complete.h"

#include <string.h>

static int run(int argc, char **argv)
{
	CLEANUP(buf_free) struct buf out = BUF(1 << 20);
	struct common_args a = { 0 };
	struct err e = ERR_INIT;
	int status = 0;

	if (!cmd_begin(&cmd_completion, argc, argv, &a, &status))
		return status;
	if (!strcmp(a.operands[0], "bash")) {
		complete_bash(&out);
	} else if (!strcmp(a.operands[0], "list")) {
		/* Not a shell: what scripts/dev/check-docs.sh compares with the manual. */
		complete_list(&out);
	} else {
		err_set(&e, ERR_USAGE, "no completion for '%s'", a.operands[0]);
		err_hint(&e, "walback completion bash");
		return cmd_fail(&e);
	}
	return cmd_print(&out);
}

const struct command cmd_completion = {
	.name = "completion",
	.run = run,
	.operands = "bash",
	.help = "print a shell's completion script",
	.min_operands = 1,
	.max_operands = 1,
};
