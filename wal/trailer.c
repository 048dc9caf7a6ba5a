/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One skippable frame (zstd's and LZ4's are the same), integers little-endian:
 *
 *   u32 0x184D2A5B, u32 length of what follows
 *   body
 *   u32 body_len, u32 crc32c(body), "WALBACK1"
 *
 *  0  u8 kind, u8 version 1, u16 flags, u32 page_size
 *  8  u8 generation[8], u64 session
 * 24  u32 index, u32 0, u64 offset
 * 40  u64 raw_len, u64 raw_xxh3
 * 56  u64 db_sum_before, u64 db_sum_after, u32 db_pages_after, u32 0
 * 80  i64 time_ms
 * 88  segment: u32 ncommits, i64 first_time_ms; 100 per commit two LEB128:
 *     frames, milliseconds since the commit before (the first: 0)
 * 88  snapshot: u32 replay_index, u64 replay_offset, u32 valid_index,
 *     u64 valid_offset, u32 chunk_pages, u32 nchunks; 120 per chunk
 *     u32 compressed_len, u64 xxh3
 */
#include "wal/trailer.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "wal/codec.h"
#include "wal/dbhdr.h"
#include "wal/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_HEAD 8
#define EXTRA (FRAME_HEAD + TRAILER_TAIL)
#define SEGMENT_BODY 100
#define SNAPSHOT_BODY 120
#define CHUNK_ENTRY 12
#define CHUNK_BYTES (1U << 20)
#define XXH3_OF_NOTHING 0x2d06800538d394c2U
static const char END_MAGIC[] = "WALBACK1";

void trailer_free(struct trailer *t)
{
	free(t->commits);
	free(t->chunks);
	t->commits = NULL;
	t->chunks = NULL;
	t->ncommits = t->nchunks = 0;
}

bool trailer_find(const uint8_t *tail, size_t n, uint64_t *distance)
{
	if (n < TRAILER_TAIL || memcmp(tail + n - 8, END_MAGIC, 8) != 0)
		return false;
	*distance = (uint64_t)get_le32(tail + n - TRAILER_TAIL) + EXTRA;
	return true;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "trailer: %s", what);
}

/* ---- parse ---- */

/* Unsigned LEB128, low group first, shortest form, at most 64 bits. */
static int get_leb(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
		uint8_t b = *(*p)++;

		if (shift == 63 && b > 1)
			return -1;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if (!b && shift)
			return -1;
		*out = v;
		return 0;
	}
	return -1;
}

static int parse_commits(struct trailer *t, const uint8_t *p, size_t n, struct err *e)
{
	const uint8_t *end = p + n;
	int64_t time = t->first_time_ms;

	if (t->ncommits > n / 2)
		return bad(e, "fewer commits than it counts");
	t->commits = mem_array(t->ncommits, sizeof *t->commits);
	for (uint32_t i = 0; i < t->ncommits; i++) {
		uint64_t frames, ms;

		if (get_leb(&p, end, &frames) || get_leb(&p, end, &ms))
			return bad(e,
				   "a number of its commits is not in its shortest form");
		if (!frames)
			return bad(e, "a commit without a frame");
		if (ms > INT64_MAX || __builtin_add_overflow(time, (int64_t)ms, &time))
			return bad(e, "a time out of range");
		if (!i && ms)
			return bad(e, "the first commit's time is given twice");
		t->commits[i] = (struct trailer_commit){ frames, time };
	}
	if (p != end)
		return bad(e, "bytes after its commits");
	if (time != t->time_ms)
		return bad(e, "the last commit's time is given twice");
	return 0;
}

