/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options as data.
 *
 * One table per command drives parsing, -help, the shell completions and the
 * test that every option is in the manual.  A field is named by its offset
 * in the command's own args struct, so the tables are const and can be listed
 * without running anything.  That struct begins with a struct common_args.
 *
 * The rules are those of Litestream's flags and a little more: one or two
 * dashes are the same, `-name value` and `-name=value`, before or after the
 * operands, `--` ends options, a lone `-` is an operand, booleans are `-name`
 * or `-name=true|false`.  The last one of several wins.
 */
#ifndef CMD_OPTS_H
#define CMD_OPTS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_type {
	OPT_FLAG,   /* bool */
	OPT_STRING, /* const char * (points into argv); an empty value counts as not given */
	OPT_CHOICE,   /* const char *, one of the words of .arg ("none|quick|full") */
	OPT_U64,      /* uint64_t, decimal */
	OPT_DURATION, /* int64_t, milliseconds ("10s") */
	OPT_SIZE,     /* uint64_t, bytes ("16MiB") */
};

struct opt {
	const char *name;   /* "output", used as -output; NULL ends the table */
	char letter;	    /* 'o': -o as well; or 0 */
	enum opt_type type; /* decides the C type behind .offset */
	size_t offset; /* of the field in the args struct; it keeps its value if not given */
	const char *arg;  /* "PATH" in help, the words of a choice; NULL for flags */
	const char *help; /* one line, lower case, no full stop */
};

/* What every command understands; the first member of each args struct. */
struct common_args {
	const char *config;    /* commands with .config */
	bool no_expand_env;    /* commands with .config */
	bool json;	       /* commands with .json */
	bool quiet, verbose;   /* -quiet, -v */
	const char *log_level; /* NULL: as configured */
	char **operands;       /* into argv, in order; NULL ends them */
	int noperands;
};

struct command {
	const char *name;
	int (*run)(int argc,
		   char **argv);	/* argv[0] is the name; returns the exit status */
	const struct opt *opts;		/* NULL: only the common ones */
	const char *operands;		/* for usage: "DB|URL", "" for none */
	const char *help;		/* one line, lower case, no full stop */
	int min_operands, max_operands; /* max -1: any number */
	bool config;			/* takes -config and -no-expand-env */
	bool json;			/* takes -json */
	bool app; /* from the first operand on the words belong to another program */
	bool logs; /* its output is its log: logging.stderr false moves it to standard output */
	bool hidden;
};

/*
 * Fill args from argv[1..argc-1] and gather the operands at the front of argv.
 * Returns 0; 1 when -help (or -h) was asked for, which ends the parsing; -1
 * with ERR_USAGE and a hint.
 */
MUST_CHECK int opts_parse(const struct command *c, int argc, char **argv, void *args,
			  struct err *e);

/* The text of -help. */
void opts_help(const struct command *c, struct buf *out);

/* Every option c takes, its own first, then the common ones: i from 0 until NULL. */
const struct opt *opts_at(const struct command *c, size_t i);

#endif
