/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/hash.h"
#include "tests/unit/unit.h"
#include "wal/dbhdr.h"
#include "wal/snapshot.h"

#include <stdlib.h>
#include <string.h>

static const enum codec BOTH[] = { CODEC_ZST, CODEC_LZ4 };

static uint8_t *image_of(uint32_t ps, uint32_t pages, size_t *n)
{
	*n = (size_t)ps * pages;
	uint8_t *p = malloc(*n);
	uint32_t x = 99;

	assert_non_null(p);
	for (size_t i = 0; i < *n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i / 128 % 2 ? (uint8_t)(x >> 24) : (uint8_t)("snapshot"[i % 8]);
	}
	memset(p, 0, 100);
	memcpy(p, "SQLite format 3", 16);
	p[16] = (uint8_t)(ps == 65536 ? 0 : ps >> 8);
	p[17] = ps == 65536;
	return p;
}

static struct trailer facts(uint32_t pages)
{
	return (struct trailer){ .generation = "00ff00ff00ff00ff",
				 .session = 3,
				 .pos = { 4, 0 },
				 .valid = { 4, 32 },
				 .db_sum_before = 1, /* written as 0 */
				 .db_sum_after = 0x1234,
				 .db_pages_after = pages,
				 .time_ms = 77 };
}

static struct buf write_it(enum codec c, uint32_t ps, const uint8_t *p, size_t n,
			   size_t step)
{
	struct buf b = BUF(64 << 20);
	struct trailer t = facts((uint32_t)(n / ps));
	struct snapshot_writer *w = snapshot_new(c, ps, &b);

	for (size_t i = 0; i < n; i += step)
		snapshot_add(w, p + i, n - i < step ? n - i : step);
	snapshot_finish(w, &t);
	snapshot_destroy(w);
	assert_true(buf_ok(&b));
	trailer_free(&t);
	return b;
}

struct got {
	struct buf b;
	struct trailer t;
	bool has, allow_plain;
	uint64_t size; /* as listed; 0: true */
	struct err e;
};

static int collect(void *arg, const uint8_t *p, size_t n, struct err *e)
{
	struct got *g = arg;

	(void)e;
	buf_add(&g->b, p, n);
	return 0;
}

/* Leaves the trailer to the caller. */
static int read_it(struct got *g, enum codec c, const uint8_t *p, size_t n, size_t step)
{
	struct snapshot_reader *r =
		snapshot_reader_new(c, g->size ? g->size : n, g->allow_plain, collect, g);
	int ret = 0;

	g->b.max = 64 << 20;
	buf_reset(&g->b);
	for (size_t i = 0; i < n && !ret; i += step)
		ret = snapshot_reader_push(r, p + i, n - i < step ? n - i : step, &g->e);
	if (!ret)
		ret = snapshot_reader_finish(r, &g->t, &g->has, &g->e);
	snapshot_reader_destroy(r);
	return ret;
}

static void read_bad(struct got *g, enum codec c, const struct buf *b, const char *msg)
{
	if (!read_it(g, c, b->p, b->len, 999))
		fail_msg("accepted: %s", msg);
	assert_string_equal(g->e.msg, msg);
	assert_int_equal(g->e.code, ERR_CORRUPT);
}

static void check_round_trip(enum codec c, uint32_t ps, uint32_t pages)
{
	static const size_t steps[] = { 4096, 333, 8 << 20 };
	size_t n;
	uint8_t *p = image_of(ps, pages, &n);

	for (int i = 0; i < 3; i++) {
		struct buf b = write_it(c, ps, p, n, steps[i]);
		struct got g = { 0 };

		if (read_it(&g, c, b.p, b.len, steps[2 - i]))
			fail_msg("%s", g.e.msg);
		assert_true(g.has);
		assert_int_equal(g.b.len, n);
		assert_memory_equal(g.b.p, p, n);
		assert_int_equal(g.t.kind, TRAILER_SNAPSHOT);
		assert_int_equal(g.t.page_size, ps);
		assert_int_equal(g.t.db_pages_after, pages);
		assert_int_equal(g.t.db_sum_before, 0);
		assert_int_equal(g.t.db_sum_after, 0x1234);
		assert_int_equal(g.t.raw_xxh3, hash_xxh3(p, n));
		assert_int_equal(g.t.nchunks,
				 c == CODEC_ZST ? (n + (1 << 20) - 1) >> 20 : 0);
		assert_int_equal(wal_pos_cmp(g.t.replay, g.t.pos), 0);
		assert_int_equal(g.t.valid.offset, 32);
		trailer_free(&g.t);
		buf_free(&g.b);
		buf_free(&b);
	}
	free(p);
}

