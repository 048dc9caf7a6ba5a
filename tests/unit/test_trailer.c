/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/unit/unit.h"
#include "wal/codec.h"
#include "wal/trailer.h"

#include <stdlib.h>
#include <string.h>

#define FRAME 4120ULL /* 24 + 4096 */

static struct trailer segment(void)
{
	static const struct trailer_commit commits[] = { { 1, 1000 },
							 { 200, 1000 },
							 { 3, 1000 + 86400000 } };
	struct trailer t = {
		.kind = TRAILER_SEGMENT,
		.page_size = 4096,
		.generation = "0123456789abcdef",
		.session = 0xfedcba9876543210,
		.pos = { 7, 32 + 5 * FRAME },
		.raw_len = 204 * FRAME,
		.raw_xxh3 = 11,
		.db_sum_before = 12,
		.db_sum_after = 13,
		.db_pages_after = 14,
		.time_ms = 1000 + 86400000,
		.first_time_ms = 1000,
		.ncommits = 3,
	};

	t.commits = mem_dup(commits, sizeof commits);
	return t;
}

static struct trailer snapshot(void)
{
	static const struct trailer_chunk chunks[] = { { 100, 1 }, { 200, 2 }, { 50, 3 } };
	struct trailer t = {
		.kind = TRAILER_SNAPSHOT,
		.page_size = 4096,
		.generation = "ffffffffffffffff",
		.session = 1,
		.pos = { 3, 0 },
		.raw_len = 600 * 4096ULL,
		.raw_xxh3 = 11,
		.db_sum_after = 13,
		.db_pages_after = 600,
		.time_ms = -5,
		.replay = { 3, 0 },
		.valid = { 3, 32 + FRAME },
		.chunk_pages = 256,
		.nchunks = 3,
	};

	t.chunks = mem_dup(chunks, sizeof chunks);
	return t;
}

static struct buf bytes_of(const struct trailer *t)
{
	struct buf b = BUF(1 << 20);

	trailer_format(t, &b);
	assert_true(buf_ok(&b));
	return b;
}