/* How the object lies in its index: whole frames, a header at offset 0. */
static int check_place(const struct trailer *t, struct err *e)
{
	uint64_t frame = WAL_FRAME_HEADER_SIZE + (uint64_t)t->page_size;
	uint64_t head = t->pos.offset ? 0 : WAL_HEADER_SIZE, end;

	if (__builtin_add_overflow(t->pos.offset, t->raw_len, &end))
		return bad(e, "its length is out of range");
	if (t->pos.offset &&
	    (t->pos.offset < WAL_HEADER_SIZE || (t->pos.offset - WAL_HEADER_SIZE) % frame))
		return bad(e, "its offset is not between frames");
	if (t->raw_len < head || (t->raw_len - head) % frame)
		return bad(e, "its length is not whole frames");
	return 0;
}

static int check_claim(const struct trailer *t, struct err *e)
{
	if (t->ncommits || t->flags)
		return bad(e, "a claim with commits or flags");
	if (!t->raw_len && t->raw_xxh3 != XXH3_OF_NOTHING)
		return bad(e, "the hash of nothing is wrong");
	return 0;
}

static int check_commits(const struct trailer *t, struct err *e)
{
	uint64_t frames = trailer_frames(t), sum = 0;

	for (uint32_t i = 0; i < t->ncommits; i++)
		if (__builtin_add_overflow(sum, t->commits[i].frames, &sum) || sum > frames)
			return bad(e, "its commits have more frames than it holds");
	if ((t->flags & TRAILER_OPEN) ? sum == frames : sum != frames)
		return bad(e, "frames without a commit and its flags disagree");
	return 0;
}

static int parse_segment(struct trailer *t, const uint8_t *b, size_t n, struct err *e)
{
	if (t->flags & ~(TRAILER_DIFFERENCE | TRAILER_OPEN | TRAILER_NO_SUMS))
		return bad(e, "unknown flags");
	t->ncommits = get_le32(b + 88);
	t->first_time_ms = (int64_t)get_le64(b + 92);
	if (check_place(t, e) || parse_commits(t, b + SEGMENT_BODY, n - SEGMENT_BODY, e))
		return -1;
	if ((t->flags & TRAILER_NO_SUMS) && (t->db_sum_before || t->db_sum_after))
		return bad(e, "sums that its flags call unknown");
	if (!t->ncommits && t->db_sum_before != t->db_sum_after)
		return bad(e, "sums that differ without a commit");
	return trailer_is_claim(t) ? check_claim(t, e) : check_commits(t, e);
}

static int check_image(const struct trailer *t, struct err *e)
{
	uint64_t chunk = CHUNK_BYTES / t->page_size, pages = t->db_pages_after;

	assert(chunk); /* page sizes reach 64 KiB */
	if (!pages || t->raw_len != pages * t->page_size)
		return bad(e, "its length and page count disagree");
	if (wal_pos_cmp(t->pos, t->replay) != 0 || wal_pos_cmp(t->replay, t->valid) > 0)
		return bad(e, "its positions disagree");
	if (!t->chunk_pages && !t->nchunks)
		return 0;
	if (t->chunk_pages != chunk || t->nchunks != (pages + chunk - 1) / chunk)
		return bad(e, "its chunks and page count disagree");
	return 0;
}

static int parse_snapshot(struct trailer *t, const uint8_t *b, size_t n, struct err *e)
{
	if (t->flags)
		return bad(e, "unknown flags");
	if (n < SNAPSHOT_BODY)
		return bad(e, "too short for a snapshot");
	t->replay = (struct wal_pos){ get_le32(b + 88), get_le64(b + 92) };
	t->valid = (struct wal_pos){ get_le32(b + 100), get_le64(b + 104) };
	t->chunk_pages = get_le32(b + 112);
	t->nchunks = get_le32(b + 116);
	if (check_image(t, e))
		return -1;
	if ((n - SNAPSHOT_BODY) % CHUNK_ENTRY ||
	    (n - SNAPSHOT_BODY) / CHUNK_ENTRY != t->nchunks)
		return bad(e, "its chunk table has another length");
	t->chunks = mem_array(t->nchunks, sizeof *t->chunks);
	for (uint32_t i = 0; i < t->nchunks; i++) {
		const uint8_t *p = b + SNAPSHOT_BODY + (size_t)i * CHUNK_ENTRY;

		t->chunks[i] = (struct trailer_chunk){ get_le32(p), get_le64(p + 4) };
		if (!t->chunks[i].compressed_len)
			return bad(e, "a chunk of no bytes");
	}
	return 0;
}

