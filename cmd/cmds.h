/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands.  A command lives in cmd/cmd_<name>.c, which exports
 * `const struct command cmd_<name>`; to add one, declare it here and name it in
 * cmd/cmds.c.
 */
#ifndef CMD_CMDS_H
#define CMD_CMDS_H

#include "cmd/opts.h"

extern const struct command cmd_completion;
extern const struct command cmd_config;
extern const struct command cmd_databases;
extern const struct command cmd_generations;
extern const struct command cmd_internal_dbcheck;
extern const struct command cmd_internal_dbsum;
extern const struct command cmd_internal_inuse;
extern const struct command cmd_internal_start;
extern const struct command cmd_replicate;
extern const struct command cmd_restore;
extern const struct command cmd_run;
extern const struct command cmd_snapshots;
extern const struct command cmd_version;
extern const struct command cmd_wal;

/* In the order of the help text; NULL ends it. */
extern const struct command *const cmds[];

const struct command *cmds_find(const char *name); /* NULL: none of that name */

/* The text of `walback help`. */
void cmds_help(struct buf *out);

/* What the program does with its command line; returns the exit status. */
int cmds_main(int argc, char **argv);

#endif
