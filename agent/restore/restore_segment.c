/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore/restore_reading.h"

#include "agent/restore/salvage.h"
#include "base/cleanup.h"

#include <string.h>

static int on_frame(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *page,
		    struct err *e)
{
	struct reading *j = arg;

	j->frame_end.offset += WAL_FRAME_HEADER_SIZE + (uint64_t)j->out->page_size;
	if (wal_pos_cmp(j->frame_end, j->out->replay) <= 0)
		return 0;
	if (j->limited && wal_pos_cmp(j->frame_end, j->limit) > 0) {
		if (commit && !j->beyond_seen) {
			j->beyond_seen = true;
			j->beyond = j->frame_end;
		}
		return 0;
	}
	if (commit && !j->valid_seen && wal_pos_cmp(j->frame_end, j->snapshot.valid) > 0 &&
	    reading_check_valid(j, e) < 0)
		return -1;
	if (apply_frame(j->apply, pgno, commit, page, !j->gen->has_record, e) < 0)
		return -1;
	if (commit) {
		j->out->end = j->frame_end;
		j->out->transactions++;
		j->object_commits++;
	}
	return 0;
}

/* What a trailer says besides what the reader has checked. */
static int check_identity(const struct reading *j, const struct cat_object *o,
			  const struct trailer *t, struct err *e)
{
	if (strcmp(t->generation, j->gen->id) != 0)
		return err_set(e, ERR_CORRUPT, "belongs to generation %s", t->generation);
	if (o->has_session && t->session != o->session)
		return err_set(e, ERR_CORRUPT, "was written by session %016llx",
			       (unsigned long long)t->session);
	return 0;
}

static int check_sums(struct reading *j, const struct trailer *t, struct err *e)
{
	if (t->flags & TRAILER_NO_SUMS) {
		if (j->valid_seen && wal_pos_cmp(t->pos, j->snapshot.valid) >= 0)
			return err_set(e, ERR_CORRUPT, "has no checksums of the database");
		return 0;
	}
	if (j->sum_known && t->db_sum_before != j->sum) {
		err_set(e, ERR_CORRUPT,
			"does not continue what is before it: WAL is missing, or was "
			"replaced");
		return err_slug(e, "broken_chain");
	}
	j->sum_known = true;
	j->sum = t->db_sum_after;
	if (!j->valid_seen && wal_pos_cmp(j->chain.pos, j->snapshot.valid) >= 0 &&
	    reading_check_valid(j, e) < 0)
		return -1;
	if (!j->valid_seen || (j->limited && j->beyond_seen))
		return 0;
	if (pagesum_value(j->sums) == t->db_sum_after &&
	    pagesum_pages(j->sums) == t->db_pages_after)
		return 0;
	err_set(e, ERR_CORRUPT,
		"the database does not have the recorded checksum after it");
	return err_slug(e, "db_sum");
}

static void take_time(struct reading *j, const struct cat_object *o,
		      const struct trailer *t)
{
	if (j->object_commits == 0)
		return;
	if (!j->gen->has_record) {
		j->out->time_ms = o->mtime_ms;
		return;
	}
	if (j->valid_seen)
		j->out->time_ms =
			t->commits[j->object_commits <= t->ncommits ? j->object_commits - 1
								    : t->ncommits - 1]
				.time_ms;
}

/* Feed the object's pieces (the first is at hand) to a reader. */
static int push_segment(struct reading *j, struct segment_reader *r,
			const struct cat_object *o, size_t first_len, struct err *e)
{
	size_t n = reading_pieces(o->size);

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && reading_next_piece(j, o->pos, e) < 0)
			return -1;
		if (segment_reader_push(r, j->bytes.p, i == 0 ? first_len : j->bytes.len,
					e) < 0)
			return -1;
	}
	return 0;
}

