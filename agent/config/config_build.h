/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From levels of settings to the configuration in force: precedence,
 * defaults, what a URL says, and the checks that one value cannot have alone.
 * Private to agent/config/config.c.
 */
#ifndef AGENT_CONFIG_BUILD_H
#define AGENT_CONFIG_BUILD_H

#include "agent/config/config.h"
#include "agent/config/config_file.h"

struct builder {
	const struct config_request *r;
	const char *const *env;
	const struct config_file *file; /* NULL: none */
	const char *file_name;		/* for messages; NULL: none */
	bool env_where;			/* the environment may say where things are */
	struct config *c;
};

/* The top level of c. */
MUST_CHECK int build_top(const struct builder *b, struct err *e);

/* What stands for one item of dbs: or replicas:. */
struct build_source {
	const struct setting_values *values; /* NULL: nothing */
	int line;			     /* 0: not from a file */
	const char *url;		     /* a replica's URL from the command line */
	const char *
		path; /* a database from the command line; "": none, whatever the environment says */
};
MUST_CHECK int build_db(const struct builder *b, struct db_config *db,
			const struct build_source *from, struct err *e);
MUST_CHECK int build_replica(const struct builder *b, struct replica_config *out,
			     const struct build_source *from, struct err *e);

/* The environment names a replica (by URL or bucket) or a database. */
MUST_CHECK int build_env_has(const struct builder *b, bool *replica, bool *db,
			     struct err *e);

/* Two databases of one path; two replicas of one name in a database, or of one place. */
MUST_CHECK int build_check_unique(const struct builder *b, struct err *e);

/* The levels that one database's or replica's settings are looked up in. */
struct levels {
	const struct setting_values *own; /* what the file says of it */
	const struct setting_values *url; /* what its URL says */
	const struct setting_values *top;
};

/* Shared by the two halves of the builder. */
const struct setting *build_row(enum setting_scope scope, const char *key);
/* The value of one level, copied; false when it has none (empty text is none, but for a URL's). */
bool build_take(struct setting_value *out, const struct setting_values *level,
		const struct setting *s);
/* The text in force and its origin, by the precedence of agent/config/settings.h. */
MUST_CHECK int build_resolve(const struct builder *b, const struct setting *s,
			     const struct levels *l, struct setting_value *out,
			     struct err *e);
/* Resolve and store every row of the scope but credentials; base is the struct of that scope. */
MUST_CHECK int build_apply_scope(const struct builder *b, enum setting_scope scope,
				 const struct levels *l, void *base,
				 struct setting_values **keep, struct err *e);
/* "FILE:LINE: " or "NAME: " in front of what is wrong.  Returns -1. */
int build_blame(const struct builder *b, const struct setting_value *v, struct err *e);
int build_blame_line(const struct builder *b, const struct build_source *from,
		     struct err *e);
/* Keep what is in force for `walback config`; takes v's text over. */
void build_explain(struct setting_values **keep, const struct builder *b,
		   struct setting_value *v);
/* What a field became in the end, where that is more than the text given. */
void build_explain_final(struct setting_values *keep, const struct setting *s,
			 const char *text);
MUST_CHECK int build_make_absolute(const struct builder *b, char **path, struct err *e);

/* `~` and `~/` are HOME; relative to the working folder; cleaned.  Malloc'd. */
MUST_CHECK char *build_absolute(const char *path, const char *const *env, struct err *e);

#endif
