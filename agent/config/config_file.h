/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file as levels of settings: what it says, line by line,
 * before the environment and the defaults.  Unknown keys, notes and broken
 * variables are warnings on the log (errors with strict); what cannot work is
 * an error with file and line.
 */
#ifndef AGENT_CONFIG_FILE_H
#define AGENT_CONFIG_FILE_H

#include "agent/config/settings.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct file_replica {
	struct setting_values values;
	int line;
};

struct file_db {
	struct setting_values values;
	int line;
	struct file_replica *replicas;
	size_t nreplicas;
};

struct config_file {
	char *path;
	struct setting_values top;
	struct file_db *dbs;
	size_t ndbs;
};

struct config_file_options {
	const char *const *env; /* for $NAME */
	bool no_expand_env;
	bool own;    /* walback's own file: ${NAME:-default} gives the default */
	bool strict; /* warnings about keys are errors */
	bool quiet;  /* no warnings */
};

MUST_CHECK struct config_file *config_file_read(const char *path,
						const struct config_file_options *o,
						struct err *e);
/* The same from memory; name stands for the file in messages. */
MUST_CHECK struct config_file *config_file_parse(const char *text, size_t n,
						 const char *name,
						 const struct config_file_options *o,
						 struct err *e);
void config_file_free(struct config_file *f); /* NULL is fine */
void config_file_freep(struct config_file **f);

#endif