static int finish_segment(struct reading *j, struct segment_reader *r,
			  const struct cat_object *o, struct err *e)
{
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };
	bool has = false;

	if (segment_reader_finish(r, &t, &has, e) < 0)
		return -1;
	if (j->gen->has_record &&
	    (check_identity(j, o, &t, e) < 0 || check_sums(j, &t, e) < 0))
		return -1;
	take_time(j, o, &t);
	return 0;
}

static void begin_object(struct reading *j, struct wal_pos pos)
{
	if (pos.index != j->chain.pos.index && j->chain.open_frames > 0)
		apply_drop_open(j->apply);
	j->frame_end = pos;
	if (pos.offset < WAL_HEADER_SIZE)
		j->frame_end.offset = WAL_HEADER_SIZE;
	j->object_commits = 0;
}

/* Behind Litestream's LZ4 frame other bytes may lie, which its reader never sees. */
static size_t without_garbage(struct reading *j, const struct cat_object *o,
			      const char *key)
{
	size_t used = 0;

	if (j->gen->has_record || reading_pieces(o->size) > 1 || o->codec != CODEC_LZ4 ||
	    salvage_shape(j->bytes.p, j->bytes.len, &used) != SALVAGE_GARBAGE)
		return j->bytes.len;
	buf_addf(j->job->warnings, "%s: %zu bytes behind its end are no part of it\n", key,
		 j->bytes.len - used);
	return used;
}

static int read_whole(struct reading *j, const struct cat_object *o, const char *key,
		      struct err *e)
{
	size_t first_len = without_garbage(j, o, key);
	struct segment_source src = {
		.codec = o->codec,
		.pos = o->pos,
		.size = reading_pieces(o->size) > 1 ? o->size : first_len,
		.allow_plain = !j->gen->has_record,
	};
	struct segment_sink sink = { .arg = j, .frame = on_frame };
	struct segment_reader *r;
	int failed;

	begin_object(j, o->pos);
	r = segment_reader_new(&j->chain, &src, &sink);
	failed = push_segment(j, r, o, first_len, e) < 0 || finish_segment(j, r, o, e) < 0;
	segment_reader_destroy(r);
	return failed ? -1 : 0;
}

/* ---- objects that are not where the chain goes on ---- */

static int missing(struct reading *j, const char *key, struct err *e)
{
	struct wal_pos at = j->chain.pos;

	err_set(e, ERR_CORRUPT, "WAL %08x is missing from 0x%llx on; next there is %s",
		at.index, (unsigned long long)at.offset, key);
	err_slug(e, "gap_in_wal");
	return reading_damaged(j, CHAIN_GAP, at);
}

/* Compaction puts a larger object in front before it deletes the ones that it covers. */
static int pass_over_covered(struct reading *j, const struct cat_object *o, const char *key,
			     struct err *e)
{
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };

	if (reading_trailer(j, o, key, &t, e) < 0)
		return -1;
	if (wal_pos_cmp(trailer_end(&t), j->chain.pos) > 0)
		return err_set(e, ERR_CORRUPT, "overlaps the object before it");
	return reading_drain(j, o, e);
}

/* A name that no writer gives: offsets are those of frames. */
static bool aligned(const struct reading *j, uint64_t offset)
{
	return offset == 0 || (offset >= WAL_HEADER_SIZE &&
			       (offset - WAL_HEADER_SIZE) % (WAL_FRAME_HEADER_SIZE +
							     (uint64_t)j->out->page_size) ==
				       0);
}

static int read_repacked(struct reading *j, const struct cat_object *o,
			 const struct buf *packed, struct err *e)
{
	struct segment_source src = {
		.codec = CODEC_LZ4,
		.pos = j->chain.pos,
		.size = packed->len,
		.allow_plain = true,
	};
	struct segment_sink sink = { .arg = j, .frame = on_frame };
	struct segment_reader *r;
	int failed;

	begin_object(j, src.pos);
	r = segment_reader_new(&j->chain, &src, &sink);
	failed = segment_reader_push(r, packed->p, packed->len, e) < 0 ||
		 finish_segment(j, r, o, e) < 0;
	segment_reader_destroy(r);
	return failed ? -1 : 0;
}

