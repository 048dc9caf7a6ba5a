/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/segment_rig.h"

static void litestream_objects_are_read_where_they_are_allowed(void **state)
{
	static struct reading r;
	struct wal_pos zero = { 5, 0 };

	(void)state;
	for (int big = 0; big < 2; big++) {
		/* any checkpoint sequence, either byte order */
		struct buf raw = raw_wal(big, 77, 6, 9);
		struct buf a = plain_of(CODEC_LZ4, raw.p, 32 + 2 * 536);
		struct buf b =
			plain_of(CODEC_LZ4, raw.p + 32 + 2 * 536, raw.len - 32 - 2 * 536);
		struct buf z = plain_of(CODEC_ZST, raw.p, raw.len);

		reading_init(&r, zero, 0);
		r.seen.ps = 512;
		read_bad(&r, CODEC_LZ4, zero, &a, "no trailer, or a damaged one");
		r.allow_plain = true;
		read_bad(&r, CODEC_ZST, zero, &z, "no trailer, or a damaged one");
		r.seen.n = 0;
		read_ok(&r, CODEC_LZ4, zero, &a);
		assert_false(r.has);
		assert_int_equal(r.t.ncommits, 0);
		assert_int_equal(r.chain.open_frames, 2);
		read_ok(&r, CODEC_LZ4, r.chain.pos, &b);
		assert_int_equal(r.chain.open_frames, 0);
		assert_int_equal(r.seen.n, 6);
		buf_free(&raw);
		buf_free(&a);
		buf_free(&b);
		buf_free(&z);
	}
}

