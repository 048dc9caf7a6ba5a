/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this program asks a fresh process of itself, because the asking process has
 * SQLite connections, whose locks any other descriptor's close would drop, or
 * because a damaged file must not take it along.  One JSON line on stdout.
 */
#include "agent/run/history.h"
#include "agent/swap/dbcheck.h"
#include "agent/swap/inuse.h"
#include "cmd/cmds.h"
#include "cmd/common.h"

static int inuse(int argc, char **argv)
{
	struct common_args a = { 0 };
	int status;

	return cmd_begin(&cmd_internal_inuse, argc, argv, &a, &status)
		       ? inuse_main(a.operands[0])
		       : status;
}

static int dbcheck(int argc, char **argv)
{
	struct common_args a = { 0 };
	int status;

	return cmd_begin(&cmd_internal_dbcheck, argc, argv, &a, &status)
		       ? dbcheck_main(a.operands[0], a.operands[1], a.operands[2])
		       : status;
}

static int dbsum(int argc, char **argv)
{
	struct common_args a = { 0 };
	int status;

	return cmd_begin(&cmd_internal_dbsum, argc, argv, &a, &status)
		       ? history_sum_main(a.operands[0])
		       : status;
}

const struct command cmd_internal_inuse = {
	.name = "internal-inuse",
	.run = inuse,
	.operands = "DB",
	.help = "does another process have the database open",
	.min_operands = 1,
	.max_operands = 1,
	.hidden = true,
};

const struct command cmd_internal_dbcheck = {
	.name = "internal-dbcheck",
	.run = dbcheck,
	.operands = "DB MODE TIMEOUT_MS",
	.help = "what is at the database's path",
	.min_operands = 3,
	.max_operands = 3,
	.hidden = true,
};

const struct command cmd_internal_dbsum = {
	.name = "internal-dbsum",
	.run = dbsum,
	.operands = "DB",
	.help = "the sum of the database's pages",
	.min_operands = 1,
	.max_operands = 1,
	.hidden = true,
};
