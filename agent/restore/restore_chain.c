/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore_reading.h"

int reading_damaged(struct reading *j, enum chain_damage kind, struct wal_pos at)
{
	if (j->out->damage == CHAIN_WHOLE) {
		j->out->damage = kind;
		j->out->damage_at = at;
	}
	return -1;
}

static int read_segments(struct reading *j, size_t nobjects, struct err *e)
{
	struct wal_pos start = j->job->snapshot.replay;

	if (nobjects > 1)
		start = reading_object(j, 1)->pos;
	wal_chain_init(&j->chain, start, j->out->page_size);
	if (j->job->target->kind == PLAN_POSITION) {
		j->limited = true;
		j->limit = j->job->target->pos;
	}
	for (size_t i = 1; i < nobjects && !j->out->stopped; i++) {
		const struct cat_object *o = reading_object(j, i);

		if (reading_segment(j, o, j->keys[i], e) == 0) {
			j->out->objects += !j->out->stopped || j->object_commits > 0;
			continue;
		}
		j->out->damage_time_ms = o->mtime_ms;
		if (e->code != ERR_CORRUPT || j->out->damage != CHAIN_WHOLE)
			return -1;
		err_wrap(e, "%s", j->keys[i]);
		return reading_damaged(j, CHAIN_SEGMENT, o->pos);
	}
	return 0;
}

/* ---- the end ---- */

static int report_hole(struct reading *j, struct err *e)
{
	const struct plan *p = j->job->plan;

	if (p->twin) {
		char a[LAYOUT_KEY_MAX], b[LAYOUT_KEY_MAX];

		catalog_key(j->gen, &j->gen->segments[p->end], false, a);
		catalog_key(j->gen, p->twin, false, b);
		err_set(e, ERR_CORRUPT, "two objects claim one place: %s and %s", a, b);
		err_slug(e, "two_writers");
	} else {
		err_set(e, ERR_CORRUPT, "WAL %08x is missing from 0x%llx on", p->at.index,
			(unsigned long long)p->at.offset);
		err_slug(e, "gap_in_wal");
	}
	return reading_damaged(j, CHAIN_GAP, p->at);
}

/* A position with nothing between it and the last transaction means the same state. */
static bool same_state(const struct reading *j, struct wal_pos want)
{
	struct wal_pos end = j->out->end;

	if (wal_pos_cmp(end, want) == 0)
		return true;
	return apply_open_frames(j->apply) == 0 && want.index > end.index &&
	       (want.offset == 0 || want.offset == WAL_HEADER_SIZE) &&
	       want.index <= j->chain.pos.index + (want.offset == 0);
}

static int check_position(struct reading *j, struct err *e)
{
	struct wal_pos want = j->job->target->pos;
	struct wal_pos end = j->out->end;
	char next[40] = "";

	if (j->job->target->kind != PLAN_POSITION || same_state(j, want))
		return 0;
	if (j->beyond_seen)
		snprintf(next, sizeof(next), " and %08x:%08llx", j->beyond.index,
			 (unsigned long long)j->beyond.offset);
	err_set(e, ERR_USAGE,
		"no transaction ends at %08x:%08llx; nearest %s %08x:%08llx%s", want.index,
		(unsigned long long)want.offset, *next ? "are" : "is", end.index,
		(unsigned long long)end.offset, next);
	err_hint(e, "-position %08x:%08llx", end.index, (unsigned long long)end.offset);
	return err_slug(e, "no_such_position");
}

static int finish_chain(struct reading *j, struct err *e)
{
	if (!j->valid_seen && wal_pos_cmp(j->chain.pos, j->snapshot.valid) < 0) {
		if (j->job->plan->hole)
			return report_hole(j, e);
		err_set(e, ERR_CORRUPT,
			"%s needs the WAL up to %08x:%08llx, which ends at %08x:%08llx",
			j->keys[0], j->snapshot.valid.index,
			(unsigned long long)j->snapshot.valid.offset, j->chain.pos.index,
			(unsigned long long)j->chain.pos.offset);
		err_slug(e, "gap_in_wal");
		return reading_damaged(j, CHAIN_SNAPSHOT, j->chain.pos);
	}
	if (!j->valid_seen && reading_check_valid(j, e) < 0)
		return -1;
	if (j->job->plan->hole && !j->out->stopped)
		return report_hole(j, e);
	if (check_position(j, e) < 0)
		return -1;
	j->out->dropped_frames = j->out->stopped ? 0 : apply_open_frames(j->apply);
	apply_drop_open(j->apply);
	j->out->pages = apply_pages(j->apply);
	if (j->sums) {
		j->out->have_db_sum = true;
		j->out->db_sum = pagesum_value(j->sums);
	}
	return 0;
}

static int read_all(struct reading *j, size_t nobjects, struct err *e)
{
	if (reading_snapshot(j, e) < 0) {
		j->out->damage_time_ms = j->job->plan->snapshot->mtime_ms;
		return -1;
	}
	if (read_segments(j, nobjects, e) < 0)
		return -1;
	return finish_chain(j, e);
}

int chain_read(const struct chain_job *job, struct chain_result *out, struct err *e)
{
	struct reading j = {
		.job = job,
		.gen = job->plan->gen,
		.out = out,
		.bytes = BUF(PIECE_BYTES + 1),
	};
	size_t nobjects = 1 + job->plan->end - job->plan->first;
	int r;

	*out = (struct chain_result){ .damage = CHAIN_WHOLE,
				      .replay = job->snapshot.replay };
	reading_open(&j, nobjects);
	r = read_all(&j, nobjects, e);
	reading_close(&j, nobjects);
	if (j.apply)
		apply_destroy(j.apply);
	if (j.sums)
		pagesum_destroy(j.sums);
	trailer_free(&j.snapshot);
	buf_free(&j.bytes);
	return r;
}
