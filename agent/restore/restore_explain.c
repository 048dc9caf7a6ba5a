/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exit.h"
#include "agent/restore/restore_int.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "wal/trailer.h"

#include <string.h>

int restore_know_snapshot(const struct replica_at_hand *r, const struct cat_generation *g,
			  const struct cat_object *o, bool exact, struct plan_snapshot *out,
			  struct err *e)
{
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };
	char key[LAYOUT_KEY_MAX];
	struct err le = ERR_INIT;
	int n;

	*out = (struct plan_snapshot){ .replay = o->pos,
				       .valid = o->pos,
				       .time_ms = o->mtime_ms };
	if (!exact || !g->has_record)
		return 1;
	catalog_key(g, o, true, key);
	n = catalog_trailer(r->store, key, o->size, &t, &le);
	if (n < 0) {
		*e = le;
		return le.code == ERR_CORRUPT ? 0 : -1;
	}
	if (n == 0 || t.kind != TRAILER_SNAPSHOT) {
		err_set(e, ERR_CORRUPT, "%s has no trailer", key);
		return 0;
	}
	out->replay = t.replay;
	out->valid = t.valid;
	out->time_ms = t.time_ms;
	return 1;
}

void restore_target_text(const struct plan_target *t, char out[64])
{
	char time[25];

	switch (t->kind) {
	case PLAN_LATEST:
		snprintf(out, 64, "the newest moment");
		break;
	case PLAN_TIME:
		text_format_time_ms(t->time_ms, time);
		snprintf(out, 64, "%s", time);
		break;
	case PLAN_INDEX:
		snprintf(out, 64, "the end of index %08x", t->index);
		break;
	case PLAN_POSITION:
		snprintf(out, 64, "position %08x:%08llx", t->pos.index,
			 (unsigned long long)t->pos.offset);
		break;
	}
}

/* The time of the first snapshot of a later index than the damage; false: there is none. */
static bool provable_again(const struct replica_at_hand *r, struct wal_pos damage,
			   int64_t *time_ms)
{
	const struct cat_generation *g = r->gen;

	for (size_t i = 0; i < g->nsnapshots; i++) {
		struct plan_snapshot s;
		struct err le = ERR_INIT;

		if (g->snapshots[i].pos.index <= damage.index)
			continue;
		if (restore_know_snapshot(r, g, &g->snapshots[i], true, &s, &le) != 1)
			continue;
		*time_ms = s.time_ms;
		return true;
	}
	return false;
}

static const struct cat_generation *another_generation(const struct replica_at_hand *r)
{
	for (size_t i = r->catalog->ngens; i-- > 0;)
		if (&r->catalog->gens[i] != r->gen && r->catalog->gens[i].nsnapshots > 0)
			return &r->catalog->gens[i];
	return NULL;
}

/* What to type next: the moment before the damage, the last whole index, or another generation. */
static void hint_ways_out(const struct replica_at_hand *r, const struct chain_result *res,
			  struct err *e)
{
	const struct cat_generation *other = another_generation(r);
	bool index_ok = res->damage_at.index > 0 && r->gen->nsnapshots > 0 &&
			res->damage_at.index > r->gen->snapshots[0].pos.index;
	/* A damaged object with the same store time would be wanted again by that time. */
	bool time_ok = !res->time_is_stored || res->damage_time_ms == 0 ||
		       res->damage_time_ms > res->time_ms;
	char time[25], loss[24];

	if (!res->have_state) {
		if (other)
			err_hint(e,
				 "-generation %s restores the newest of another generation",
				 other->id);
		else
			err_hint(e, "look for another replica of this database");
		return;
	}
	text_format_time_ms(res->time_ms, time);
	text_human_duration(
		r->gen->last_ms > res->time_ms ? r->gen->last_ms - res->time_ms : 0, loss);
	if (time_ok && index_ok)
		err_hint(e, "-timestamp %s (loses %s), or -generation %s -index %x", time,
			 loss, r->gen->id, res->damage_at.index - 1);
	else if (time_ok)
		err_hint(e, "-timestamp %s -generation %s (loses %s)", time, r->gen->id,
			 loss);
	else
		err_hint(e, "-generation %s -position %08x:%08llx (loses %s)", r->gen->id,
			 res->end.index, (unsigned long long)res->end.offset, loss);
}

int restore_explain(const struct replica_at_hand *r, const struct plan_target *t,
		    const struct chain_result *res, const struct err *why, struct err *e)
{
	char target[64], before[25], after[25], provable[128];
	int64_t again_ms = 0;
	bool again = provable_again(r, res->damage_at, &again_ms);

	restore_target_text(t, target);
	if (res->have_state)
		text_format_time_ms(res->time_ms, before);
	if (again)
		text_format_time_ms(again_ms, after);
	if (res->have_state && again)
		snprintf(provable, sizeof(provable),
			 "up to %s; and again from the snapshot of %s", before, after);
	else if (res->have_state)
		snprintf(provable, sizeof(provable), "up to %s", before);
	else if (again)
		snprintf(provable, sizeof(provable), "from the snapshot of %s on", after);
	else
		snprintf(provable, sizeof(provable), "nothing of this generation");
	err_set(e, ERR_CORRUPT,
		"cannot prove a chain to %s\ngeneration %s: %s\nprovable: %s", target,
		r->gen->id, why->msg, provable);
	err_slug(e, why->slug			    ? why->slug
		    : res->damage == CHAIN_SNAPSHOT ? "damaged_snapshot"
						    : "damaged_object");
	hint_ways_out(r, res, e);
	return err_exit(e, EXIT_DAMAGED);
}