static void every_page_size_and_codec_round_trips(void **state)
{
	(void)state;
	for (uint32_t ps = 512; ps <= 65536; ps *= 2)
		for (int c = 0; c < 2; c++) {
			check_round_trip(BOTH[c], ps, 1);
			check_round_trip(BOTH[c], ps, (1 << 20) / ps);
			check_round_trip(BOTH[c], ps, (5 << 19) / ps + 1);
		}
}

static void chunks_compressed_elsewhere_give_the_same_object(void **state)
{
	size_t n;
	uint8_t *p = image_of(4096, 700, &n);
	struct buf want = write_it(CODEC_ZST, 4096, p, n, 5000), got = BUF(64 << 20);
	struct trailer t = facts(700);
	struct snapshot_writer *w = snapshot_new(CODEC_ZST, 4096, &got);
	size_t chunk = snapshot_chunk_bytes(4096);

	(void)state;
	assert_int_equal(chunk, 1 << 20);
	assert_int_equal(snapshot_chunk_bytes(65536), 1 << 20);
	for (size_t i = 0; i < n; i += chunk) {
		struct buf z = BUF(4 << 20);
		struct snapshot_chunk c = { .raw = p + i,
					    .raw_len = n - i < chunk ? n - i : chunk };

		codec_compress(CODEC_ZST, c.raw, c.raw_len, &z);
		c.compressed = z.p;
		c.compressed_len = z.len;
		c.xxh3 = hash_xxh3(c.raw, c.raw_len);
		snapshot_add_chunk(w, &c);
		buf_free(&z);
	}
	snapshot_finish(w, &t);
	snapshot_destroy(w);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
	trailer_free(&t);
	buf_free(&got);
	buf_free(&want);
	free(p);
}

static void chunks_that_are_whole_need_no_copy_and_give_the_same_object(void **state)
{
	size_t n;
	uint8_t *p = image_of(4096, 700, &n);
	struct buf want = write_it(CODEC_ZST, 4096, p, n, 5000), got = BUF(64 << 20);
	struct trailer t = facts(700);
	struct snapshot_writer *w = snapshot_new(CODEC_ZST, 4096, &got);
	size_t chunk = snapshot_chunk_bytes(4096);

	(void)state;
	for (size_t i = 0; i < n; i += chunk)
		snapshot_add_raw_chunk(w, p + i, n - i < chunk ? n - i : chunk);
	snapshot_finish(w, &t);
	snapshot_destroy(w);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
	trailer_free(&t);
	buf_free(&got);
	buf_free(&want);
	free(p);
}

static void out_may_be_drained_between_calls(void **state)
{
	size_t n;
	uint8_t *p = image_of(4096, 700, &n);

	(void)state;
	for (int c = 0; c < 2; c++) {
		struct buf want = write_it(BOTH[c], 4096, p, n, 5000), b = BUF(4 << 20),
			   all = BUF(64 << 20);
		struct trailer t = facts(700);
		struct snapshot_writer *w = snapshot_new(BOTH[c], 4096, &b);

		for (size_t i = 0; i < n; i += 4096) {
			snapshot_add(w, p + i, 4096);
			buf_add(&all, b.p, b.len);
			buf_reset(&b);
		}
		snapshot_finish(w, &t);
		buf_add(&all, b.p, b.len);
		snapshot_destroy(w);
		assert_int_equal(all.len, want.len);
		assert_memory_equal(all.p, want.p, want.len);
		trailer_free(&t);
		buf_free(&b);
		buf_free(&all);
		buf_free(&want);
	}
	free(p);
}

