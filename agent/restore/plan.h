/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is in a replica and what is wanted to the objects to read: which
 * generation, which snapshots may serve (newest first), and the chain of
 * segments from one of them, up to the target or to the first hole that a
 * listing can show.  Pure.
 *
 * docs/protocol.md, "What a target means".
 */
#ifndef AGENT_PLAN_H
#define AGENT_PLAN_H

#include "agent/store/catalog.h"
#include "base/err.h"
#include "wal/pos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_kind {
	PLAN_LATEST,
	PLAN_TIME,     /* the last transaction not later than time_ms */
	PLAN_INDEX,    /* the end of that stored index */
	PLAN_POSITION, /* the transaction that ends there */
};

struct plan_target {
	enum plan_kind kind;
	int64_t time_ms;
	uint32_t index;
	struct wal_pos pos;
	char generation[17]; /* "": the one that is, or at that time was, current */
};

/* What is known of a snapshot: from its trailer, or for Litestream's from its name and the store. */
struct plan_snapshot {
	struct wal_pos replay; /* where the chain begins */
	struct wal_pos valid;  /* the earliest target it serves */
	int64_t time_ms; /* of the last commit in it; Litestream's: the store's time */
};

struct plan {
	const struct cat_generation *gen;
	const struct cat_object *snapshot;
	size_t first, end; /* the chain: gen->segments[first..end) */
	bool hole;	   /* the listing shows that nothing contiguous follows at `at` */
	struct wal_pos at;
	const struct cat_object *
		twin; /* hole because two objects claim the position: this one and segments[end] */
};

/*
 * The generation that the target means.  e->exit: 10 nothing there, or all of it is later than the target (the message names the
 * first moment); 13 what is there has no usable snapshot, is not readable yet
 * (Litestream 0.5's), or head names a generation that is not there; 16 head is stale.  notes (or NULL) gets lines about
 * generations passed over.  For PLAN_TIME the lineage records must have been loaded.
 */
MUST_CHECK const struct cat_generation *plan_generation(const struct catalog *c,
							const struct plan_target *t,
							struct buf *notes, struct err *e);

/* Can a snapshot serve the target, as far as its name and the store's time tell?  Snapshots of a generation with records need their
 * trailer for a certain answer (plan_snapshot_serves). */
bool plan_snapshot_listed(const struct cat_generation *g, const struct cat_object *snapshot,
			  const struct plan_target *t);
bool plan_snapshot_serves(const struct plan_snapshot *s, const struct plan_target *t);

/* The chain from a snapshot of g for t. */
void plan_chain(struct plan *out, const struct cat_generation *g,
		const struct cat_object *snapshot, struct wal_pos replay,
		const struct plan_target *t);

#endif
