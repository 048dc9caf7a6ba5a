/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a replica: its generations with their snapshots and segments,
 * sorted, from a LIST; head.json; and, on demand, the lineage records.
 * Const after loading.
 */
#ifndef AGENT_CATALOG_H
#define AGENT_CATALOG_H

#include "agent/store/layout.h"
#include "agent/store/records.h"
#include "agent/store/store.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A snapshot or a segment. */
struct cat_object {
	struct wal_pos pos; /* a snapshot: offset 0 */
	uint64_t size;
	int64_t mtime_ms;
	uint64_t session;
	enum codec codec;
	bool has_session;
	uint8_t offset_digits;
};

struct cat_generation {
	char id[17];
	bool has_record;	/* generation.json is there: every object has a trailer */
	struct lineage *record; /* NULL: none, not loaded, or unreadable */
	char *record_error;	/* why it is unreadable, or NULL */
	struct cat_object *snapshots; /* by index */
	size_t nsnapshots;
	struct cat_object *segments; /* by index, offset, name */
	size_t nsegments;
	size_t snapshots_cap, segments_cap;
	int64_t first_ms, last_ms; /* the store's times of those; nothing there: both 0 */
	uint64_t bytes;		   /* stored */
};

struct catalog {
	struct cat_generation *gens; /* by last_ms, then id */
	size_t ngens, gens_cap;
	bool has_head;	  /* head.json is there */
	char *head_error; /* it is unreadable: why; NULL: head holds it */
	struct head head;
	char head_etag[STORE_ETAG_MAX];
	uint64_t ltx_files; /* Litestream 0.5's */
	int64_t ltx_last_ms;
	uint64_t others; /* objects below generations/ whose names are nobody's */
	char below
		[96]; /* "a/ b/": a few folders beside which a backup would lie; "" none, or not looked at */
};

enum catalog_want {
	CATALOG_RECORDS = 1, /* read every lineage record */
	CATALOG_LTX = 2, /* look for Litestream 0.5's files also when head.json is there */
};

/* Reads head.json, lists generations/, and what `want` (of enum catalog_want) adds; from a distant store all
 * at once.  An empty replica is an empty catalog.  Errors are the store's (a missing bucket: NOT_FOUND),
 * of several the head's first, then the list's. */
MUST_CHECK struct catalog *catalog_load(struct store *s, unsigned want, struct err *e);
/* Read the lineage records that are not read yet. */
MUST_CHECK int catalog_load_records(struct catalog *c, struct store *s, struct err *e);
void catalog_free(struct catalog *c);
void catalog_freep(struct catalog **c);

/* NULL: none of that id. */
const struct cat_generation *catalog_find(const struct catalog *c, const char *id);

/* The key of an object of g. */
void catalog_key(const struct cat_generation *g, const struct cat_object *o, bool snapshot,
		 char out[LAYOUT_KEY_MAX]);

/* Building one by hand (catalog_load does, and the tests of what is pure): add what a LIST says, then sort. */
struct catalog *catalog_new(void);
void catalog_add(struct catalog *c, const char *key, uint64_t size, int64_t mtime_ms);
void catalog_sort(struct catalog *c);

/* The trailer of one object by ranged GETs of its tail: 1, 0 if it has none, -1.  Free with trailer_free. */
struct trailer;
MUST_CHECK int catalog_trailer(struct store *s, const char *key, uint64_t size,
			       struct trailer *out, struct err *e);

#endif
