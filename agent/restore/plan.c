/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/plan.h"

#include "agent/exit.h"
#include "base/text.h"

#include <string.h>

static bool has_objects(const struct cat_generation *g)
{
	return g->nsnapshots + g->nsegments > 0;
}

/* ---- which generation ---- */

static int no_backup(const struct catalog *c, struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "no backup found: the replica holds no generation");
	if (c->others)
		err_hint(e, "%llu objects below generations/ have names that no backup has",
			 (unsigned long long)c->others);
	else if (c->below[0])
		err_hint(e,
			 "check the replica's path: there are folders in it (%s), and "
			 "the backup may be in one of them",
			 c->below);
	else
		err_hint(e, "check the replica's path; `walback generations` lists it");
	err_slug(e, "no_backup");
	return err_exit(e, EXIT_NO_BACKUP);
}

static int only_ltx(const struct catalog *c, struct err *e)
{
	err_set(e, ERR_CORRUPT,
		"the replica holds %llu LTX files of Litestream 0.5, which walback cannot "
		"read yet",
		(unsigned long long)c->ltx_files);
	err_hint(e, "restore them with `litestream restore` of version 0.5");
	err_slug(e, "ltx_only");
	return err_exit(e, EXIT_DAMAGED);
}

static int no_snapshot(const char *generation, struct err *e)
{
	err_set(e, ERR_CORRUPT,
		"generation %s has no snapshot: nothing can be restored from it",
		generation);
	err_hint(e, "`walback generations` lists what else there is");
	err_slug(e, "no_snapshot");
	return err_exit(e, EXIT_DAMAGED);
}

static int before_everything(int64_t first_ms, struct err *e)
{
	char first[25];

	text_format_time_ms(first_ms, first);
	err_set(e, ERR_NOT_FOUND, "no backup that old: the first moment is %s", first);
	err_hint(e, "-timestamp %s", first);
	err_slug(e, "before_first");
	return err_exit(e, EXIT_NO_BACKUP);
}

static const struct cat_generation *named(const struct catalog *c, const char *id,
					  struct err *e)
{
	const struct cat_generation *g = catalog_find(c, id);

	if (!g || !has_objects(g)) {
		err_set(e, ERR_NOT_FOUND, "no backup found: there is no generation %s", id);
		err_hint(e, "`walback generations` lists the %zu there are", c->ngens);
		err_slug(e, "no_generation");
		err_exit(e, EXIT_NO_BACKUP);
		return NULL;
	}
	if (g->nsnapshots == 0) {
		no_snapshot(id, e);
		return NULL;
	}
	return g;
}

/* Litestream wrote after the writer that head names: someone must choose. */
static int refuse_stale_head(const struct catalog *c, const struct cat_generation *g,
			     struct err *e)
{
	for (size_t i = c->ngens; i-- > 0;) {
		const struct cat_generation *o = &c->gens[i];
		char theirs[25], ours[25];

		if (o->has_record || o->nsnapshots == 0 || o->last_ms <= g->last_ms)
			continue;
		text_format_time_ms(o->last_ms, theirs);
		text_format_time_ms(g->last_ms, ours);
		err_set(e, ERR_EXISTS,
			"head.json names generation %s (newest object %s), but "
			"Litestream's "
			"generation %s is newer (%s)",
			g->id, ours, o->id, theirs);
		err_hint(e, "choose with -generation %s or -generation %s", o->id, g->id);
		err_slug(e, "stale_head");
		return err_exit(e, EXIT_DIFFER);
	}
	return 0;
}

static int refuse_newer_ltx(const struct catalog *c, const struct cat_generation *g,
			    const struct plan_target *t, struct err *e)
{
	char theirs[25], ours[25];

	if (c->ltx_files == 0 || c->ltx_last_ms <= g->last_ms ||
	    (t->kind == PLAN_TIME && t->time_ms <= g->last_ms))
		return 0;
	text_format_time_ms(c->ltx_last_ms, theirs);
	text_format_time_ms(g->last_ms, ours);
	err_set(e, ERR_EXISTS,
		"the replica holds LTX files of Litestream 0.5 from %s, which walback "
		"cannot "
		"read yet and which are newer than generation %s (%s)",
		theirs, g->id, ours);
	err_hint(e, "-generation %s restores the older state all the same", g->id);
	err_slug(e, "newer_ltx");
	return err_exit(e, EXIT_DIFFER);
}

/* From the one that head names through its parents: a parent rules until its child was made. */
static const struct cat_generation *ruling(const struct catalog *c,
					   const struct cat_generation *g, int64_t time_ms)
{
	for (size_t hops = 0; hops < c->ngens; hops++) {
		const struct cat_generation *parent;

		if (!g->record || time_ms >= g->record->created_at_ms ||
		    !g->record->has_parent)
			break;
		parent = catalog_find(c, g->record->parent.generation);
		if (!parent || parent->nsnapshots == 0)
			break;
		g = parent;
	}
	return g;
}

