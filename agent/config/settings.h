/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every setting as a row of one const table: its key in the file, the
 * environment variables that stand for it, its default and what it means.
 * The table drives reading the file, the environment, `walback config`, the
 * list of known keys and the check of the manual.
 *
 * Precedence: flag, then a WALBACK_ variable, then the file, then the other
 * variables (Litestream's and AWS's names), then the default.  Settings that
 * say where a database and its replica are (SETTING_WHERE) come from the
 * environment only when no file and no URL says it: a container's
 * variables for one bucket must not redirect what a file says of another.
 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum setting_scope {
	SCOPE_TOP,
	SCOPE_LOGGING,	 /* logging: */
	SCOPE_SNAPSHOT,	 /* snapshot: {interval, retention} of Litestream 0.5 */
	SCOPE_RETENTION, /* retention: {enabled, check-interval} */
	SCOPE_DB,	 /* an item of dbs: */
	SCOPE_REPLICA,	 /* an item of replicas:, or replica: */
};

enum setting_type {
	SETTING_STRING,	  /* char * */
	SETTING_BOOL,	  /* bool */
	SETTING_DURATION, /* int64_t, milliseconds, not negative */
	SETTING_SIZE,	  /* uint64_t, bytes */
	SETTING_COUNT,	  /* uint32_t */
	SETTING_LEVEL,	  /* enum log_level */
	SETTING_JSON,	  /* bool: text or json */
	SETTING_COMPRESSION,
	SETTING_SECRET, /* struct secret */

	/* Not stored by the table: */
	SETTING_PART,  /* a map, a list or a word that its own code reads */
	SETTING_ALIAS, /* another name of .fallback (a key of SCOPE_TOP or SCOPE_REPLICA) */
	SETTING_NOTE,  /* Litestream's, not needed here */
	SETTING_REFUSE, /* Litestream's, not possible here: .help is the remedy */
};

enum setting_flags {
	SETTING_INHERIT = 1, /* may also stand at the top, for every database or replica */
	SETTING_WHERE = 2,   /* says where things are */
	SETTING_KEYS = 4,    /* credentials: read from the environment as a pair */
};

struct setting {
	const char *key;
	enum setting_scope scope;
	enum setting_type type;
	size_t offset; /* in struct config, db_config or replica_config, by scope */
	unsigned flags;
	const char *env;      /* names, separated by blanks, or NULL */
	const char *fallback; /* the default as text, NULL for none */
	const char *help;
};

enum setting_origin {
	ORIGIN_DEFAULT,
	ORIGIN_ENV,  /* .env, maybe its _FILE form */
	ORIGIN_FILE, /* .line */
	ORIGIN_URL,  /* read from the replica's URL */
	ORIGIN_FLAG, /* an option or operand */
};

/* What one setting of one database or replica is, and why. */
struct setting_value {
	const struct setting *s;
	char *text; /* NULL: not set */
	enum setting_origin origin;
	const char *env; /* a word of the table */
	bool env_file;	 /* from NAME_FILE */
	int line;
};

extern const struct setting settings[]; /* a row without a key ends it */
enum { SETTINGS_MAX = 112 };

/* What a level of the file (the top, a database, a replica) or a URL sets. */
struct setting_values {
	struct setting_value *v;
	size_t n;
};
void setting_value_free(struct setting_value *v); /* wipes the text */
void setting_values_free(struct setting_values *l);
/* The value of that row, or NULL. */
const struct setting_value *setting_values_get(const struct setting_values *l,
					       const struct setting *s);
/* Take v (and its text) over, in the place of an earlier value of that row. */
void setting_values_put(struct setting_values *l, struct setting_value v);

/* The row of a key that may stand in this scope, or NULL. */
const struct setting *setting_find(enum setting_scope scope, const char *key);
/* A known key that looks like this one, or NULL. */
const char *setting_nearest(enum setting_scope scope, const char *key);
const char *setting_scope_name(enum setting_scope scope); /* "dbs.replicas" */

/*
 * Convert the text into the field of base (a struct of the row's scope).  Empty text is
 * the default.  ERR_USAGE without a place: "sync-interval: not a duration: '1 x'".
 * A bare number as a duration means nanoseconds, as in Litestream: *bare is set.
 */
MUST_CHECK int setting_store(const struct setting *s, const char *text, void *base,
			     bool *bare, struct err *e);

/* The value of NAME in "NAME=value" strings; NULL when absent or empty. */
const char *env_get(const char *const *env, const char *name);

enum env_names { ENV_OWN, ENV_OTHER }; /* WALBACK_..., all others */
/* The first name of the row that is set; NAME_FILE names a file that holds the value.
 * out->text stays NULL when none is.  ERR_USAGE when both forms are set or the file
 * cannot be read. */
MUST_CHECK int setting_from_env(const struct setting *s, const char *const *env,
				enum env_names which, struct setting_value *out,
				struct err *e);
/* One name, in both forms. */
MUST_CHECK int setting_env_name(const char *const *env, const char *name,
				struct setting_value *out, struct err *e);

/* Where the value came from, for people: "default", "LITESTREAM_BUCKET", "/etc/x.yml:7". */
void setting_origin_format(const struct setting_value *v, const char *file, char out[512]);

#endif