static void a_segment_survives_format_and_parse(void **state)
{
	struct trailer t = segment(), got;
	struct buf b = bytes_of(&t);
	struct err e = ERR_INIT;

	(void)state;
	if (trailer_parse(&got, b.p, b.len, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(got.kind, TRAILER_SEGMENT);
	assert_int_equal(got.flags, 0);
	assert_int_equal(got.page_size, 4096);
	assert_string_equal(got.generation, t.generation);
	assert_int_equal(got.session, t.session);
	assert_int_equal(wal_pos_cmp(got.pos, t.pos), 0);
	assert_int_equal(got.raw_len, t.raw_len);
	assert_int_equal(got.raw_xxh3, 11);
	assert_int_equal(got.db_sum_before, 12);
	assert_int_equal(got.db_sum_after, 13);
	assert_int_equal(got.db_pages_after, 14);
	assert_int_equal(got.time_ms, t.time_ms);
	assert_int_equal(got.first_time_ms, 1000);
	assert_int_equal(got.ncommits, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(got.commits[i].frames, t.commits[i].frames);
		assert_int_equal(got.commits[i].time_ms, t.commits[i].time_ms);
	}
	assert_int_equal(trailer_frames(&got), 204);
	assert_int_equal(trailer_end(&got).offset, 32 + 209 * FRAME);
	assert_int_equal(trailer_commit_end(&got, 1).offset, 32 + 6 * FRAME);
	assert_int_equal(trailer_commit_end(&got, 3).offset, 32 + 209 * FRAME);
	assert_int_equal(trailer_commit_end(&got, 3).index, 7);
	assert_int_equal(trailer_commits_until(&got, 999), 0);
	assert_int_equal(trailer_commits_until(&got, 1000), 2);
	assert_int_equal(trailer_commits_until(&got, INT64_MAX), 3);
	assert_false(trailer_is_claim(&got));
	trailer_free(&got);
	trailer_free(&t);
	buf_free(&b);
}

static void a_snapshot_survives_format_and_parse(void **state)
{
	struct trailer t = snapshot(), got;
	struct buf b = bytes_of(&t);
	struct err e = ERR_INIT;

	(void)state;
	if (trailer_parse(&got, b.p, b.len, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(got.kind, TRAILER_SNAPSHOT);
	assert_int_equal(got.time_ms, -5);
	assert_int_equal(wal_pos_cmp(got.replay, t.replay), 0);
	assert_int_equal(wal_pos_cmp(got.valid, t.valid), 0);
	assert_int_equal(got.chunk_pages, 256);
	assert_int_equal(got.nchunks, 3);
	assert_memory_equal(&got.chunks[1].compressed_len, &t.chunks[1].compressed_len, 4);
	assert_int_equal(got.chunks[2].xxh3, 3);
	trailer_free(&got);
	trailer_free(&t);
	buf_free(&b);
}

static void the_bytes_are_those_of_the_format(void **state)
{
	struct trailer t = segment();
	struct buf b = bytes_of(&t);
	uint64_t distance;

	(void)state;
	/* 100, then 1 0, 200 (two bytes) 0, 3 and 86400000 (four bytes) */
	size_t body = 100 + 2 + 3 + 5;

	assert_int_equal(b.len, body + 24);
	assert_int_equal(get_le32(b.p), CODEC_TRAILER_MAGIC);
	assert_int_equal(get_le32(b.p + 4), body + 16);
	assert_int_equal(b.p[8], 1);
	assert_int_equal(b.p[9], 1);
	assert_int_equal(b.p[16], 0x01); /* the id's first digits */
	assert_int_equal(b.p[23], 0xef);
	assert_int_equal(get_le64(b.p + 24), t.session);
	assert_int_equal(get_le32(b.p + 8 + 24), 7);
	assert_int_equal(get_le64(b.p + 8 + 80), t.time_ms);
	assert_int_equal(get_le32(b.p + 8 + 88), 3);
	static const uint8_t leb[] = { 1, 0, 0xc8, 1, 0, 3, 0x80, 0xb8, 0x99, 0x29 };

	assert_memory_equal(b.p + 108, leb, sizeof leb);
	assert_int_equal(get_le32(b.p + b.len - 16), body);
	assert_int_equal(get_le32(b.p + b.len - 12), hash_crc32c(b.p + 8, body));
	assert_memory_equal(b.p + b.len - 8, "WALBACK1", 8);
	assert_true(trailer_find(b.p + b.len - 16, 16, &distance));
	assert_int_equal(distance, b.len);
	assert_false(trailer_find(b.p + b.len - 15, 15, &distance));
	assert_false(trailer_find(b.p, b.len - 1, &distance));
	trailer_free(&t);
	buf_free(&b);
}

/* Writes v of n bytes into the body at offset and repairs the checksum. */
static void patch(struct buf *b, size_t at, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		b->p[8 + at + (size_t)i] = (uint8_t)(v >> 8 * i);
	put_le32(b->p + b->len - 12, hash_crc32c(b->p + 8, b->len - 24));
}

struct bad {
	size_t at;
	uint64_t v;
	int n;
	const char *msg;
};

static void check_bad(const struct trailer *t, const struct bad *c)
{
	struct buf b = bytes_of(t);
	struct trailer got;
	struct err e = ERR_INIT;

	patch(&b, c->at, c->v, c->n);
	if (!trailer_parse(&got, b.p, b.len, &e))
		fail_msg("accepted: %s", c->msg);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_string_equal(e.msg, c->msg);
	buf_free(&b);
}

static void every_rule_for_segments_is_checked(void **state)
{
	static const struct bad cases[] = {
		{ 0, 3, 1, "trailer: unknown kind 3" },
		{ 0, 0, 1, "trailer: unknown kind 0" },
		{ 1, 2, 1, "trailer: unknown version 2" },
		{ 2, 8, 2, "trailer: unknown flags" },
		{ 2, 0x100, 2, "trailer: unknown flags" },
		{ 4, 4097, 4, "trailer: page size 4097" },
		{ 28, 1, 4, "trailer: a reserved field is set" },
		{ 76, 1, 4, "trailer: a reserved field is set" },
		{ 32, 31, 8, "trailer: its offset is not between frames" },
		{ 32, 33, 8, "trailer: its offset is not between frames" },
		{ 32, UINT64_MAX, 8, "trailer: its length is out of range" },
		{ 32, 0, 8, "trailer: its length is not whole frames" }, /* no header */
		{ 40, 204 * FRAME + 1, 8, "trailer: its length is not whole frames" },
		{ 40, 203 * FRAME, 8,
		  "trailer: its commits have more frames than it holds" },
		{ 40, 205 * FRAME, 8,
		  "trailer: frames without a commit and its flags disagree" },
		{ 40, 0, 8, "trailer: a claim with commits or flags" },
		{ 2, 2, 2, "trailer: frames without a commit and its flags disagree" },
		{ 2, 4, 2, "trailer: sums that its flags call unknown" },
		{ 80, 1001, 8, "trailer: the last commit's time is given twice" },
		{ 88, 4, 4,
		  "trailer: a number of its commits is not in its shortest form" },
		{ 88, 2, 4, "trailer: bytes after its commits" },
		{ 88, 9999, 4, "trailer: fewer commits than it counts" },
		{ 88, UINT32_MAX, 4, "trailer: fewer commits than it counts" },
		{ 88, 0, 4, "trailer: bytes after its commits" },
		{ 92, INT64_MAX - 1, 8, "trailer: a time out of range" },
		{ 100, 0, 1, "trailer: a commit without a frame" },
		{ 101, 1, 1, "trailer: the first commit's time is given twice" },
		{ 100, 0x0081, 2,
		  "trailer: a number of its commits is not in its shortest form" },
	};
	struct trailer t = segment();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_bad(&t, &cases[i]);
	trailer_free(&t);
}

static void every_rule_for_snapshots_is_checked(void **state)
{
	static const struct bad cases[] = {
		{ 2, 1, 2, "trailer: unknown flags" },
		{ 40, 1, 8, "trailer: its length and page count disagree" },
		{ 72, 0, 4, "trailer: its length and page count disagree" },
		{ 24, 4, 4, "trailer: its positions disagree" },
		{ 88, 4, 4, "trailer: its positions disagree" },
		{ 100, 2, 4, "trailer: its positions disagree" },
		{ 112, 255, 4, "trailer: its chunks and page count disagree" },
		{ 112, 0, 4, "trailer: its chunks and page count disagree" },
		{ 116, 2, 4, "trailer: its chunks and page count disagree" },
		{ 112, 0, 8, "trailer: its chunk table has another length" },
		{ 120, 0, 4, "trailer: a chunk of no bytes" },
	};
	struct trailer t = snapshot();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_bad(&t, &cases[i]);
	trailer_free(&t);
}

static void the_sum_before_a_snapshot_is_ignored(void **state)
{
	struct trailer t = snapshot(), got;
	struct buf b = bytes_of(&t);
	struct err e = ERR_INIT;

	(void)state;
	patch(&b, 56, 99, 8);
	assert_int_equal(trailer_parse(&got, b.p, b.len, &e), 0);
	trailer_free(&got);
	trailer_free(&t);
	buf_free(&b);
}

static void a_newer_version_gets_a_hint(void **state)
{
	struct trailer t = segment(), got;
	struct buf b = bytes_of(&t);
	struct err e = ERR_INIT;

	(void)state;
	patch(&b, 1, 2, 1);
	assert_int_equal(trailer_parse(&got, b.p, b.len, &e), -1);
	assert_string_equal(e.hint, "a newer walback wrote this: use that one");
	trailer_free(&t);
	buf_free(&b);
}

static int parse_with_commits(const uint8_t *leb, size_t n, uint32_t ncommits,
			      struct trailer *got, struct err *e)
{
	struct trailer t = { .kind = TRAILER_SEGMENT,
			     .page_size = 512,
			     .generation = "0000000000000000",
			     .pos = { 0, 32 },
			     .raw_len = 536 };
	struct buf b = bytes_of(&t), x = BUF(1000);

	buf_add(&x, b.p, 108);
	buf_add(&x, leb, n);
	buf_add(&x, b.p + 108, 16);
	put_le32(x.p + 4, (uint32_t)(100 + n + 16));
	put_le32(x.p + x.len - 16, (uint32_t)(100 + n));
	patch(&x, 88, ncommits, 4);
	int r = trailer_parse(got, x.p, x.len, e);

	buf_free(&b);
	buf_free(&x);
	return r;
}

static void leb128_is_shortest_and_at_most_64_bits(void **state)
{
	static const struct {
		uint8_t b[24];
		size_t n;
		const char *msg; /* NULL: accepted */
	} cases[] = {
		{ { 1, 0 }, 2, NULL },
		{ { 1, 0x80, 0 },
		  3,
		  "trailer: a number of its commits is not in its shortest form" },
		{ { 0x81, 0, 0 },
		  3,
		  "trailer: a number of its commits is not in its shortest form" },
		{ { 0x81, 0x80, 0, 0 },
		  4,
		  "trailer: a number of its commits is not in its shortest form" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0 },
		  11,
		  "trailer: its commits have more frames than it holds" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0 },
		  11,
		  "trailer: a number of its commits is not in its shortest form" },
		{ { 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0, 0 },
		  12,
		  "trailer: a number of its commits is not in its shortest form" },
		{ { 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		  11,
		  "trailer: a time out of range" },
		{ { 0x80, 0x80 },
		  2,
		  "trailer: a number of its commits is not in its shortest form" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trailer got;
		struct err e = ERR_INIT;
		int r = parse_with_commits(cases[i].b, cases[i].n, 1, &got, &e);

		assert_int_equal(r, cases[i].msg ? -1 : 0);
		if (r)
			assert_string_equal(e.msg, cases[i].msg);
		else
			trailer_free(&got);
	}
}

static void two_huge_counts_do_not_wrap_around(void **state)
{
	/* 2^64 - 1 and 2 frames would add up to 1. */
	static const uint8_t leb[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 1,	 0,    2,    0 };
	struct trailer got;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse_with_commits(leb, sizeof leb, 2, &got, &e), -1);
	assert_string_equal(e.msg, "trailer: its commits have more frames than it holds");
}

static void claims_are_empty_and_without_flags(void **state)
{
	static const struct {
		uint64_t offset, raw_len;
		uint16_t flags;
		uint64_t hash, before, after;
		const char *msg;
	} cases[] = {
		{ 32, 0, 0, 0x2d06800538d394c2, 5, 5, NULL },
		{ 0, 32, 0, 7, 5, 5, NULL },
		{ 0, 32, 0, 7, 0, 0, NULL },
		{ 32, 0, 0, 1, 5, 5, "trailer: the hash of nothing is wrong" },
		{ 32, 0, 1, 0x2d06800538d394c2, 5, 5,
		  "trailer: a claim with commits or flags" },
		{ 0, 32, 4, 7, 0, 0, "trailer: a claim with commits or flags" },
		{ 0, 32, 0, 7, 5, 6, "trailer: sums that differ without a commit" },
		{ 0, 0, 0, 0x2d06800538d394c2, 5, 5,
		  "trailer: its length is not whole frames" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trailer t = { .kind = TRAILER_SEGMENT,
				     .flags = cases[i].flags,
				     .page_size = 4096,
				     .generation = "0000000000000000",
				     .pos = { 1, cases[i].offset },
				     .raw_len = cases[i].raw_len,
				     .raw_xxh3 = cases[i].hash,
				     .db_sum_before = cases[i].before,
				     .db_sum_after = cases[i].after },
			       got;
		struct buf b = bytes_of(&t);
		struct err e = ERR_INIT;
		int r = trailer_parse(&got, b.p, b.len, &e);

		assert_int_equal(r, cases[i].msg ? -1 : 0);
		if (r) {
			assert_string_equal(e.msg, cases[i].msg);
		} else {
			assert_true(trailer_is_claim(&got));
			trailer_free(&got);
		}
		buf_free(&b);
	}
}

static void any_damage_to_the_bytes_is_seen(void **state)
{
	struct trailer t[2] = { segment(), snapshot() };

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct buf b = bytes_of(&t[k]);
		struct trailer got;
		struct err e = ERR_INIT;

		for (size_t i = 0; i < b.len * 8; i++) {
			b.p[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(trailer_parse(&got, b.p, b.len, &e), -1);
			b.p[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		for (size_t n = 0; n < b.len; n++) {
			assert_int_equal(trailer_parse(&got, b.p, n, &e), -1);
			assert_int_equal(
				trailer_parse(&got, b.p + n + 1, b.len - n - 1, &e), -1);
		}
		buf_free(&b);
		trailer_free(&t[k]);
	}
}

static void a_body_too_short_for_its_kind_is_refused(void **state)
{
	struct trailer t = snapshot(), got;

	(void)state;
	for (size_t body = 0; body < 120; body++) {
		struct buf b = bytes_of(&t), x = BUF(1000);
		struct err e = ERR_INIT;

		buf_add(&x, b.p, 8 + body);
		buf_add(&x, b.p + b.len - 16, 16);
		put_le32(x.p + 4, (uint32_t)(body + 16));
		put_le32(x.p + x.len - 16, (uint32_t)body);
		put_le32(x.p + x.len - 12, hash_crc32c(x.p + 8, body));
		assert_int_equal(trailer_parse(&got, x.p, x.len, &e), -1);
		assert_string_equal(e.msg, body < 100
						   ? "trailer: too short"
						   : "trailer: too short for a snapshot");
		buf_free(&b);
		buf_free(&x);
	}
	trailer_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_survives_format_and_parse),
		cmocka_unit_test(a_snapshot_survives_format_and_parse),
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(every_rule_for_segments_is_checked),
		cmocka_unit_test(every_rule_for_snapshots_is_checked),
		cmocka_unit_test(the_sum_before_a_snapshot_is_ignored),
		cmocka_unit_test(a_newer_version_gets_a_hint),
		cmocka_unit_test(leb128_is_shortest_and_at_most_64_bits),
		cmocka_unit_test(two_huge_counts_do_not_wrap_around),
		cmocka_unit_test(claims_are_empty_and_without_flags),
		cmocka_unit_test(any_damage_to_the_bytes_is_seen),
		cmocka_unit_test(a_body_too_short_for_its_kind_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