static const struct cat_generation *by_head(const struct catalog *c,
					    const struct plan_target *t, struct err *e)
{
	const struct cat_generation *g;

	if (c->head_error) {
		err_set(e, ERR_CORRUPT, "which generation is current cannot be told: %s",
			c->head_error);
		err_hint(e,
			 "choose one with -generation; `walback generations` lists them");
		err_slug(e, "bad_head");
		err_exit(e, EXIT_DAMAGED);
		return NULL;
	}
	g = catalog_find(c, c->head.generation);
	if (!g || g->nsnapshots == 0) {
		err_set(e, ERR_CORRUPT, "head.json names generation %s, which has no %s",
			c->head.generation, g && has_objects(g) ? "snapshot" : "objects");
		err_hint(e, "choose another one with -generation; `walback generations` "
			    "lists them");
		err_slug(e, "no_snapshot");
		err_exit(e, EXIT_DAMAGED);
		return NULL;
	}
	if (refuse_stale_head(c, g, e) < 0)
		return NULL;
	return t->kind == PLAN_TIME ? ruling(c, g, t->time_ms) : g;
}

/* The newest object not later than time_ms, if a snapshot is among them; else INT64_MIN. */
static int64_t newest_until(const struct cat_generation *g, int64_t time_ms)
{
	int64_t newest = INT64_MIN;

	for (size_t i = 0; i < g->nsnapshots; i++)
		if (g->snapshots[i].mtime_ms <= time_ms &&
		    g->snapshots[i].mtime_ms > newest)
			newest = g->snapshots[i].mtime_ms;
	if (newest == INT64_MIN)
		return newest;
	for (size_t i = 0; i < g->nsegments; i++)
		if (g->segments[i].mtime_ms <= time_ms && g->segments[i].mtime_ms > newest)
			newest = g->segments[i].mtime_ms;
	return newest;
}

static const struct cat_generation *by_store_time(const struct catalog *c, int64_t time_ms,
						  struct err *e)
{
	const struct cat_generation *best = NULL;
	int64_t best_ms = INT64_MIN, first_ms = INT64_MAX;

	for (size_t i = 0; i < c->ngens; i++) {
		const struct cat_generation *g = &c->gens[i];
		int64_t ms = newest_until(g, time_ms);

		if (ms != INT64_MIN && ms >= best_ms) {
			best_ms = ms;
			best = g;
		}
		for (size_t k = 0; k < g->nsnapshots; k++)
			if (g->snapshots[k].mtime_ms < first_ms)
				first_ms = g->snapshots[k].mtime_ms;
	}
	if (!best)
		before_everything(first_ms, e);
	return best;
}

static const struct cat_generation *newest_usable(const struct catalog *c,
						  struct buf *notes)
{
	for (size_t i = c->ngens; i-- > 0;) {
		const struct cat_generation *g = &c->gens[i];

		if (g->nsnapshots > 0)
			return g;
		if (notes && g->nsegments > 0)
			buf_addf(
				notes,
				"generation %s is newer but has no snapshot: passed over\n",
				g->id);
	}
	return NULL;
}

const struct cat_generation *plan_generation(const struct catalog *c,
					     const struct plan_target *t, struct buf *notes,
					     struct err *e)
{
	const struct cat_generation *g, *newest = newest_usable(c, NULL);
	size_t n = 0;

	if (t->generation[0])
		return named(c, t->generation, e);
	for (size_t i = 0; i < c->ngens; i++)
		n += has_objects(&c->gens[i]);
	if (n == 0 && !c->has_head) {
		if (c->ltx_files)
			only_ltx(c, e);
		else
			no_backup(c, e);
		return NULL;
	}
	if (c->has_head) {
		g = by_head(c, t, e);
	} else if (!newest) {
		no_snapshot(c->gens[c->ngens - 1].id, e);
		return NULL;
	} else if (t->kind == PLAN_TIME) {
		g = by_store_time(c, t->time_ms, e);
	} else {
		g = newest_usable(c, notes);
	}
	if (!g || refuse_newer_ltx(c, g, t, e) < 0)
		return NULL;
	return g;
}

/* ---- which snapshot ---- */

bool plan_snapshot_listed(const struct cat_generation *g, const struct cat_object *snapshot,
			  const struct plan_target *t)
{
	switch (t->kind) {
	case PLAN_LATEST:
		return true;
	case PLAN_TIME:
		return g->has_record || snapshot->mtime_ms <= t->time_ms;
	case PLAN_INDEX:
		/* One that begins the next index may be the very end of this one. */
		return snapshot->pos.index <= t->index ||
		       (g->has_record && snapshot->pos.index - 1 == t->index);
	case PLAN_POSITION:
		return snapshot->pos.index <= t->pos.index;
	}
	return false;
}

