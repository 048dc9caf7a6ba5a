/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which generation comes next, and making it: the lineage record, and head.json, which
 * names the current one (docs/format.md, "Lineage record" and "Head").
 *
 * Every start begins a generation.  It continues the history that head names when the
 * local state says so and the store holds nothing newer of another writer, or when
 * the database is, by its db_sum, what the newest object of that generation left;
 * then head moves to it.  Otherwise it lies aside (reason "diverged") and head stays.
 */
#ifndef AGENT_LINEAGE_H
#define AGENT_LINEAGE_H

#include "agent/config/config.h"
#include "agent/replicate/state.h"
#include "agent/store/records.h"
#include "agent/store/store.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct lineage_facts {
	uint32_t page_size;
	uint64_t db_sum;
	const char *db_name; /* file name, for people */
	const char *version;
	enum compression compression;
	uint64_t session;
	bool have_state;
	struct state state;
	bool adopt_local; /* another history moves head too: the person at the keyboard said so */
};

struct lineage_plan {
	struct lineage record;
	struct head head;	   /* as it will be written */
	char etag[STORE_ETAG_MAX]; /* of the head it replaces; "": there is none */
	bool move_head;
	char differs[240]; /* why it is not the same history; "" if it is */
	bool kept_lz4;	   /* compression auto chose lz4 for what is there already */
};

/* Read the store and decide.  Errors are the store's. */
MUST_CHECK int lineage_decide(struct store *s, const struct lineage_facts *f,
			      int64_t now_ms, struct lineage_plan *out, struct err *e);
/* Only the question: is this database of the history that head names?  1 yes (or there is no
 * backup at all: *none), 0 no (why, 240 bytes), -1. */
MUST_CHECK int lineage_same_history(struct store *s, const struct lineage_facts *f,
				    bool *none, char why[240], struct err *e);

MUST_CHECK int lineage_write_record(struct store *s, const struct lineage_plan *p,
				    struct err *e);
/* Move head (if it is to move), by If-Match of what was read.  ERR_EXISTS (slug head_moved): somebody else has
 * written it since.  May be repeated. */
MUST_CHECK int lineage_write_head(struct store *s, struct lineage_plan *p, int64_t now_ms,
				  struct err *e);
/* A clean end: released_at.  Nothing if head was not moved by this plan. */
MUST_CHECK int lineage_release(struct store *s, struct lineage_plan *p, int64_t now_ms,
			       struct err *e);

#endif
