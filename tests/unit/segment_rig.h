/* SPDX-License-Identifier: Apache-2.0 */
/* Makes segments and reads them, for the tests of both directions. */
#ifndef TESTS_UNIT_SEGMENT_RIG_H
#define TESTS_UNIT_SEGMENT_RIG_H

#include "base/hash.h"
#include "tests/unit/unit.h"
#include "wal/segment.h"

#include <string.h>

static const enum codec BOTH[] = { CODEC_ZST, CODEC_LZ4 };

static inline struct segment_start start_of(enum codec c, uint32_t ps)
{
	return (struct segment_start){ .codec = c,
				       .page_size = ps,
				       .generation = "0123456789abcdef",
				       .session = 5,
				       .db_sum_before = 100,
				       .db_pages_before = 10,
				       .last_time_ms = 1000 };
}

/* Half of it compresses; differs for every (pgno, version). */
static const uint8_t *page(uint32_t ps, uint32_t pgno, uint32_t version)
{
	static uint8_t b[65536];
	uint32_t x = pgno * 2654435761U ^ version * 40503U;

	memset(b, 0, sizeof b);
	for (size_t i = 0; i < ps / 2; i++) {
		x = x * 1664525 + 1013904223;
		b[i] = (uint8_t)(x >> 24);
	}
	return b;
}

/* ---- what a reader delivered ---- */

struct seen {
	uint32_t ps;
	uint32_t pgno[4000], commit[4000];
	uint64_t hash;
	int n, stop_at; /* stop_at: fail at that frame; -1: never */
};

static inline int see(void *arg, uint32_t pgno, uint32_t commit, const uint8_t *p,
		      struct err *e)
{
	struct seen *s = arg;

	if (s->n == s->stop_at)
		return err_set(e, ERR_CANCELED, "enough");
	assert_true(s->n < 4000);
	s->pgno[s->n] = pgno;
	s->commit[s->n++] = commit;
	s->hash = s->hash * 31 + hash_page(pgno, p, s->ps);
	return 0;
}

struct reading {
	struct wal_chain chain;
	struct seen seen;
	struct trailer t;
	struct wal_pos stop_after;
	bool has, allow_plain;
	size_t step;
	struct err e;
};

static inline void reading_init(struct reading *r, struct wal_pos at, uint32_t ps)
{
	memset(r, 0, sizeof *r);
	wal_chain_init(&r->chain, at, ps);
	r->seen.ps = ps;
	r->seen.stop_at = -1;
	r->step = 1000;
}

/* The trailer is freed here; its plain fields stay. */
static inline int read_bytes(struct reading *r, enum codec c, struct wal_pos pos,
			     const uint8_t *p, size_t n)
{
	struct segment_source src = { .codec = c,
				      .pos = pos,
				      .size = n,
				      .allow_plain = r->allow_plain,
				      .stop_after = r->stop_after };
	struct segment_sink sink = { &r->seen, see };
	struct segment_reader *sr = segment_reader_new(&r->chain, &src, &sink);
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i += r->step)
		ret = segment_reader_push(sr, p + i, n - i < r->step ? n - i : r->step,
					  &r->e);
	if (!ret)
		ret = segment_reader_finish(sr, &r->t, &r->has, &r->e);
	if (!ret)
		trailer_free(&r->t);
	segment_reader_destroy(sr);
	return ret;
}

static inline void read_ok(struct reading *r, enum codec c, struct wal_pos pos,
			   const struct buf *b)
{
	if (read_bytes(r, c, pos, b->p, b->len))
		fail_msg("%s", r->e.msg);
}

static inline void read_bad(struct reading *r, enum codec c, struct wal_pos pos,
			    const struct buf *b, const char *msg)
{
	struct wal_chain before = r->chain;

	if (!read_bytes(r, c, pos, b->p, b->len))
		fail_msg("accepted: %s", msg);
	assert_string_equal(r->e.msg, msg);
	assert_int_equal(r->e.code, ERR_CORRUPT);
	assert_memory_equal(&r->chain, &before, sizeof before);
}

static inline struct buf new_buf(void)
{
	return (struct buf)BUF(64 << 20);
}

/* commits of 1, 2, 3 ... frames */
static inline void write_commits(struct segment_writer *w, uint32_t ps, int commits)
{
	for (int c = 1; c <= commits; c++) {
		for (int f = 1; f <= c; f++)
			segment_frame(w, (uint32_t)f, f == c ? 20 : 0,
				      page(ps, (uint32_t)f, (uint32_t)c));
		segment_commit(w, 1000 + c * 10, 100 + (uint64_t)c, 20);
	}
}

struct chain {
	struct synth s;
	struct segment_start st;
};

static inline void chain_begin(struct chain *c, enum codec codec, uint32_t index)
{
	c->st = start_of(codec, 1024);
	synth_init(&c->s, 1024, index);
}

/* One commit of n frames, or (open) only frames. */
static inline struct wal_pos add(struct chain *c, struct buf *b, uint32_t n, bool open)
{
	struct wal_pos at = c->s.pos;
	struct segment_writer *w = segment_new(&c->st, &c->s);

	for (uint32_t f = 1; f <= n; f++)
		segment_frame(w, f, f == n && !open ? 10 : 0, page(1024, f, 1));
	if (!open)
		segment_commit(w, 1000, 100, 10);
	segment_finish(w, b, NULL);
	segment_destroy(w);
	return at;
}

static inline struct wal_pos claim(struct chain *c, struct buf *b)
{
	struct wal_pos at = c->s.pos;

	segment_claim(&c->st, &c->s, b);
	return at;
}

/* ---- Litestream's objects, and trailers that lie ---- */

static inline struct buf plain_of(enum codec c, const uint8_t *raw, size_t n)
{
	struct buf b = new_buf();

	codec_compress(c, raw, n, &b);
	return b;
}

/* A WAL of nframes frames as raw bytes, the frames at commits[] (from 0) being commits. */
static inline struct buf raw_wal(bool big_endian, uint32_t index, uint32_t nframes,
				 uint32_t last_commit)
{
	struct buf b = new_buf();
	struct synth s;
	uint8_t h[WAL_HEADER_SIZE], f[WAL_FRAME_HEADER_SIZE];

	synth_init(&s, 512, index);
	s.header.big_endian = big_endian;
	synth_header(&s, h);
	buf_add(&b, h, sizeof h);
	for (uint32_t i = 1; i <= nframes; i++) {
		synth_frame(&s, i, i == nframes ? last_commit : 0, page(512, i, 1), f);
		buf_add(&b, f, sizeof f);
		buf_add(&b, page(512, i, 1), 512);
	}
	return b;
}

#endif
