/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmds.h"

#include "agent/exit.h"
#include "base/cleanup.h"
#include "base/nearest.h"
#include "cmd/common.h"

#include <string.h>

/* clang-format off */
const struct command *const cmds[] = {
	&cmd_run,
	&cmd_replicate,
	&cmd_restore,
	&cmd_generations,
	&cmd_snapshots,
	&cmd_wal,
	&cmd_databases,
	&cmd_config,
	&cmd_completion,
	&cmd_version,
	&cmd_internal_start,
	&cmd_internal_dbcheck,
	&cmd_internal_dbsum,
	&cmd_internal_inuse,
	NULL,
};
/* clang-format on */

const struct command *cmds_find(const char *name)
{
	for (size_t i = 0; cmds[i]; i++)
		if (!strcmp(cmds[i]->name, name))
			return cmds[i];
	return NULL;
}

void cmds_help(struct buf *out)
{
	buf_addf(out, "walback keeps SQLite databases safe in S3-compatible storage\n\n"
		      "usage: walback COMMAND [option...] [operand...]\n\ncommands:\n");
	for (size_t i = 0; cmds[i]; i++)
		if (!cmds[i]->hidden)
			buf_addf(out, "  %-12s %s\n", cmds[i]->name, cmds[i]->help);
	buf_addf(out, "  %-12s %s\n\nwalback COMMAND -help lists a command's options\n",
		 "help", "print this text, or a command's");
}

static int unknown_command(const char *name)
{
	struct err e = ERR_INIT;
	const char *names[64];
	size_t n = 0;
	const char *near;

	for (; n < sizeof(names) / sizeof(names[0]) && cmds[n]; n++)
		names[n] = cmds[n]->hidden ? NULL : cmds[n]->name;
	near = nearest_word(name, names, n);
	err_set(&e, ERR_USAGE, "unknown command '%s'%s%s%s", name,
		near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
	err_hint(&e, "walback help");
	return cmd_fail(&e);
}

static int help(const char *name)
{
	CLEANUP(buf_free) struct buf out = BUF(64 << 10);
	const struct command *c = name ? cmds_find(name) : NULL;

	if (name && !c)
		return unknown_command(name);
	if (c)
		opts_help(c, &out);
	else
		cmds_help(&out);
	return cmd_print(&out);
}

static bool asks_for_help(const char *word)
{
	return !strcmp(word, "-h") || !strcmp(word, "-help") || !strcmp(word, "--help");
}

int cmds_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct command *c;
	int status;

	if (!name) {
		status = help(NULL);
		return status ? status : EXIT_USAGE;
	}
	if (!strcmp(name, "help") || asks_for_help(name))
		return help(argc > 2 && !asks_for_help(argv[2]) ? argv[2] : NULL);
	if (!strcmp(name, "-version") || !strcmp(name, "--version"))
		name = "version";
	c = cmds_find(name);
	return c ? c->run(argc - 1, argv + 1) : unknown_command(name);
}