bool plan_snapshot_serves(const struct plan_snapshot *s, const struct plan_target *t)
{
	struct wal_pos next = { .index = t->index + 1 };

	switch (t->kind) {
	case PLAN_LATEST:
		return true;
	case PLAN_TIME:
		return s->time_ms <= t->time_ms;
	case PLAN_INDEX:
		return wal_pos_cmp(s->valid, next) <= 0;
	case PLAN_POSITION:
		return wal_pos_cmp(s->valid, t->pos) <= 0;
	}
	return false;
}

/* ---- the chain ---- */

/* The first segment at or after pos. */
static size_t lower_bound(const struct cat_generation *g, struct wal_pos pos)
{
	size_t lo = 0, hi = g->nsegments;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (wal_pos_cmp(g->segments[mid].pos, pos) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Segments that begin at or after the target, or are later by the store's time, are not of it. */
static bool wanted(const struct cat_generation *g, const struct cat_object *s,
		   const struct plan_target *t)
{
	switch (t->kind) {
	case PLAN_LATEST:
		return true;
	case PLAN_TIME:
		return g->has_record || s->mtime_ms <= t->time_ms;
	case PLAN_INDEX:
		return s->pos.index <= t->index;
	case PLAN_POSITION:
		return wal_pos_cmp(s->pos, t->pos) < 0;
	}
	return false;
}

static bool at_pos(const struct cat_generation *g, size_t i, struct wal_pos pos)
{
	return i < g->nsegments && wal_pos_cmp(g->segments[i].pos, pos) == 0;
}

/* Where a chain that is to be replayed from `replay` starts reading. */
static size_t chain_first(const struct cat_generation *g, struct wal_pos replay)
{
	struct wal_pos start = { .index = replay.index };
	struct wal_pos next = { .index = replay.index + 1 };
	size_t i = lower_bound(g, replay), k;

	if (replay.offset == 0 || at_pos(g, i, replay))
		return i;
	/* Nothing begins there: a compacted object from the index's start covers it, or the index ends there. */
	k = lower_bound(g, start);
	if (at_pos(g, k, start) && !at_pos(g, i, next))
		return k;
	return i;
}

static void hole_at(struct plan *p, struct wal_pos at)
{
	p->hole = true;
	p->at = at;
}

/* Litestream's snapshot of an index whose WAL is not there: the snapshot is all there is, unless the
 * WAL that is there ends before it and is newer. */
static void check_lonely(struct plan *p)
{
	const struct cat_generation *g = p->gen;
	const struct cat_object *last;
	int64_t newest = INT64_MIN;

	if (p->first == 0)
		return;
	last = &g->segments[p->first - 1];
	for (size_t i = 0; i < p->first; i++)
		if (g->segments[i].mtime_ms > newest)
			newest = g->segments[i].mtime_ms;
	if (last->pos.index + 1 < p->snapshot->pos.index && p->snapshot->mtime_ms <= newest)
		hole_at(p, (struct wal_pos){ .index = last->pos.index + 1 });
}

static bool follows(struct wal_pos last, struct wal_pos s, struct wal_pos *missing)
{
	if (s.index == last.index || (s.index == last.index + 1 && s.offset == 0))
		return true;
	*missing = (struct wal_pos){ .index = last.index + 1 };
	return false;
}

/* The chain's first object: at the replay position, covering it, or right after an index that ends there. */
static bool begins_well(const struct cat_object *s, struct wal_pos replay)
{
	if (s->pos.index == replay.index)
		return s->pos.offset == 0 || s->pos.offset == replay.offset;
	return replay.offset > 0 && s->pos.index == replay.index + 1 && s->pos.offset == 0;
}

void plan_chain(struct plan *out, const struct cat_generation *g,
		const struct cat_object *snapshot, struct wal_pos replay,
		const struct plan_target *t)
{
	size_t first = chain_first(g, replay);
	struct wal_pos at;

	*out = (struct plan){
		.gen = g, .snapshot = snapshot, .first = first, .end = first
	};
	if (first < g->nsegments && wanted(g, &g->segments[first], t) &&
	    !begins_well(&g->segments[first], replay)) {
		hole_at(out, replay);
		return;
	}
	for (; out->end < g->nsegments; out->end++) {
		const struct cat_object *s = &g->segments[out->end];

		if (!wanted(g, s, t))
			break;
		if (out->end == first)
			continue;
		if (wal_pos_cmp(s->pos, s[-1].pos) == 0) {
			out->twin = s;
			out->end--;
			hole_at(out, s->pos);
			return;
		}
		if (!follows(s[-1].pos, s->pos, &at)) {
			hole_at(out, at);
			return;
		}
	}
	if (out->end == first && !g->has_record)
		check_lonely(out);
}
