/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"
#include "agent/restore/restore_int.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "wal/codec.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

/* A writer's clock and the store's are not further apart than this, or a restore reads more than it must. */
#define CLOCK_SKEW_MS (24LL * 3600 * 1000)

/* No store holds more for one database: a list that says so does not tell the truth, and the pieces to
 * fetch would not fit into memory. */
#define CHAIN_BYTES_MAX (UINT64_C(8) << 40)

/* What went wrong with the first snapshot tried, for the error in case no other serves. */
struct verdict {
	bool any;
	enum chain_damage last; /* of the newest attempt */
	struct chain_result res;
	struct err why;
};

static void remember(struct verdict *v, const struct chain_result *res,
		     const struct err *why)
{
	v->last = res->damage;
	/* The one that came furthest says the most. */
	if (v->any && (v->res.have_state || !res->have_state))
		return;
	v->any = true;
	v->res = *res;
	v->why = *why;
}

/* ---- the plan, without reading ---- */

static void count_plan(struct restoring *x, const struct plan *p)
{
	struct restore_report *rep = x->report;

	memcpy(rep->generation, p->gen->id, sizeof(rep->generation));
	rep->snapshot_index = p->snapshot->pos.index;
	rep->snapshot_bytes = rep->stored_bytes = p->snapshot->size;
	rep->objects = 1 + p->end - p->first;
	for (size_t i = p->first; i < p->end; i++)
		rep->stored_bytes += p->gen->segments[i].size;
}

/* How far the listed chain goes: its last object's own word, or the store's time. */
static void listed_end(const struct replica_at_hand *r, const struct plan *p,
		       const struct plan_snapshot *s, struct chain_result *out)
{
	const struct cat_generation *g = p->gen;
	const struct cat_object *o = p->end > p->first ? &g->segments[p->end - 1] : NULL;
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };
	char key[LAYOUT_KEY_MAX];
	struct err le = ERR_INIT;

	out->have_state = true;
	out->time_is_stored = !g->has_record;
	out->end = s->valid;
	out->time_ms = s->time_ms;
	if (!o)
		return;
	out->end = o->pos;
	out->time_ms = o->mtime_ms;
	if (!g->has_record)
		return;
	catalog_key(g, o, false, key);
	out->time_is_stored = true;
	if (catalog_trailer(r->store, key, o->size, &t, &le) == 1) {
		out->end = trailer_end(&t);
		out->time_ms = t.time_ms;
		out->time_is_stored = false;
	}
}

/* A hole that the list shows ends the matter before anything is fetched, unless the target may lie before it. */
static int refuse_hole(const struct replica_at_hand *r, const struct plan *p,
		       const struct plan_target *t, const struct plan_snapshot *s,
		       struct verdict *v)
{
	struct chain_result res = { .damage = CHAIN_GAP, .damage_at = p->at };
	struct err why = ERR_INIT;

	if (!p->hole || t->kind == PLAN_TIME)
		return 0;
	if (p->twin) {
		char a[LAYOUT_KEY_MAX], b[LAYOUT_KEY_MAX];

		catalog_key(p->gen, &p->gen->segments[p->end], false, a);
		catalog_key(p->gen, p->twin, false, b);
		err_set(&why, ERR_CORRUPT, "two objects claim one place: %s and %s", a, b);
		err_slug(&why, "two_writers");
	} else {
		err_set(&why, ERR_CORRUPT, "WAL %08x is missing from 0x%llx on",
			p->at.index, (unsigned long long)p->at.offset);
		err_slug(&why, "gap_in_wal");
	}
	listed_end(r, p, s, &res);
	/* Litestream's snapshot alone may already hold a part of the WAL that is missing. */
	if (!p->gen->has_record && p->end == p->first)
		res.have_state = false;
	remember(v, &res, &why);
	return -1;
}

