/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/framer.h"

#include "base/mem.h"
#include "wal/segment.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_BYTES (8U << 20)
#define OPEN_BYTES (16U << 20)
/* Compressed bytes of a segment: at worst a little more than raw, and the commits' table. */
#define OBJECT_LIMIT (64U << 20)
#define LZ4_OFFSET_LIMIT (3ULL << 30)

struct framer {
	struct framer_start at; /* moves on: sum, pages and time of the last commit */
	struct synth synth;
	struct segment_writer *w;
	struct wal_pos first; /* of w */
	struct wal_pos sent;  /* the end of the last finished segment */
	uint64_t bytes;
	struct outbox *out;
};

struct framer *framer_new(const struct framer_start *s, struct outbox *out)
{
	struct framer *f = mem_alloc(sizeof(*f));

	f->at = *s;
	f->out = out;
	synth_init(&f->synth, s->page_size, 0);
	return f;
}

void framer_destroy(struct framer *f)
{
	if (!f)
		return;
	segment_destroy(f->w);
	free(f);
}

static void begin_segment(struct framer *f)
{
	struct segment_start s = {
		.codec = f->at.codec,
		.page_size = f->at.page_size,
		.session = f->at.session,
		.db_sum_before = f->at.db_sum,
		.db_pages_before = f->at.pages,
		.last_time_ms = f->at.time_ms,
	};

	memcpy(s.generation, f->at.generation, sizeof(s.generation));
	f->first = f->synth.pos;
	f->w = segment_new(&s, &f->synth);
}

static int finish_segment(struct framer *f, struct err *e)
{
	struct outbox_item *it = mem_alloc(sizeof(*it));

	layout_segment_key(f->at.generation, f->first, f->at.codec, it->key);
	it->pos = f->first;
	it->end = f->synth.pos;
	it->time_ms = f->at.time_ms;
	it->commits = segment_ncommits(f->w);
	it->db_sum = f->at.db_sum;
	it->bytes = (struct buf)BUF(OBJECT_LIMIT);
	f->bytes += segment_raw_len(f->w);
	segment_finish(f->w, &it->bytes, NULL);
	segment_destroy(f->w);
	f->w = NULL;
	f->sent = it->end;
	if (!buf_ok(&it->bytes)) {
		buf_free(&it->bytes);
		free(it);
		return err_set(e, ERR_BUG, "a segment of more than %u bytes", OBJECT_LIMIT);
	}
	return outbox_put(f->out, it, e);
}

static int check_offset(const struct framer *f, struct err *e)
{
	if (f->at.codec != CODEC_LZ4 || f->synth.pos.offset < LZ4_OFFSET_LIMIT)
		return 0;
	err_set(e, ERR_USAGE,
		"a transaction of more than 3 GiB does not fit into an lz4 path");
	err_hint(e, "set `compression: zst`, or split the transaction");
	return err_slug(e, "transaction_too_large");
}

int framer_page(struct framer *f, uint32_t pgno, uint32_t commit, const uint8_t *page,
		struct err *e)
{
	if (check_offset(f, e) < 0)
		return -1;
	if (!f->w)
		begin_segment(f);
	segment_frame(f->w, pgno, commit, page);
	if (!commit && segment_raw_len(f->w) >= OPEN_BYTES)
		return finish_segment(f, e);
	return 0;
}

int framer_commit(struct framer *f, int64_t time_ms, uint64_t db_sum, uint32_t pages,
		  struct err *e)
{
	if (time_ms < f->at.time_ms)
		time_ms = f->at.time_ms; /* times never decrease in a generation */
	segment_commit(f->w, time_ms, db_sum, pages);
	f->at.time_ms = time_ms;
	f->at.db_sum = db_sum;
	f->at.pages = pages;
	return f->synth.pos.offset >= INDEX_BYTES ? framer_next_index(f, e) : 0;
}

uint32_t framer_pending(const struct framer *f)
{
	return f->w ? segment_ncommits(f->w) : 0;
}

int framer_cut(struct framer *f, struct err *e)
{
	return f->w ? finish_segment(f, e) : 0;
}

int framer_next_index(struct framer *f, struct err *e)
{
	if (framer_cut(f, e) < 0)
		return -1;
	if (f->synth.pos.offset == 0)
		return 0;
	if (f->synth.pos.index >= LAYOUT_INDEX_MAX)
		return err_set(e, ERR_EXISTS, "the generation's indexes are used up");
	synth_next_index(&f->synth);
	return 0;
}

struct wal_pos framer_pos(const struct framer *f)
{
	return f->synth.pos;
}

struct wal_pos framer_sent(const struct framer *f)
{
	return f->sent;
}

uint64_t framer_bytes(const struct framer *f)
{
	return f->bytes + (f->w ? segment_raw_len(f->w) : 0);
}

int64_t framer_time_ms(const struct framer *f)
{
	return f->at.time_ms;
}