static void litestream_snapshots_are_read_where_they_are_allowed(void **state)
{
	size_t n;
	uint8_t *p = image_of(1024, 3000, &n);
	struct buf b = BUF(8 << 20), z = BUF(8 << 20);
	struct got g = { 0 };

	(void)state;
	codec_compress(CODEC_LZ4, p, n, &b);
	codec_compress(CODEC_ZST, p, n, &z);
	read_bad(&g, CODEC_LZ4, &b, "no trailer, or a damaged one");
	g.allow_plain = true;
	assert_int_equal(read_it(&g, CODEC_LZ4, b.p, b.len, 1 << 20), 0);
	assert_false(g.has);
	assert_memory_equal(g.b.p, p, n);
	read_bad(&g, CODEC_ZST, &z, "its frames are not its chunks");
	buf_add(&b, "garbage after it", 16);
	assert_int_equal(read_it(&g, CODEC_LZ4, b.p, b.len, 1 << 20), 0);
	buf_add(&b, "WALBACK1", 8);
	read_bad(&g, CODEC_LZ4, &b, "no trailer, or a damaged one");
	buf_reset(&b);
	codec_compress(CODEC_LZ4, p, 1500, &b);
	read_bad(&g, CODEC_LZ4, &b, "1500 bytes are not whole pages");
	buf_reset(&b);
	codec_compress(CODEC_LZ4, p, 99, &b);
	read_bad(&g, CODEC_LZ4, &b, "99 bytes are not whole pages");
	p[0] = 'X';
	buf_reset(&b);
	codec_compress(CODEC_LZ4, p, n, &b);
	read_bad(&g, CODEC_LZ4, &b, "not a SQLite database (or an encrypted one)");
	buf_free(&b);
	buf_free(&z);
	buf_free(&g.b);
	free(p);
}

/* The object with another trailer than it should have. */
static struct buf with_trailer(const struct buf *b, const struct trailer *t)
{
	struct buf x = BUF(64 << 20);
	uint64_t distance;

	assert_true(trailer_find(b->p, b->len, &distance));
	buf_add(&x, b->p, b->len - distance);
	trailer_format(t, &x);
	return x;
}

static void a_trailer_that_lies_is_found_out(void **state)
{
	static const char *const zst[] = { "page size 4096, the trailer says 2048",
					   "2867200 bytes, the trailer says 2863104",
					   "chunk 1 is not the trailer's",
					   "chunk 0 is not the trailer's",
					   "3 chunks, the trailer counts 0",
					   "a segment in a snapshot's place" },
				 *const lz4[] = { "page size 4096, the trailer says 2048",
						  "2867200 bytes, the trailer says 2863104",
						  "its content is not the trailer's",
						  "0 chunks, the trailer counts 3",
						  NULL,
						  "a segment in a snapshot's place" };
	size_t n;
	uint8_t *p = image_of(4096, 700, &n);

	(void)state;
	for (int c = 0; c < 2; c++) {
		struct buf b = write_it(BOTH[c], 4096, p, n, 5000);

		for (int i = 0; i < 6; i++) {
			struct got g = { 0 };
			struct trailer_chunk three[3] = { { 1, 1 }, { 1, 1 }, { 1, 1 } };

			assert_int_equal(read_it(&g, BOTH[c], b.p, b.len, 1 << 20), 0);
			struct trailer t = g.t;
			struct trailer_chunk *mine = g.t.chunks;

			if (i == 0)
				t.page_size = 2048, t.db_pages_after = 1400,
				t.chunk_pages *= 2;
			else if (i == 1)
				t.db_pages_after--, t.raw_len -= 4096;
			else if (i == 2 && c == 0)
				t.chunks[1].xxh3 ^= 1;
			else if (i == 2)
				t.raw_xxh3 ^= 1;
			else if (i == 3 && c == 0)
				t.chunks[0].compressed_len--;
			else if (i == 3)
				t.chunks = three, t.nchunks = 3, t.chunk_pages = 256;
			else if (i == 4)
				t.nchunks = t.chunk_pages = 0;
			else
				t = (struct trailer){ .kind = TRAILER_SEGMENT,
						      .page_size = 4096,
						      .generation = "0123456789abcdef",
						      .raw_len = 32 };
			struct buf x = with_trailer(&b, &t);
			const char *want = c == 0 ? zst[i] : lz4[i];

			free(mine);
			if (want) {
				read_bad(&g, BOTH[c], &x, want);
			} else {
				assert_int_equal(read_it(&g, BOTH[c], x.p, x.len, 99), 0);
				trailer_free(&g.t);
			}
			buf_free(&x);
			buf_free(&g.b);
		}
		buf_free(&b);
	}
	free(p);
}

