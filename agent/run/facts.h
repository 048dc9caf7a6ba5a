/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gather the facts of a start: the file is checked by a child while every
 * replica is asked in a thread of its own, so that a start waits for the
 * slowest answer and not for the sum of them.
 */
#ifndef AGENT_FACTS_H
#define AGENT_FACTS_H

#include "agent/config/config.h"
#include "agent/restore/restore.h"
#include "agent/run/startup.h"
#include "agent/swap/dbcheck.h"
#include "base/err.h"
#include "base/stop.h"

#include <stdbool.h>
#include <stdint.h>

struct facts_request {
	const struct db_config *db; /* its path resolved, see boot_run */
	enum sq_check_mode check;
	int64_t check_timeout_ms;
	int64_t store_wait_ms; /* a store that does not answer within counts as unreachable */
	const struct stop *stop;
};

/* How the facts are got; tests put their own here. */
struct facts_ops {
	int (*check)(const char *db_path, enum sq_check_mode mode, int64_t timeout_ms,
		     struct dbcheck *out, struct err *e);
	int (*restore)(const struct restore_request *r, struct restore_report *report,
		       struct err *e);
	/* Does the local file continue what the replica's head names?  1, 0 (why), -1. */
	int (*same_history)(const struct db_config *db, const struct replica_config *rc,
			    int64_t store_wait_ms, char why[240], struct err *e);
};
extern const struct facts_ops facts_real_ops; /* agent/run/facts_real.c */

struct replica_facts {
	const struct replica_config *rc;
	struct backup_fact fact;
	char generation[17]; /* BACKUP_EXISTS */
	struct err e;	     /* what it said otherwise */
	bool have_provable;  /* BACKUP_DAMAGED: some moment of it can be proven */
};

struct facts {
	struct dbcheck file;
	struct replica_facts *replicas;
	size_t nreplicas;
	enum backup_state backup;
	size_t chosen; /* the replica that speaks for all: startup_merge */
	enum history history;
	char differs[240]; /* HISTORY_FOREIGN: why */
};

/* -1: the file's check could not be made, or stopped (ERR_CANCELED).  Free in every case. */
MUST_CHECK int facts_gather(const struct facts_request *r, const struct facts_ops *ops,
			    struct facts *out, struct err *e);
void facts_free(struct facts *f);

/* startup_merge of what the replicas said. */
enum backup_state facts_merge(const struct facts *f, size_t *chosen);

/* The state that a dry run's end stands for. */
enum backup_state facts_backup_of(int rc, const struct err *e);

#endif