static void damaged_litestream_objects_are_refused(void **state)
{
	static struct reading r;
	struct wal_pos zero = { 5, 0 }, mid = { 5, 32 };
	struct buf raw = raw_wal(false, 5, 3, 4), b;

	(void)state;
	static const struct {
		size_t from, len, flip; /* flip 0: none */
		const char *msg;
	} cases[] = {
		{ 0, 31, 0, "it ends inside a frame or header" },
		{ 0, 0, 0, "it ends inside a frame or header" },
		{ 0, 32 + 535, 0, "it ends inside a frame or header" },
		{ 0, 32 + 536, 26, "the WAL header's checksum is wrong" },
		{ 0, 32 + 536, 32 + 9,
		  "the frame at offset 32 has a wrong salt or checksum" },
		{ 0, 32 + 2 * 536, 32 + 536 + 16,
		  "the frame at offset 568 has a wrong salt or checksum" },
		{ 0, 32 + 2 * 536, 32 + 536 + 100,
		  "the frame at offset 568 has a wrong salt or checksum" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		reading_init(&r, zero, 0);
		r.seen.ps = 512;
		r.allow_plain = true;
		raw.p[cases[i].flip] ^= cases[i].flip ? 1 : 0;
		b = plain_of(CODEC_LZ4, raw.p + cases[i].from, cases[i].len);
		raw.p[cases[i].flip] ^= cases[i].flip ? 1 : 0;
		read_bad(&r, CODEC_LZ4, zero, &b, cases[i].msg);
		buf_free(&b);
	}
	reading_init(&r, mid, 512);
	r.allow_plain = true;
	b = plain_of(CODEC_LZ4, raw.p + 32, 536);
	read_bad(&r, CODEC_LZ4, mid, &b,
		 "a chain cannot begin inside an index without trailers");
	buf_free(&b);
	b = plain_of(CODEC_LZ4, raw.p, 0);
	read_bad(&r, CODEC_LZ4, mid, &b, "it holds no frames");
	buf_free(&b);
	uint8_t none[536] = { 0 };

	b = plain_of(CODEC_LZ4, none, 536);
	read_bad(&r, CODEC_LZ4, mid, &b, "the frame at offset 32 has no page number");
	b.len = 0;
	read_bad(&r, CODEC_LZ4, mid, &b, "the object holds no data");
	buf_free(&b);
	reading_init(&r, zero, 4096);
	b = plain_of(CODEC_LZ4, raw.p, raw.len);
	read_bad(&r, CODEC_LZ4, zero, &b,
		 "page size 512 in the WAL header, 4096 before it");
	buf_free(&b);
	buf_free(&raw);
}

static void a_plain_index_ends_at_a_commit(void **state)
{
	static struct reading r;
	struct buf raw = raw_wal(false, 0, 3, 0), next = raw_wal(false, 1, 1, 4);
	struct buf a = plain_of(CODEC_LZ4, raw.p, raw.len),
		   b = plain_of(CODEC_LZ4, next.p, next.len),
		   h = plain_of(CODEC_LZ4, next.p, 32);
	struct wal_pos zero = { 0, 0 }, one = { 1, 0 };

	(void)state;
	reading_init(&r, zero, 0);
	r.seen.ps = 512;
	r.allow_plain = true;
	read_ok(&r, CODEC_LZ4, zero, &a);
	read_bad(&r, CODEC_LZ4, one, &b,
		 "the index before ends inside a transaction, without a claim");
	read_bad(&r, CODEC_LZ4, one, &h,
		 "the index before ends inside a transaction, without a claim");
	buf_free(&raw);
	buf_free(&next);
	buf_free(&a);
	buf_free(&b);
	buf_free(&h);
}

/* An object whose trailer is well formed but says something else than its data. */
static void a_trailer_that_lies_is_found_out(void **state)
{
	static struct reading r;
	struct buf raw = raw_wal(false, 5, 3, 4);
	struct trailer_commit three[] = { { 3, 1000 } },
			      two[] = { { 1, 1000 }, { 2, 1000 } };
	static const char *const msgs[] = {
		"a snapshot in a segment's place",
		"this is the segment of 00000006_00000000",
		"page size 512, the trailer says 1024",
		"1640 bytes that are not the 32 of the trailer",
		"1640 bytes that are not the 1640 of the trailer",
		"it is older than the segment before it",
		"1 commits, the trailer counts 2",
		"4 pages after the last commit, the trailer says 5",
		"1 commits, the trailer counts 0",
	};

	(void)state;
	for (int i = -1; i < 9; i++) {
		struct trailer t = { .kind = TRAILER_SEGMENT,
				     .page_size = 512,
				     .generation = "0123456789abcdef",
				     .pos = { 5, 0 },
				     .raw_len = raw.len,
				     .raw_xxh3 = hash_xxh3(raw.p, raw.len),
				     .db_pages_after = 4,
				     .time_ms = 1000,
				     .first_time_ms = 1000,
				     .ncommits = 1,
				     .commits = three };
		struct wal_pos at = t.pos;
		struct buf b = new_buf();

		reading_init(&r, at, 0);
		r.seen.ps = 512;
		codec_compress(CODEC_ZST, raw.p, raw.len, &b);
		if (i == 0)
			t = (struct trailer){ .kind = TRAILER_SNAPSHOT,
					      .page_size = 512,
					      .generation = "0123456789abcdef",
					      .raw_len = 512,
					      .db_pages_after = 1 };
		else if (i == 1)
			t.pos.index = 6;
		else if (i == 2)
			t.page_size = 1024, t.raw_len = 32 + 3 * 1048;
		else if (i == 3)
			t.raw_len = 32, t.ncommits = 0;
		else if (i == 4)
			t.raw_xxh3 ^= 1;
		else if (i == 5)
			r.chain.time_ms = 1001;
		else if (i == 6)
			t.commits = two, t.ncommits = 2;
		else if (i == 7)
			t.db_pages_after = 5;
		else if (i == 8)
			t.ncommits = 0, t.flags = TRAILER_OPEN;
		trailer_format(&t, &b);
		if (i < 0)
			read_ok(&r, CODEC_ZST, at, &b);
		else
			read_bad(&r, CODEC_ZST, at, &b, msgs[i]);
		buf_free(&b);
	}
	buf_free(&raw);
}

static void commit_marks_are_where_the_trailer_says(void **state)
{
	static struct reading r;
	struct synth s;
	struct segment_start st = start_of(CODEC_ZST, 512);
	struct buf b = new_buf(), x = new_buf();
	struct trailer t;
	uint64_t distance;

	(void)state;
	synth_init(&s, 512, 0);
	struct segment_writer *w = segment_new(&st, &s);

	write_commits(w, 512, 3);
	segment_finish(w, &b, &t);
	segment_destroy(w);
	assert_true(trailer_find(b.p, b.len, &distance));
	buf_add(&x, b.p, b.len - distance);
	t.commits[0].frames = 2;
	t.commits[1].frames = 1;
	trailer_format(&t, &x);
	reading_init(&r, t.pos, 512);
	read_bad(&r, CODEC_ZST, t.pos, &x, "commit 1 has 1 frames, the trailer says 2");
	trailer_free(&t);
	buf_free(&b);
	buf_free(&x);
}

static void a_stored_index_has_walbacks_own_header(void **state)
{
	static struct reading r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct buf raw = raw_wal(i, i ? 5 : 6, 1, 4), b = new_buf();
		struct trailer_commit one = { 1, 0 };
		struct trailer t = { .kind = TRAILER_SEGMENT,
				     .page_size = 512,
				     .generation = "0123456789abcdef",
				     .pos = { 5, 0 },
				     .raw_len = raw.len,
				     .raw_xxh3 = hash_xxh3(raw.p, raw.len),
				     .db_pages_after = 4,
				     .ncommits = 1,
				     .commits = &one };

		codec_compress(CODEC_ZST, raw.p, raw.len, &b);
		trailer_format(&t, &b);
		reading_init(&r, t.pos, 512);
		read_bad(&r, CODEC_ZST, t.pos, &b,
			 i ? "the WAL header is of another kind or of index 5"
			   : "the WAL header is of another kind or of index 6");
		buf_free(&raw);
		buf_free(&b);
	}
}