/* Sizes come from the list alone: they are believed only as far as they can be true. */
static int refuse_size(const struct plan *p, struct verdict *v)
{
	struct chain_result res = { .damage = CHAIN_SNAPSHOT,
				    .damage_at = p->snapshot->pos };
	const struct cat_object *o = p->snapshot;
	uint64_t left = CHAIN_BYTES_MAX;
	struct err why = ERR_INIT;
	char key[LAYOUT_KEY_MAX];

	for (size_t i = p->first; o->size <= left && i < p->end; i++) {
		left -= o->size;
		o = &p->gen->segments[i];
		res.damage = CHAIN_SEGMENT;
		res.damage_at = o->pos;
	}
	if (o->size <= left)
		return 0;
	catalog_key(p->gen, o, o == p->snapshot, key);
	err_set(&why, ERR_CORRUPT, "%s: a size of %llu bytes cannot be true", key,
		(unsigned long long)o->size);
	err_slug(&why, "absurd_size");
	remember(v, &res, &why);
	return -1;
}

/* ---- SQLite's opinion ---- */

/* 1: accepted; 0: rejected (why in *e); -1: could not be asked. */
static int ask_sqlite(struct restoring *x, struct err *e)
{
	const struct restore_request *q = x->request;
	struct sq_check_result *c = &x->report->check;
	int64_t began = clock_mono_ms();
	int r;

	if (q->check == SQ_CHECK_NONE)
		return 1;
	r = sq_check_sealed(x->place.path, q->check, q->check_timeout_ms, c, e);
	x->report->check_ms = clock_mono_ms() - began;
	if (r < 0)
		return -1;
	switch (c->verdict) {
	case SQ_OK:
		return 1;
	case SQ_WARN:
		buf_addf(&x->warnings, "SQLite's check: %s\n", c->message);
		return 1;
	case SQ_CORRUPT:
		err_set(e, ERR_CORRUPT, "SQLite rejects the restored database: %s",
			c->message);
		return 0;
	case SQ_BUSY:
	case SQ_UNUSABLE:
		break;
	}
	return err_set(e, ERR_IO, "SQLite cannot read %s: %s", x->place.path, c->message);
}

static int source_was_damaged(const struct restoring *x, const struct chain_result *res,
			      struct err *e)
{
	char time[25];

	text_format_time_ms(res->time_ms, time);
	err_set(e, ERR_CORRUPT,
		"the source was already damaged at that time (%s): the restored database "
		"is "
		"proven to equal it, and SQLite says: %s",
		time, x->report->check.message);
	err_hint(e, "an earlier -timestamp, or -integrity-check none to get it as it is");
	err_slug(e, "source_damaged");
	return err_exit(e, EXIT_DAMAGED);
}

/* ---- one snapshot ---- */

static void report_state(struct restoring *x, const struct plan *p,
			 const struct chain_result *res)
{
	struct restore_report *rep = x->report;

	rep->objects = res->objects;
	rep->stored_bytes = res->stored_bytes;
	rep->snapshot_bytes = res->snapshot_bytes;
	rep->transactions = res->transactions;
	rep->end = res->end;
	rep->time_ms = res->time_ms;
	rep->time_is_stored = res->time_is_stored;
	rep->proven = p->gen->has_record;
	rep->have_db_sum = res->have_db_sum;
	rep->db_sum = res->db_sum;
	rep->page_size = res->page_size;
	rep->pages = res->pages;
	rep->bytes = (uint64_t)res->pages * res->page_size;
}

static int read_plan(struct restoring *x, const struct replica_at_hand *r,
		     const struct plan *p, const struct plan_snapshot *s,
		     struct chain_result *res, struct err *e)
{
	const struct restore_request *q = x->request;
	struct chain_job job = {
		.store = r->store,
		.plan = p,
		.snapshot = *s,
		.target = &q->target,
		.parallelism = q->parallelism ? q->parallelism : RESTORE_PARALLELISM,
		.stop = q->stop,
		.progress = &x->progress,
		.warnings = &x->warnings,
	};
	int64_t began = clock_mono_ms();
	int n;

	if (x->place.fd < 0 ? place_open(&x->place, q, e) < 0
			    : place_reset(&x->place, e) < 0)
		return -1;
	job.fd = x->place.fd;
	job.path = x->place.path;
	if (q->show_progress)
		progress_begin(&x->progress, "restore",
			       q->db && q->db->path && *q->db->path ? q->db->path
								    : r->store->url,
			       x->report->stored_bytes, true);
	n = chain_read(&job, res, e);
	progress_end(&x->progress);
	x->report->fetch_ms += clock_mono_ms() - began;
	return n;
}