static int parse_common(struct trailer *t, const uint8_t *b, struct err *e)
{
	if (b[0] != TRAILER_SEGMENT && b[0] != TRAILER_SNAPSHOT)
		return err_set(e, ERR_CORRUPT, "trailer: unknown kind %u", b[0]);
	if (b[1] != 1) {
		err_set(e, ERR_CORRUPT, "trailer: unknown version %u", b[1]);
		return err_hint(e, "a newer walback wrote this: use that one");
	}
	t->kind = b[0] == TRAILER_SEGMENT ? TRAILER_SEGMENT : TRAILER_SNAPSHOT;
	t->flags = get_le16(b + 2);
	t->page_size = get_le32(b + 4);
	if (!db_page_size_ok(t->page_size))
		return err_set(e, ERR_CORRUPT, "trailer: page size %u", t->page_size);
	text_hex(b + 8, 8, t->generation);
	t->session = get_le64(b + 16);
	t->pos = (struct wal_pos){ get_le32(b + 24), get_le64(b + 32) };
	t->raw_len = get_le64(b + 40);
	t->raw_xxh3 = get_le64(b + 48);
	t->db_sum_before = get_le64(b + 56);
	t->db_sum_after = get_le64(b + 64);
	t->db_pages_after = get_le32(b + 72);
	t->time_ms = (int64_t)get_le64(b + 80);
	if (get_le32(b + 28) || get_le32(b + 76))
		return bad(e, "a reserved field is set");
	return 0;
}

static int check_envelope(const uint8_t *p, size_t n, struct err *e)
{
	uint64_t distance;

	if (n < EXTRA || n > TRAILER_MAX || !trailer_find(p, n, &distance) || distance != n)
		return bad(e, "not whole");
	if (get_le32(p) != CODEC_TRAILER_MAGIC || get_le32(p + 4) != n - FRAME_HEAD)
		return bad(e, "its frame's header is damaged");
	if (hash_crc32c(p + FRAME_HEAD, n - EXTRA) != get_le32(p + n - 12))
		return bad(e, "wrong checksum");
	return 0;
}

int trailer_parse(struct trailer *out, const uint8_t *p, size_t n, struct err *e)
{
	struct trailer t = { .kind = TRAILER_SEGMENT };
	const uint8_t *b = p + FRAME_HEAD;

	if (check_envelope(p, n, e))
		return -1;
	n -= EXTRA;
	if (n < SEGMENT_BODY)
		return bad(e, "too short");
	if (parse_common(&t, b, e))
		return -1;
	if (t.kind == TRAILER_SEGMENT ? parse_segment(&t, b, n, e)
				      : parse_snapshot(&t, b, n, e)) {
		trailer_free(&t);
		return -1;
	}
	*out = t;
	return 0;
}

/* ---- format ---- */

static void add_u32(struct buf *b, uint32_t v)
{
	uint8_t x[4];

	put_le32(x, v);
	buf_add(b, x, sizeof x);
}

static void add_u64(struct buf *b, uint64_t v)
{
	uint8_t x[8];

	put_le64(x, v);
	buf_add(b, x, sizeof x);
}

static void add_leb(struct buf *b, uint64_t v)
{
	uint8_t x[10];
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		x[n++] = (uint8_t)(v | 0x80);
	x[n++] = (uint8_t)v;
	buf_add(b, x, n);
}