static void a_damaged_trailer_never_makes_an_object_plain(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf b = new_buf();

	(void)state;
	chain_begin(&c, CODEC_LZ4, 0);
	struct wal_pos at = add(&c, &b, 2, false);
	uint64_t distance;

	assert_true(trailer_find(b.p, b.len, &distance));
	for (size_t i = b.len - distance; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			reading_init(&r, at, 1024);
			r.allow_plain = true;
			b.p[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(read_bytes(&r, CODEC_LZ4, at, b.p, b.len), -1);
			assert_int_equal(r.e.code, ERR_CORRUPT);
			b.p[i] ^= (uint8_t)(1 << bit);
		}
	buf_free(&b);
}

static void cuts_and_flips_never_pass_with_other_content(void **state)
{
	static struct reading r;

	(void)state;
	for (int k = 0; k < 2; k++)
		for (int header = 0; header < 2; header++) {
			struct chain c;
			struct buf b = new_buf(), skip = new_buf();

			chain_begin(&c, BOTH[k], 0);
			if (!header)
				add(&c, &skip, 1, false);
			struct synth before = c.s;
			struct wal_pos at = add(&c, &b, 2, false);
			struct wal_chain chain;

			reading_init(&r, (struct wal_pos){ 0, 0 }, 1024);
			if (!header)
				read_ok(&r, BOTH[k], r.chain.pos, &skip);
			chain = r.chain;
			r.seen.hash = 0;
			read_ok(&r, BOTH[k], at, &b);
			uint64_t hash = r.seen.hash;

			assert_int_equal(before.pos.offset, at.offset);
			for (size_t n = 0; n < b.len; n++) {
				reading_init(&r, at, 1024);
				r.chain = chain;
				assert_int_equal(read_bytes(&r, BOTH[k], at, b.p, n), -1);
				assert_int_equal(r.e.code, ERR_CORRUPT);
			}
			int passed = 0;

			for (size_t i = 0; i < b.len * 8; i++) {
				reading_init(&r, at, 1024);
				r.chain = chain;
				b.p[i / 8] ^= (uint8_t)(1 << i % 8);
				if (!read_bytes(&r, BOTH[k], at, b.p, b.len)) {
					/* some bits mean nothing, or copy from elsewhere the same */
					assert_int_equal(r.seen.hash, hash);
					assert_int_equal(r.seen.n, 2);
					passed++;
				}
				b.p[i / 8] ^= (uint8_t)(1 << i % 8);
			}
			assert_true(passed < 50);
			buf_free(&b);
			buf_free(&skip);
		}
}

static void the_listed_size_must_agree(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf b = new_buf();

	(void)state;
	chain_begin(&c, CODEC_ZST, 0);
	struct wal_pos at = add(&c, &b, 1, false);

	reading_init(&r, at, 1024);
	struct segment_source src = { .codec = CODEC_ZST, .pos = at, .size = b.len + 1 };
	struct segment_sink sink = { &r.seen, see };
	struct segment_reader *sr = segment_reader_new(&r.chain, &src, &sink);

	assert_int_equal(segment_reader_push(sr, b.p, b.len, &r.e), 0);
	assert_int_equal(segment_reader_finish(sr, NULL, NULL, &r.e), -1);
	assert_non_null(strstr(r.e.msg, "were listed"));
	segment_reader_destroy(sr);
	src.size = b.len;
	sr = segment_reader_new(&r.chain, &src, &sink);
	assert_int_equal(segment_reader_push(sr, b.p, b.len, &r.e), 0);
	assert_int_equal(segment_reader_finish(sr, NULL, NULL, &r.e), 0);
	segment_reader_destroy(sr);
	segment_reader_destroy(NULL);
	segment_destroy(NULL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(litestream_objects_are_read_where_they_are_allowed),
		cmocka_unit_test(damaged_litestream_objects_are_refused),
		cmocka_unit_test(a_plain_index_ends_at_a_commit),
		cmocka_unit_test(a_trailer_that_lies_is_found_out),
		cmocka_unit_test(commit_marks_are_where_the_trailer_says),
		cmocka_unit_test(a_stored_index_has_walbacks_own_header),
		cmocka_unit_test(a_damaged_trailer_never_makes_an_object_plain),
		cmocka_unit_test(cuts_and_flips_never_pass_with_other_content),
		cmocka_unit_test(the_listed_size_must_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
