/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "cmd/cmds.h"
#include "cmd/common.h"
#include "cmd/version.h"

static int run(int argc, char **argv)
{
	CLEANUP(buf_free) struct buf out = BUF(4096);
	struct common_args a = { 0 };
	int status = 0;

	if (!cmd_begin(&cmd_version, argc, argv, &a, &status))
		return status;
	buf_addf(&out, "%s\n", walback_version());
	return cmd_print(&out);
}

const struct command cmd_version = {
	.name = "version",
	.run = run,
	.operands = "",
	.help = "print the version",
};