static void add_common(const struct trailer *t, struct buf *b)
{
	uint8_t kind[4] = { (uint8_t)t->kind, 1 }, gen[8];
	uint64_t g;

	put_le16(kind + 2, t->flags);
	buf_add(b, kind, sizeof kind);
	add_u32(b, t->page_size);
	int r = text_hex64(t->generation, 16, &g);

	assert(!r && !t->generation[16]);
	put_be64(gen, g);
	buf_add(b, gen, sizeof gen);
	add_u64(b, t->session);
	add_u32(b, t->pos.index);
	add_u32(b, 0);
	add_u64(b, t->pos.offset);
	add_u64(b, t->raw_len);
	add_u64(b, t->raw_xxh3);
	add_u64(b, t->db_sum_before);
	add_u64(b, t->db_sum_after);
	add_u32(b, t->db_pages_after);
	add_u32(b, 0);
	add_u64(b, (uint64_t)t->time_ms);
}

static void add_segment(const struct trailer *t, struct buf *b)
{
	int64_t time = t->first_time_ms;

	add_u32(b, t->ncommits);
	add_u64(b, (uint64_t)t->first_time_ms);
	for (uint32_t i = 0; i < t->ncommits; i++) {
		add_leb(b, t->commits[i].frames);
		add_leb(b, (uint64_t)t->commits[i].time_ms - (uint64_t)time);
		time = t->commits[i].time_ms;
	}
}

static void add_snapshot(const struct trailer *t, struct buf *b)
{
	add_u32(b, t->replay.index);
	add_u64(b, t->replay.offset);
	add_u32(b, t->valid.index);
	add_u64(b, t->valid.offset);
	add_u32(b, t->chunk_pages);
	add_u32(b, t->nchunks);
	for (uint32_t i = 0; i < t->nchunks; i++) {
		add_u32(b, t->chunks[i].compressed_len);
		add_u64(b, t->chunks[i].xxh3);
	}
}

void trailer_format(const struct trailer *t, struct buf *out)
{
	struct buf b = BUF(TRAILER_MAX);

	add_common(t, &b);
	if (t->kind == TRAILER_SEGMENT)
		add_segment(t, &b);
	else
		add_snapshot(t, &b);
	assert(buf_ok(&b) && b.len <= TRAILER_MAX - EXTRA);
	add_u32(out, CODEC_TRAILER_MAGIC);
	add_u32(out, (uint32_t)(b.len + TRAILER_TAIL));
	buf_add(out, b.p, b.len);
	add_u32(out, (uint32_t)b.len);
	add_u32(out, hash_crc32c(b.p, b.len));
	buf_add(out, END_MAGIC, 8);
	buf_free(&b);
}

/* ---- what it says ---- */

bool trailer_is_claim(const struct trailer *t)
{
	return t->kind == TRAILER_SEGMENT &&
	       t->raw_len == (t->pos.offset ? 0 : WAL_HEADER_SIZE);
}

uint64_t trailer_frames(const struct trailer *t)
{
	uint64_t head = t->pos.offset ? 0 : WAL_HEADER_SIZE;

	return (t->raw_len - head) / (WAL_FRAME_HEADER_SIZE + (uint64_t)t->page_size);
}

struct wal_pos trailer_end(const struct trailer *t)
{
	return (struct wal_pos){ t->pos.index, t->pos.offset + t->raw_len };
}

struct wal_pos trailer_commit_end(const struct trailer *t, uint32_t n)
{
	uint64_t at = t->pos.offset ? t->pos.offset : WAL_HEADER_SIZE;

	for (uint32_t i = 0; i < n; i++)
		at += t->commits[i].frames *
		      (WAL_FRAME_HEADER_SIZE + (uint64_t)t->page_size);
	return (struct wal_pos){ t->pos.index, at };
}

uint32_t trailer_commits_until(const struct trailer *t, int64_t time_ms)
{
	uint32_t n = t->ncommits;

	while (n && t->commits[n - 1].time_ms > time_ms)
		n--;
	return n;
}