static bool is_newest(const struct replica_at_hand *r)
{
	const struct catalog *c = r->catalog;

	return c->has_head ? strcmp(c->head.generation, r->gen->id) == 0
			   : r->gen == &c->gens[c->ngens - 1];
}

/* 1: restored; 0: this snapshot does not do (remembered in v); -1: give up. */
static int try_snapshot(struct restoring *x, const struct replica_at_hand *r,
			const struct cat_object *o, const struct plan_snapshot *s,
			struct verdict *v, struct err *e)
{
	const struct restore_request *q = x->request;
	struct chain_result res = { .damage = CHAIN_WHOLE };
	struct plan p;
	struct err le = ERR_INIT;
	int n;

	plan_chain(&p, r->gen, o, s->replay, &q->target);
	count_plan(x, &p);
	if (refuse_size(&p, v) < 0 || refuse_hole(r, &p, &q->target, s, v) < 0)
		return 0;
	if (q->dry_run) {
		listed_end(r, &p, s, &res);
		x->report->time_ms = res.time_ms;
		x->report->time_is_stored = res.time_is_stored;
		x->report->end = res.end;
		return 1;
	}
	if (q->on_plan)
		q->on_plan(q->on_plan_arg, x->report);
	if (read_plan(x, r, &p, s, &res, &le) < 0) {
		if (le.code == ERR_CORRUPT && res.damage == CHAIN_CHANGED) {
			err_set(e, ERR_NOT_FOUND, "%s", le.msg);
			return -1;
		}
		if (le.code != ERR_CORRUPT) {
			*e = le;
			return -1;
		}
		/* The chain was planned before the snapshot told where it is to be replayed from. */
		if (wal_pos_cmp(res.replay, s->replay) != 0 &&
		    res.damage != CHAIN_SNAPSHOT) {
			struct plan_snapshot exact = *s;

			exact.replay = res.replay;
			return try_snapshot(x, r, o, &exact, v, e);
		}
		remember(v, &res, &le);
		return 0;
	}
	report_state(x, &p, &res);
	n = ask_sqlite(x, &le);
	if (n < 0) {
		*e = le;
		return -1;
	}
	if (n == 0) {
		if (p.gen->has_record)
			return source_was_damaged(x, &res, e);
		/* Nothing in Litestream's format covers a snapshot's content: an older one may be right. */
		res.damage = CHAIN_SNAPSHOT;
		res.damage_at = o->pos;
		res.have_state = false;
		err_slug(&le, "check_failed");
		remember(v, &res, &le);
		return 0;
	}
	if (res.dropped_frames)
		buf_addf(&x->notes,
			 "the newest transaction is incomplete (%llu pages) and was left "
			 "out\n",
			 (unsigned long long)res.dropped_frames);
	if (q->target.kind == PLAN_TIME && !res.stopped &&
	    q->target.time_ms > res.time_ms && is_newest(r)) {
		char time[25];

		text_format_time_ms(res.time_ms, time);
		buf_addf(&x->notes,
			 "nothing is newer than %s: that is the state restored\n", time);
	}
	return 1;
}

/* ---- the generation ---- */

static int nothing_serves(const struct replica_at_hand *r, const struct plan_target *t,
			  struct err *e)
{
	const struct cat_object *first = &r->gen->snapshots[0];
	struct plan_snapshot s;
	char target[64], time[25];
	struct err le = ERR_INIT;
	bool inside;

