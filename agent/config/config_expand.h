/* SPDX-License-Identifier: Apache-2.0 */
/*
 * $NAME and ${NAME} in a configuration file, by Litestream's rules (Go's
 * os.Expand): the whole text, comments too, before it is YAML.
 *
 *	$NAME	the longest run of letters, digits and _; not set: nothing
 *	${NAME}	everything up to the brace is the name
 *	$*, $#, $$, $@, $!, $?, $-, $0..$9	a name of that one character:
 *		nothing, so both characters vanish
 *	${}	nothing; "${" without a closing brace vanishes, the rest stays
 *	$ before anything else, and at the end: stays
 *
 * ${NAME:-default} is a variable of that whole name to Litestream: nothing.
 * In walback's own files the default counts.
 */
#ifndef AGENT_CONFIG_EXPAND_H
#define AGENT_CONFIG_EXPAND_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct expand_note {
	enum expand_what {
		EXPAND_DEFAULT_LOST, /* ${NAME:-default} in a Litestream file */
		EXPAND_VANISHED,     /* $$, $1 ... outside of comments */
		EXPAND_UNSET,	     /* $NAME, ${NAME} of a variable that is not there */
	} what;
	int line;
	char name
		[64]; /* of the variable; "" where it is not in braces (it may be part of a key) */
};

struct expand_options {
	const char *const *env; /* "NAME=value" */
	bool defaults;		/* ${NAME:-default} gives the default */
	void (*note)(void *arg, const struct expand_note *n); /* may be NULL */
	void *arg;
};

/* Append the expanded text to out, whose ceiling bounds it. */
void config_expand(const char *text, size_t n, const struct expand_options *o,
		   struct buf *out);

#endif
