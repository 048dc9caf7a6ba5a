/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share: from words to options, errors as people read them,
 * complete output, tables and the terminal.  Main thread only.
 */
#ifndef CMD_COMMON_H
#define CMD_COMMON_H

#include "agent/config/config.h"
#include "base/buf.h"
#include "base/err.h"
#include "cmd/opts.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Parse the command line into args (which begins with a struct common_args)
 * and set up the log by it.  False when the command is over before it began
 * (-help printed, or a usage error reported): *status is its exit status.
 *
 *	struct args a = { .parallelism = 8 };
 *	int status;
 *
 *	if (!cmd_begin(&cmd_restore, argc, argv, &a, &status))
 *		return status;
 */
MUST_CHECK bool cmd_begin(const struct command *c, int argc, char **argv, void *args,
			  int *status);

/*
 * Report the error on stderr and return the exit status it asks for:
 *
 *	walback: MESSAGE (code=slug)
 *	  next: HINT
 *
 * Control characters from outside are shown as '?', so that a hostile name cannot
 * drive the terminal; a newline in the message starts an indented line.
 */
int cmd_fail(const struct err *e);

/* Write out to stdout, all of it.  Returns 0, or the exit status of the reported error
 * (a full disk, a buffer that overflowed). */
int cmd_print(const struct buf *out);

/*
 * The configuration for the parsed options; the log then follows its logging section.
 * With an operand that is a URL (config_is_url) give it in urls, and db NULL: a URL
 * together with -config is ERR_USAGE.  NULL: *e is set.
 */
MUST_CHECK struct config *cmd_load_config(const struct common_args *a, const char *db,
					  const char *const *urls, size_t nurls,
					  struct err *e);

/*
 * The same without operands, for commands that only read replicas: where the environment
 * names a replica and no database, the one database has the path "".
 */
MUST_CHECK struct config *cmd_load_replicas(const struct common_args *a, struct err *e);

/* For commands that write replicas: every database has one.  ERR_USAGE: nothing of it would be kept. */
MUST_CHECK int cmd_need_replicas(const struct config *c, struct err *e);

/* Level and form of the log: as configured, unless -quiet, -v or -log-level say otherwise. */
void cmd_set_up_log(const struct common_args *a, enum log_level configured, bool json);
/* The same by the configuration's logging section, and where to. */
void cmd_follow_config(const struct common_args *a, const struct config *c);

/* A terminal that wants movement and weight: fd is one, not NO_COLOR, TERM not dumb, not -quiet. */
bool cmd_fancy(int fd, const struct common_args *a);

/*
 * A table as Litestream prints it: columns padded to the widest cell plus two, the last
 * one not, the header always there.  Cells are copied; NULL and "" print as "-"; blanks
 * and control characters print as '?', so that one word is one column.
 */
struct table {
	struct buf cells; /* NUL-terminated, row after row, the header first */
	size_t ncolumns, ncells;
	bool blanks; /* cells keep their blanks (tables that are not for awk) */
};

void table_init(struct table *t, const char *const *columns, size_t ncolumns);
void table_free(struct table *t);
void table_add(struct table *t,
	       const char *cell); /* the next cell; rows fill up by themselves */
void table_addf(struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Append the table to out.  Returns -1 when more was added than fits into memory's ceiling. */
MUST_CHECK int table_format(const struct table *t, struct buf *out, struct err *e);
/* table_format to stdout; returns the exit status. */
int table_print(const struct table *t);

#endif