/*
 * Litestream's object whose place is not where the chain goes on: a range that
 * repeats or overlaps what was read, a wrong offset in its name, or a foreign file.
 * Its frames' running checksum tells: only what continues the chain is taken.
 */
static int salvage(struct reading *j, const struct cat_object *o, const char *key,
		   struct err *e)
{
	struct buf packed CLEANUP(buf_free) = BUF(SALVAGE_RAW_MAX + SALVAGE_RAW_MAX / 128);
	struct wal_pos at = j->chain.pos;
	uint64_t skip = o->pos.offset < at.offset ? at.offset - o->pos.offset : 0;
	uint64_t raw = 0;
	size_t used = 0;
	struct err le = ERR_INIT;

	if (!aligned(j, o->pos.offset) &&
	    salvage_shape(j->bytes.p, j->bytes.len, &used) == SALVAGE_FOREIGN) {
		buf_addf(j->job->warnings, "%s is no WAL segment: passed over\n", key);
		return 0;
	}
	if (salvage_repack(j->bytes.p, j->bytes.len, skip, &packed, &raw, &le) < 0)
		return skip ? err_set(e, ERR_CORRUPT, "%s", le.msg) : missing(j, key, e);
	if (raw <= skip) {
		buf_addf(j->job->warnings, "%s repeats what is before it: passed over\n",
			 key);
		return 0;
	}
	if (read_repacked(j, o, &packed, &le) < 0) {
		if (le.code == ERR_CORRUPT && !skip)
			return missing(j, key, e);
		*e = le;
		return -1;
	}
	buf_addf(j->job->warnings,
		 "%s: its frames continue the WAL at %08x:%08llx and were taken from "
		 "there\n",
		 key, at.index, (unsigned long long)at.offset);
	return 0;
}

/* An object of Litestream's in the right place but of an odd shape (several frames). */
static bool odd_shape(const struct reading *j, const struct cat_object *o)
{
	size_t used = 0;

	return !j->gen->has_record && reading_pieces(o->size) == 1 &&
	       o->codec == CODEC_LZ4 &&
	       salvage_shape(j->bytes.p, j->bytes.len, &used) == SALVAGE_SEVERAL;
}

/* ---- one object ---- */

/* Where does the time limit fall?  1: before this object; 0: go on (limit is set if it falls inside). */
static int find_time_limit(struct reading *j, const struct cat_object *o, const char *key,
			   struct err *e)
{
	struct trailer t CLEANUP(trailer_free) = { .ncommits = 0 };
	int64_t until = j->job->target->time_ms;
	uint32_t n;

	if (j->job->target->kind != PLAN_TIME || !j->gen->has_record)
		return 0;
	if (reading_trailer(j, o, key, &t, e) < 0)
		return -1;
	n = trailer_commits_until(&t, until);
	if (n == t.ncommits)
		return 0;
	if (n == 0)
		return 1;
	j->limited = true;
	j->limit = trailer_commit_end(&t, n);
	return 0;
}

int reading_segment(struct reading *j, const struct cat_object *o, const char *key,
		    struct err *e)
{
	struct wal_pos at = j->chain.pos;
	int r;

	if (reading_next_piece(j, o->pos, e) < 0)
		return -1;
	r = find_time_limit(j, o, key, e);
	if (r != 0) {
		j->out->stopped = r > 0;
		return r < 0 ? -1 : 0;
	}
	if (o->pos.index == at.index && o->pos.offset != at.offset && j->chain.any) {
		if (!j->gen->has_record && reading_pieces(o->size) == 1)
			return salvage(j, o, key, e);
		if (o->pos.offset > at.offset)
			return missing(j, key, e);
		return pass_over_covered(j, o, key, e);
	}
	r = odd_shape(j, o) && wal_pos_cmp(o->pos, at) == 0 ? salvage(j, o, key, e)
							    : read_whole(j, o, key, e);
	if (r == 0 && j->limited && j->beyond_seen)
		j->out->stopped = true;
	return r;
}