	if (restore_know_snapshot(r, r->gen, first, true, &s, &le) < 0) {
		*e = le;
		return -1;
	}
	restore_target_text(t, target);
	text_format_time_ms(s.time_ms, time);
	inside = (t->kind == PLAN_INDEX && t->index >= s.replay.index) ||
		 (t->kind == PLAN_POSITION && wal_pos_cmp(t->pos, s.replay) >= 0);
	if (t->kind == PLAN_TIME && !t->generation[0] && r->gen->record_error) {
		err_set(e, ERR_CORRUPT,
			"generation %s begins at %s only, and which one was current before "
			"cannot be told: %s",
			r->gen->id, time, r->gen->record_error);
		err_hint(e, "choose one with -generation; `walback generations` lists "
			    "them");
		err_slug(e, "bad_record");
		return err_exit(e, EXIT_DAMAGED);
	}
	if (inside) {
		err_set(e, ERR_CORRUPT,
			"%s lies inside the first snapshot of generation %s, which is "
			"consistent only from %08x:%08llx (%s) on",
			target, r->gen->id, s.valid.index,
			(unsigned long long)s.valid.offset, time);
		err_slug(e, "inside_snapshot");
		err_exit(e, EXIT_DAMAGED);
	} else {
		err_set(e, ERR_NOT_FOUND,
			"no backup that old: generation %s begins at %s (snapshot %08x)",
			r->gen->id, time, first->pos.index);
		err_slug(e, "before_first");
		err_exit(e, EXIT_NO_BACKUP);
	}
	return t->generation[0]
		       ? err_hint(e, "-timestamp %s -generation %s", time, r->gen->id)
		       : err_hint(e, "-timestamp %s", time);
}

/* The newest snapshot that may serve a time, by the store's times: later ones need not be looked at. */
static size_t newest_by_time(const struct cat_generation *g, const struct plan_target *t)
{
	size_t n = g->nsnapshots;

	if (t->kind != PLAN_TIME || !g->has_record)
		return n;
	while (n > 0 && g->snapshots[n - 1].mtime_ms - CLOCK_SKEW_MS > t->time_ms)
		n--;
	/* Copied without its times, the store knows nothing. */
	return n ? n : g->nsnapshots;
}

static void say_passed_over(struct restoring *x, const struct replica_at_hand *r,
			    const struct cat_object *o, const struct verdict *v, bool found)
{
	char key[LAYOUT_KEY_MAX];

	if (!found || !v->any)
		return;
	catalog_key(r->gen, o, true, key);
	buf_addf(&x->warnings,
		 "a newer snapshot does not do (%s): restored from %s instead\n",
		 v->why.msg, key);
}

static void note_index(struct restoring *x, const struct cat_generation *g)
{
	const struct plan_target *t = &x->request->target;
	uint32_t last = g->snapshots[g->nsnapshots - 1].pos.index;

	if (g->nsegments && g->segments[g->nsegments - 1].pos.index > last)
		last = g->segments[g->nsegments - 1].pos.index;
	if (t->kind == PLAN_INDEX && t->index > last)
		buf_addf(&x->notes, "the newest index is %08x, before the one asked for\n",
			 last);
}

int restore_generation(struct restoring *x, const struct replica_at_hand *r, struct err *e)
{
	const struct plan_target *t = &x->request->target;
	const struct cat_generation *g = r->gen;
	struct verdict v = { .any = false };

	for (size_t i = newest_by_time(g, t); i-- > 0;) {
		const struct cat_object *o = &g->snapshots[i];
		struct chain_result none = { .damage = CHAIN_SNAPSHOT,
					     .damage_at = o->pos };
		struct plan_snapshot s;
		struct err le = ERR_INIT;
		int n;

		if (!plan_snapshot_listed(g, o, t))
			continue;
		n = restore_know_snapshot(r, g, o, t->kind != PLAN_LATEST, &s, &le);
		if (n < 0) {
			*e = le;
			return -1;
		}
		if (n == 0) {
			remember(&v, &none, &le);
			continue;
		}
		if (!plan_snapshot_serves(&s, t))
			continue;
		n = try_snapshot(x, r, o, &s, &v, e);
		if (n < 0)
			return -1;
		say_passed_over(x, r, o, &v, n == 1);
		if (n == 1) {
			note_index(x, g);
			codec_trim();
			return 0;
		}
		/* An older snapshot needs all of the WAL that this one does, and more. */
		if (v.last == CHAIN_SEGMENT || v.last == CHAIN_GAP)
			break;
	}
	codec_trim();
	if (!v.any)
		return nothing_serves(r, t, e);
	memcpy(x->report->generation, g->id, sizeof(x->report->generation));
	x->report->have_provable = v.res.have_state;
	x->report->provable = v.res.end;
	return restore_explain(r, t, &v.res, &v.why, e);
}