static void frames_that_are_no_chunks_are_refused(void **state)
{
	static const size_t cuts[][3] = { { 4096, 1 << 20, 0 },
					  { (1 << 20) + 1, 100, 0 },
					  { 1 << 20, 0, 4096 },
					  { 0, 1 << 20, 4096 } };
	size_t n;
	uint8_t *p = image_of(4096, 700, &n);

	(void)state;
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		struct buf b = BUF(8 << 20);
		struct got g = { 0 };
		size_t at = 0;

		for (int k = 0; k < 3; k++) {
			if (k < 2 || cuts[i][k])
				codec_compress(CODEC_ZST, p + at, cuts[i][k], &b);
			at += cuts[i][k];
		}
		read_bad(&g, CODEC_ZST, &b, "its frames are not its chunks");
		buf_free(&b);
		buf_free(&g.b);
	}
	free(p);
}

static void cuts_and_flips_never_pass_with_other_content(void **state)
{
	size_t n;
	uint8_t *p = image_of(512, 4, &n);

	(void)state;
	for (int c = 0; c < 2; c++)
		for (int plain = 0; plain < 2; plain++) {
			struct buf b = write_it(BOTH[c], 512, p, n, 512);
			struct got g = { .allow_plain = plain };

			for (size_t k = 0; k < b.len; k++) {
				int r = read_it(&g, BOTH[c], b.p, k, 100);
				/* Litestream's object is one without a trailer: that cut
				 * leaves one that is whole, or is followed by garbage. */
				bool whole = plain && c == 1 && g.b.len == n;

				if (!r && !whole)
					fail_msg("cut at %zu passed", k);
				if (!r)
					assert_memory_equal(g.b.p, p, n);
			}
			for (size_t i = 0; i < b.len * 8; i++) {
				b.p[i / 8] ^= (uint8_t)(1 << i % 8);
				if (!read_it(&g, BOTH[c], b.p, b.len, 100)) {
					assert_int_equal(g.b.len, n);
					assert_memory_equal(g.b.p, p, n);
					trailer_free(&g.t);
				}
				b.p[i / 8] ^= (uint8_t)(1 << i % 8);
			}
			buf_free(&b);
			buf_free(&g.b);
		}
	free(p);
}

static void the_listed_size_must_agree(void **state)
{
	size_t n;
	uint8_t *p = image_of(512, 4, &n);
	struct buf b = write_it(CODEC_ZST, 512, p, n, 512);
	struct got g = { .size = b.len + 1 };

	(void)state;
	assert_int_equal(read_it(&g, CODEC_ZST, b.p, b.len, 100), -1);
	assert_non_null(strstr(g.e.msg, "were listed"));
	snapshot_reader_destroy(NULL);
	snapshot_destroy(NULL);
	buf_free(&b);
	buf_free(&g.b);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_size_and_codec_round_trips),
		cmocka_unit_test(chunks_compressed_elsewhere_give_the_same_object),
		cmocka_unit_test(
			chunks_that_are_whole_need_no_copy_and_give_the_same_object),
		cmocka_unit_test(out_may_be_drained_between_calls),
		cmocka_unit_test(litestream_snapshots_are_read_where_they_are_allowed),
		cmocka_unit_test(a_trailer_that_lies_is_found_out),
		cmocka_unit_test(frames_that_are_no_chunks_are_refused),
		cmocka_unit_test(cuts_and_flips_never_pass_with_other_content),
		cmocka_unit_test(the_listed_size_must_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
