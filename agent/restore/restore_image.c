/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore_reading.h"

#include "wal/snapshot.h"

#include <string.h>

static int start_apply(struct reading *j, struct err *e)
{
	struct dbhdr h;

	if (dbhdr_parse(&h, j->first, j->nfirst, e) < 0)
		return -1;
	j->out->page_size = h.page_size;
	if (j->gen->has_record) {
		j->sums = pagesum_new(h.page_size, NULL, e);
		if (!j->sums)
			return -1;
	}
	j->apply = apply_new(j->job->fd, j->job->path, h.page_size, j->sums);
	return apply_image(j->apply, j->first, j->nfirst, e);
}

static int on_image(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct reading *j = arg;

	if (!j->apply) {
		size_t take = sizeof(j->first) - j->nfirst;

		take = n < take ? n : take;
		memcpy(j->first + j->nfirst, p, take);
		j->nfirst += take;
		p += take;
		n -= take;
		if (j->nfirst < sizeof(j->first))
			return 0;
		if (start_apply(j, e) < 0)
			return -1;
	}
	return n ? apply_image(j->apply, p, n, e) : 0;
}

static int push_snapshot(struct reading *j, struct snapshot_reader *r,
			 const struct cat_object *o, struct err *e)
{
	size_t n = reading_pieces(o->size);
	bool has = false;

	for (size_t i = 0; i < n; i++)
		if (reading_next_piece(j, o->pos, e) < 0 ||
		    snapshot_reader_push(r, j->bytes.p, j->bytes.len, e) < 0)
			return -1;
	if (snapshot_reader_finish(r, &j->snapshot, &has, e) < 0)
		return -1;
	if (!j->apply)
		return err_set(e, ERR_CORRUPT, "is shorter than a database header");
	return apply_image_end(j->apply, e);
}

static int check_snapshot(struct reading *j, const struct cat_object *o, struct err *e)
{
	const struct trailer *t = &j->snapshot;

	if (!j->gen->has_record) {
		j->valid_seen = true;
		return 0;
	}
	if (strcmp(t->generation, j->gen->id) != 0)
		return err_set(e, ERR_CORRUPT, "belongs to generation %s", t->generation);
	if (t->replay.index != o->pos.index)
		return err_set(e, ERR_CORRUPT, "was written as snapshot %08x",
			       t->replay.index);
	return 0;
}

/* The database as it is now must have the sum that the snapshot promises at its valid position. */
int reading_check_valid(struct reading *j, struct err *e)
{
	const struct trailer *t = &j->snapshot;

	if (pagesum_value(j->sums) != t->db_sum_after ||
	    pagesum_pages(j->sums) != t->db_pages_after) {
		err_set(e, ERR_CORRUPT,
			"%s: with the WAL up to %08x:%08llx it does not give the recorded "
			"checksum",
			j->keys[0], t->valid.index, (unsigned long long)t->valid.offset);
		err_slug(e, "snapshot_sum");
		return reading_damaged(j, CHAIN_SNAPSHOT, t->replay);
	}
	j->valid_seen = true;
	j->out->have_state = true;
	j->out->time_ms = t->time_ms;
	return 0;
}

/* At a valid position between two objects: the next one must go on from the snapshot's sum. */
int reading_start_sums(struct reading *j, struct err *e)
{
	if (reading_check_valid(j, e) < 0)
		return -1;
	j->sum_known = true;
	j->sum = j->snapshot.db_sum_after;
	return 0;
}

int reading_snapshot(struct reading *j, struct err *e)
{
	const struct cat_object *o = j->job->plan->snapshot;
	struct snapshot_reader *r =
		snapshot_reader_new(o->codec, o->size, !j->gen->has_record, on_image, j);
	int failed = push_snapshot(j, r, o, e) < 0 || check_snapshot(j, o, e) < 0;

	snapshot_reader_destroy(r);
	if (failed) {
		err_wrap(e, "%s", j->keys[0]);
		return e->code == ERR_CORRUPT ? reading_damaged(j, CHAIN_SNAPSHOT, o->pos)
					      : -1;
	}
	j->out->objects++;
	j->out->snapshot_bytes = o->size;
	j->out->time_ms = o->mtime_ms;
	j->out->time_is_stored = !j->gen->has_record;
	j->out->end = o->pos;
	j->out->have_state = !j->gen->has_record;
	if (j->gen->has_record) {
		j->out->end = j->out->replay = j->snapshot.replay;
		if (wal_pos_cmp(j->snapshot.valid, j->snapshot.replay) <= 0)
			return reading_start_sums(j, e);
	}
	return 0;
}
