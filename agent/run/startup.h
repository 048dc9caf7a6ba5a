/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `run` does with a database before the app may have it: a pure function
 * of facts.  Nothing is inferred from a failure: a store that did not answer
 * is not an empty one, a file that cannot be read is not a damaged one.
 */
#ifndef AGENT_STARTUP_H
#define AGENT_STARTUP_H

#include "agent/swap/dbcheck.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum backup_state {
	BACKUP_EXISTS, /* with a provable chain to its newest state */
	BACKUP_NONE,   /* the store answered and listed nothing */
	BACKUP_DAMAGED, /* something is there, without a provable chain, or not readable yet */
	BACKUP_UNREACHABLE, /* no answer */
	BACKUP_DENIED,	    /* refused: bad credentials, no permission, no such bucket */
	BACKUP_AMBIGUOUS,   /* two histories claim to be the current one */
};

enum history {
	HISTORY_NOT_ASKED,
	HISTORY_SAME,	 /* the local file continues what the store has */
	HISTORY_FOREIGN, /* it does not */
};

enum offline_policy { OFFLINE_OK, OFFLINE_START_EMPTY, OFFLINE_STOP };
enum adopt_policy { ADOPT_NONE, ADOPT_LOCAL, ADOPT_REPLICA };

struct startup_facts {
	enum db_state file;
	enum backup_state backup;
	enum history history; /* asked for an intact file whose backup exists */
};

struct startup_options {
	bool require_backup, accept_loss, replace_unreadable;
	enum offline_policy offline;
	enum adopt_policy adopt;
};

enum startup_action {
	STARTUP_STOP,
	STARTUP_REPLICATE,
	STARTUP_EMPTY,	       /* nothing there, nothing to restore: the app makes it */
	STARTUP_RESTORE,       /* what is there, if anything, goes to quarantine */
	STARTUP_RESTORE_OLDER, /* the newest provable moment */
	STARTUP_ADOPT_LOCAL,   /* replicate; the local file becomes the store's head */
	STARTUP_ADOPT_REPLICA, /* restore; the healthy local file is kept as "replaced" */
};

struct startup_decision {
	enum startup_action action;
	int exit;	    /* STARTUP_STOP: the status to end with */
	const char *slug;   /* STARTUP_STOP: for code= */
	const char *reason; /* STOP and warnings: a clause about the database, else NULL */
	const char *remedy; /* STOP: what to do next */
	bool warn; /* the reason is to be logged as a warning although it goes on */
};

void startup_decide(struct startup_decision *out, const struct startup_facts *f,
		    const struct startup_options *o);

/* What one replica said. */
struct backup_fact {
	enum backup_state state;
	int64_t time_ms; /* BACKUP_EXISTS: of the last commit */
};

/*
 * Several replicas as one: EXISTS if any exists (*chosen: the newest last commit, equal: the first in
 * order); else UNREACHABLE if any is, DENIED if any is; else AMBIGUOUS; else DAMAGED; NONE only if all
 * said so.  *chosen is otherwise the first replica with the state returned.
 */
enum backup_state startup_merge(const struct backup_fact *f, size_t n, size_t *chosen);

const char *backup_state_name(enum backup_state s);
const char *startup_action_name(enum startup_action a);

#endif
