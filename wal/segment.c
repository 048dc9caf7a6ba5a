/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing.  Raw bytes (WAL header, frame headers, pages) go through the
 * encoder and the hash as they come; only the compressed object is kept.
 */
#include "wal/segment.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_MAX \
	((size_t)8 << 30) /* a ceiling, not a plan: callers cut at about 16 MiB raw */

struct segment_writer {
	struct synth *synth;
	struct buf object;
	struct encoder *enc;
	struct hash_stream *hash;
	struct trailer t;
	size_t commits_room;
	uint64_t frames, open; /* all; since the last commit */
	bool last_commits; /* the last frame is a commit frame: its segment_commit is due */
	bool no_sums;
};

static void add_raw(struct segment_writer *w, const void *p, size_t n)
{
	encoder_add(w->enc, p, n);
	hash_stream_add(w->hash, p, n);
	w->t.raw_len += n;
}

struct segment_writer *segment_new(const struct segment_start *start, struct synth *s)
{
	struct segment_writer *w = mem_alloc(sizeof *w);

	assert(s->header.page_size == start->page_size);
	w->synth = s;
	w->object.max = OBJECT_MAX;
	w->enc = encoder_new(start->codec, &w->object);
	w->hash = hash_stream_new();
	w->no_sums = start->no_sums;
	w->t = (struct trailer){
		.kind = TRAILER_SEGMENT,
		.flags = (uint16_t)((start->difference ? TRAILER_DIFFERENCE : 0) |
				    (start->no_sums ? TRAILER_NO_SUMS : 0)),
		.page_size = start->page_size,
		.session = start->session,
		.pos = s->pos,
		.db_sum_before = start->no_sums ? 0 : start->db_sum_before,
		.db_sum_after = start->no_sums ? 0 : start->db_sum_before,
		.db_pages_after = start->db_pages_before,
		.time_ms = start->last_time_ms,
		.first_time_ms = start->last_time_ms,
	};
	memcpy(w->t.generation, start->generation, sizeof w->t.generation);
	if (!s->pos.offset) {
		uint8_t head[WAL_HEADER_SIZE];

		synth_header(s, head);
		add_raw(w, head, sizeof head);
	}
	return w;
}

void segment_frame(struct segment_writer *w, uint32_t pgno, uint32_t commit,
		   const uint8_t *page)
{
	uint8_t head[WAL_FRAME_HEADER_SIZE];

	assert(!w->last_commits);
	synth_frame(w->synth, pgno, commit, page, head);
	add_raw(w, head, sizeof head);
	add_raw(w, page, w->t.page_size);
	w->frames++;
	w->open++;
	w->last_commits = commit != 0;
}

void segment_commit(struct segment_writer *w, int64_t time_ms, uint64_t db_sum,
		    uint32_t db_pages)
{
	struct trailer *t = &w->t;

	assert(w->last_commits && t->ncommits < UINT32_MAX);
	if (time_ms < t->time_ms)
		time_ms = t->time_ms;
	if (!t->ncommits)
		t->first_time_ms = time_ms;
	if (t->ncommits == w->commits_room) {
		w->commits_room = w->commits_room ? 2 * w->commits_room : 4;
		t->commits = mem_grow(t->commits, w->commits_room, sizeof *t->commits);
	}
	t->commits[t->ncommits++] = (struct trailer_commit){ w->open, time_ms };
	t->time_ms = time_ms;
	t->db_pages_after = db_pages;
	if (!w->no_sums)
		t->db_sum_after = db_sum;
	w->open = 0;
	w->last_commits = false;
}

uint64_t segment_raw_len(const struct segment_writer *w)
{
	return w->t.raw_len;
}

uint32_t segment_ncommits(const struct segment_writer *w)
{
	return w->t.ncommits;
}

/* The whole object changes hands if it can, so that a large one is not there twice. */
static void hand_over(struct buf *from, struct buf *to)
{
	if (from->overflow)
		to->overflow = true;
	if (to->overflow)
		return;
	if (to->len || from->len > to->max) {
		buf_add(to, from->p, from->len);
		return;
	}
	free(to->p);
	to->p = from->p;
	to->len = from->len;
	to->cap = from->cap;
	*from = (struct buf){ .max = from->max };
}

static void finish(struct segment_writer *w, struct buf *out)
{
	encoder_end_frame(w->enc);
	w->t.raw_xxh3 = hash_stream_value(w->hash);
	trailer_format(&w->t, &w->object);
	hand_over(&w->object, out);
}

void segment_finish(struct segment_writer *w, struct buf *out, struct trailer *out_trailer)
{
	assert(w->frames && !w->last_commits);
	if (w->open)
		w->t.flags |= TRAILER_OPEN;
	finish(w, out);
	if (!out_trailer)
		return;
	*out_trailer = w->t;
	out_trailer->commits = mem_dup(w->t.commits, w->t.ncommits * sizeof *w->t.commits);
}

void segment_destroy(struct segment_writer *w)
{
	if (!w)
		return;
	encoder_destroy(w->enc);
	hash_stream_destroy(w->hash);
	trailer_free(&w->t);
	buf_free(&w->object);
	free(w);
}

void segment_claim(const struct segment_start *start, struct synth *s, struct buf *out)
{
	struct segment_writer *w = segment_new(start, s);

	w->t.flags = 0;
	finish(w, out);
	segment_destroy(w);
}
