/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of agent/restore: one replica's attempt. */
#ifndef AGENT_RESTORE_INT_H
#define AGENT_RESTORE_INT_H

#include "agent/restore/restore.h"
#include "agent/restore/restore_chain.h"
#include "agent/restore/restore_place.h"
#include "agent/store/store.h"

struct restoring {
	const struct restore_request *request;
	struct restore_report *report;
	struct place place;
	struct progress progress;
	struct buf warnings, notes;
};

struct replica_at_hand {
	const struct replica_config *config;
	struct store *store;
	struct catalog *catalog;
	const struct cat_generation *gen;
	int64_t newest_ms; /* of its newest transaction, as far as known */
	struct err err;	   /* code 0: usable */
};

/* Restore the request's target from r->gen into the place's file, proven and checked.  ERR_NOT_FOUND without an
 * exit status: the store changed meanwhile, list again. */
MUST_CHECK int restore_generation(struct restoring *x, const struct replica_at_hand *r,
				  struct err *e);

/* What is known of a snapshot: 1; 0 when it is unusable (why in *e); -1 the store failed.  exact: by its
 * trailer, not only by its name. */
MUST_CHECK int restore_know_snapshot(const struct replica_at_hand *r,
				     const struct cat_generation *g,
				     const struct cat_object *o, bool exact,
				     struct plan_snapshot *out, struct err *e);

/* "the newest moment", "2026-...Z", "the end of index 0000001f", "position ..." */
void restore_target_text(const struct plan_target *t, char out[64]);

/* The message, slug, hint and exit status 13 for a chain that is not proven to the target. */
int restore_explain(const struct replica_at_hand *r, const struct plan_target *t,
		    const struct chain_result *res, const struct err *why, struct err *e);

#endif
