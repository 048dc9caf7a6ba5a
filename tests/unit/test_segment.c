/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/segment_rig.h"

static void check_round_trip(enum codec c, uint32_t ps)
{
	static struct reading r;
	struct synth s;
	struct segment_start st = start_of(c, ps);
	struct buf b[2] = { new_buf(), new_buf() };
	struct wal_pos at[2];
	struct trailer t;

	synth_init(&s, ps, 3);
	for (int i = 0; i < 2; i++) {
		at[i] = s.pos;
		struct segment_writer *w = segment_new(&st, &s);

		write_commits(w, ps, 8);
		assert_int_equal(segment_ncommits(w), 8);
		assert_int_equal(segment_raw_len(w), s.pos.offset - at[i].offset);
		segment_finish(w, &b[i], &t);
		assert_true(buf_ok(&b[i]));
		segment_destroy(w);
		assert_int_equal(t.ncommits, 8);
		assert_int_equal(t.commits[7].frames, 8);
		assert_int_equal(trailer_commit_end(&t, 8).offset, s.pos.offset);
		st.db_sum_before = t.db_sum_after;
		st.last_time_ms = t.time_ms;
		trailer_free(&t);
	}
	reading_init(&r, at[0], 0);
	r.seen.ps = ps;
	for (int i = 0; i < 2; i++) {
		r.step = i ? 1 << 20 : 1;
		read_ok(&r, c, at[i], &b[i]);
		assert_true(r.has);
		assert_int_equal(r.seen.n, 36 * (i + 1));
		assert_string_equal(r.t.generation, "0123456789abcdef");
		assert_int_equal(r.t.session, 5);
		assert_int_equal(r.t.db_sum_before, i ? 108 : 100);
		assert_int_equal(r.t.db_sum_after, 108);
		assert_int_equal(r.t.db_pages_after, 20);
		assert_int_equal(r.t.time_ms, 1080);
		assert_int_equal(r.chain.page_size, ps);
		buf_free(&b[i]);
	}
	assert_int_equal(wal_pos_cmp(r.chain.pos, s.pos), 0);
	assert_memory_equal(&r.chain.sum, &s.sum, sizeof s.sum);
	uint64_t want = 0;

	for (int i = 0; i < 2; i++)
		for (uint32_t k = 1; k <= 8; k++)
			for (uint32_t f = 1; f <= k; f++)
				want = want * 31 + hash_page(f, page(ps, f, k), ps);
	assert_int_equal(r.seen.hash, want);
}

static void every_page_size_and_codec_round_trips(void **state)
{
	(void)state;
	for (uint32_t ps = 512; ps <= 65536; ps *= 2)
		for (int c = 0; c < 2; c++)
			check_round_trip(BOTH[c], ps);
}

static void times_never_decrease(void **state)
{
	struct synth s;
	struct segment_start st = start_of(CODEC_ZST, 512);
	struct buf b = new_buf();
	struct trailer t;

	(void)state;
	synth_init(&s, 512, 0);
	struct segment_writer *w = segment_new(&st, &s);
	static const int64_t given[] = { 900, 1500, 1400, 1500 },
			     want[] = { 1000, 1500, 1500, 1500 };

	for (int i = 0; i < 4; i++) {
		segment_frame(w, 1, 1, page(512, 1, 1));
		segment_commit(w, given[i], 0, 1);
	}
	segment_finish(w, &b, &t);
	assert_int_equal(t.first_time_ms, 1000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(t.commits[i].time_ms, want[i]);
	segment_destroy(w);
	trailer_free(&t);
	buf_free(&b);
}

/* A transaction of many frames over three objects, then a commit of its own. */
static void a_transaction_may_span_objects(void **state)
{
	static struct reading r;
	struct synth s;
	struct buf b[4] = { new_buf(), new_buf(), new_buf(), new_buf() };
	struct wal_pos at[4];
	struct trailer t[4];

	(void)state;
	for (int c = 0; c < 2; c++) {
		struct segment_start st = start_of(BOTH[c], 4096);

		synth_init(&s, 4096, 9);
		for (int i = 0; i < 4; i++) {
			at[i] = s.pos;
			struct segment_writer *w = segment_new(&st, &s);

			if (i == 0) {
				segment_frame(w, 5, 30, page(4096, 5, 0));
				segment_commit(w, 2000, 7, 30);
			}
			for (uint32_t f = 0; f < 100; f++) {
				bool last = i >= 2 && f == 99;

				segment_frame(w, f + 1, last ? 40U + (uint32_t)i : 0,
					      page(4096, f, (uint32_t)i));
				if (last)
					segment_commit(w, 3000, 8 + (uint64_t)i,
						       40U + (uint32_t)i);
			}
			buf_reset(&b[i]);
			segment_finish(w, &b[i], &t[i]);
			segment_destroy(w);
			st.db_sum_before = t[i].db_sum_after;
			st.db_pages_before = t[i].db_pages_after;
			st.last_time_ms = t[i].time_ms;
		}
		assert_int_equal(t[0].flags, TRAILER_OPEN);
		assert_int_equal(t[1].flags, TRAILER_OPEN);
		assert_int_equal(t[2].flags, 0);
		assert_int_equal(t[0].db_sum_after, 7);
		assert_int_equal(t[1].db_sum_after, 7);
		assert_int_equal(t[1].ncommits, 0);
		assert_int_equal(t[1].db_pages_after, 30);
		assert_int_equal(t[1].first_time_ms, 2000);
		assert_int_equal(t[2].commits[0].frames, 100); /* without those before */
		assert_int_equal(t[2].db_sum_after, 10);
		assert_int_equal(t[2].db_pages_after, 42);
		reading_init(&r, at[0], 4096);
		for (int i = 0; i < 4; i++) {
			read_ok(&r, BOTH[c], at[i], &b[i]);
			assert_int_equal(r.chain.open_frames, i < 2 ? 100 * (i + 1) : 0);
			trailer_free(&t[i]);
		}
		assert_int_equal(r.seen.n, 401);
	}
	for (int i = 0; i < 4; i++)
		buf_free(&b[i]);
}

static void a_claim_ends_an_index_even_inside_a_transaction(void **state)
{
	static struct reading r;

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct chain c;
		struct buf b[6];
		struct wal_pos at[6];

		for (int i = 0; i < 6; i++)
			b[i] = new_buf();
		chain_begin(&c, BOTH[k], 4);
		at[0] = add(&c, &b[0], 3, false);
		at[1] = add(&c, &b[1], 2, true);
		at[2] = claim(&c, &b[2]); /* empty */
		struct synth died = c.s;

		synth_next_index(&c.s);
		at[3] = claim(&c, &b[3]); /* header only */
		assert_int_equal(c.s.pos.offset, 32);
		at[4] = add(&c, &b[4], 1, false);
		synth_next_index(&c.s);
		at[5] = add(&c, &b[5], 1, false);
		reading_init(&r, at[0], 1024);
		for (int i = 0; i < 6; i++) {
			read_ok(&r, BOTH[k], at[i], &b[i]);
			assert_int_equal(r.chain.claimed, i == 2);
			assert_true(trailer_is_claim(&r.t) == (i == 2 || i == 3));
			assert_int_equal(r.chain.open_frames, i == 1 || i == 2 ? 2 : 0);
		}
		assert_int_equal(r.seen.n, 3 + 2 + 1 + 1);
		assert_int_equal(r.chain.pos.index, 6);

		/* The header-only object alone says it too. */
		reading_init(&r, at[0], 1024);
		read_ok(&r, BOTH[k], at[0], &b[0]);
		read_ok(&r, BOTH[k], at[1], &b[1]);
		read_ok(&r, BOTH[k], at[3], &b[3]);
		read_ok(&r, BOTH[k], at[4], &b[4]);

		/* Without any claim an index ends at a commit. */
		struct buf whole = new_buf();
		struct chain d = c;

		d.s = died;
		synth_next_index(&d.s);
		struct wal_pos p = add(&d, &whole, 1, false);

		reading_init(&r, at[0], 1024);
		read_ok(&r, BOTH[k], at[0], &b[0]);
		read_ok(&r, BOTH[k], at[1], &b[1]);
		read_bad(&r, BOTH[k], p, &whole,
			 "the index before ends inside a transaction, without a claim");
		read_ok(&r, BOTH[k], at[2], &b[2]);
		read_ok(&r, BOTH[k], p,
			&whole); /* the other writer went on: it had changed index */
		buf_free(&whole);

		/* Nothing goes on behind an empty claim in its index. */
		d.s = died;
		p = add(&d, &whole, 1, false);
		reading_init(&r, at[0], 1024);
		for (int i = 0; i < 3; i++)
			read_ok(&r, BOTH[k], at[i], &b[i]);
		read_bad(&r, BOTH[k], p, &whole,
			 "out of order: 00000004_00001498 goes on in the next index only");
		buf_free(&whole);
		for (int i = 0; i < 6; i++)
			buf_free(&b[i]);
	}
}

static void objects_come_in_their_order_only(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf b[5];
	struct wal_pos at[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		b[i] = new_buf();
	chain_begin(&c, CODEC_ZST, 0);
	at[0] = add(&c, &b[0], 1, false);
	at[1] = add(&c, &b[1], 1, false);
	at[2] = add(&c, &b[2], 1, false);
	synth_next_index(&c.s);
	at[3] = add(&c, &b[3], 1, false);
	synth_next_index(&c.s);
	at[4] = add(&c, &b[4], 1, false);
	reading_init(&r, at[0], 0);
	r.seen.ps = 1024;
	read_bad(&r, CODEC_ZST, at[1], &b[1],
		 "out of order: 00000000_00000000 goes on there or at offset 0 of the next "
		 "index");
	read_bad(&r, CODEC_ZST, at[3], &b[3],
		 "out of order: 00000000_00000000 goes on there or at offset 0 of the next "
		 "index");
	read_ok(&r, CODEC_ZST, at[0], &b[0]);
	read_bad(&r, CODEC_ZST, at[2], &b[2],
		 "out of order: 00000000_00000438 goes on there or at offset 0 of the next "
		 "index");
	read_bad(&r, CODEC_ZST, at[0], &b[0],
		 "out of order: 00000000_00000438 goes on there or at offset 0 of the next "
		 "index");
	read_bad(&r, CODEC_ZST, at[4], &b[4],
		 "out of order: 00000000_00000438 goes on there or at offset 0 of the next "
		 "index");
	/* A wrong key for the right place, and the right place with other bytes. */
	read_bad(&r, CODEC_ZST, at[1], &b[2],
		 "the frame at offset 1080 has a wrong salt or checksum");
	read_ok(&r, CODEC_ZST, at[1], &b[1]);
	read_ok(&r, CODEC_ZST, at[2], &b[2]);
	read_bad(&r, CODEC_ZST, at[3], &b[4], "this is the segment of 00000002_00000000");
	read_ok(&r, CODEC_ZST, at[3], &b[3]);
	read_ok(&r, CODEC_ZST, at[4], &b[4]);
	for (int i = 0; i < 5; i++)
		buf_free(&b[i]);
}

static void the_last_index_has_no_successor(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf b = new_buf(), n = new_buf();

	(void)state;
	chain_begin(&c, CODEC_ZST, UINT32_MAX);
	struct wal_pos at = add(&c, &b, 1, false);

	chain_begin(&c, CODEC_ZST, 0);
	struct wal_pos next = add(&c, &n, 1, false);

	reading_init(&r, at, 1024);
	read_ok(&r, CODEC_ZST, at, &b);
	read_bad(&r, CODEC_ZST, next, &n,
		 "out of order: ffffffff_00000438 goes on there or at offset 0 of the next "
		 "index");
	buf_free(&b);
	buf_free(&n);
}

static void a_chain_may_begin_inside_an_index(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf a = new_buf(), b = new_buf(), d = new_buf();

	(void)state;
	chain_begin(&c, CODEC_ZST, 2);
	add(&c, &a, 2, false);
	struct wal_pos at = add(&c, &b, 2, false), then = add(&c, &d, 3, false);

	reading_init(&r, at, 1024);
	read_ok(&r, CODEC_ZST, at, &b);
	read_ok(&r, CODEC_ZST, then, &d);
	assert_int_equal(r.seen.n, 5);
	assert_int_equal(wal_pos_cmp(r.chain.pos, c.s.pos), 0);
	reading_init(&r, at, 0);
	assert_int_equal(read_bytes(&r, CODEC_ZST, at, b.p, b.len), -1);
	assert_int_equal(r.e.code, ERR_BUG);
	reading_init(&r, (struct wal_pos){ 2, 33 }, 1024);
	read_bad(&r, CODEC_ZST, (struct wal_pos){ 2, 33 }, &b,
		 "offset 33 is not between frames");
	/* An empty claim is where the chain may begin as well. */
	struct buf e = new_buf();

	at = claim(&c, &e);
	reading_init(&r, at, 1024);
	read_ok(&r, CODEC_ZST, at, &e);
	assert_true(r.chain.claimed);
	buf_free(&a);
	buf_free(&b);
	buf_free(&d);
	buf_free(&e);
}

static void frames_beyond_the_stop_are_verified_not_delivered(void **state)
{
	static struct reading r;
	struct synth s;
	struct segment_start st = start_of(CODEC_ZST, 512);
	struct buf b = new_buf();
	struct trailer t;

	(void)state;
	synth_init(&s, 512, 6);
	struct segment_writer *w = segment_new(&st, &s);

	write_commits(w, 512, 6);
	segment_finish(w, &b, &t);
	segment_destroy(w);
	for (uint32_t i = 1; i <= 6; i++) {
		reading_init(&r, (struct wal_pos){ 6, 0 }, 512);
		r.stop_after = trailer_commit_end(&t, i);
		read_ok(&r, CODEC_ZST, r.chain.pos, &b);
		assert_int_equal(r.seen.n, i * (i + 1) / 2);
		assert_int_equal(r.seen.commit[r.seen.n - 1], 20);
		assert_int_equal(wal_pos_cmp(r.chain.pos, s.pos), 0);
	}
	reading_init(&r, (struct wal_pos){ 6, 0 }, 512);
	r.stop_after = (struct wal_pos){ 5, 99999 };
	read_ok(&r, CODEC_ZST, r.chain.pos, &b);
	assert_int_equal(r.seen.n, 0);
	reading_init(&r, (struct wal_pos){ 6, 0 }, 512);
	r.stop_after = (struct wal_pos){ 7, 0 };
	read_ok(&r, CODEC_ZST, r.chain.pos, &b);
	assert_int_equal(r.seen.n, 21);
	trailer_free(&t);
	buf_free(&b);
}

static void an_error_of_the_sink_comes_through(void **state)
{
	static struct reading r;
	struct chain c;
	struct buf b = new_buf();

	(void)state;
	chain_begin(&c, CODEC_LZ4, 0);
	struct wal_pos at = add(&c, &b, 5, false);

	reading_init(&r, at, 1024);
	r.seen.stop_at = 3;
	assert_int_equal(read_bytes(&r, CODEC_LZ4, at, b.p, b.len), -1);
	assert_int_equal(r.e.code, ERR_CANCELED);
	assert_int_equal(r.seen.n, 3);
	assert_int_equal(r.chain.pos.offset, 0);
	buf_free(&b);
}

static void flags_and_sums_follow_the_start(void **state)
{
	struct synth s;
	struct segment_start st = start_of(CODEC_ZST, 512);
	struct buf b = new_buf();
	struct trailer t;

	(void)state;
	synth_init(&s, 512, 0);
	st.no_sums = st.difference = true;
	struct segment_writer *w = segment_new(&st, &s);

	segment_frame(w, 1, 1, page(512, 1, 1));
	segment_commit(w, 1000, 55, 1);
	segment_finish(w, &b, &t);
	segment_destroy(w);
	assert_int_equal(t.flags, TRAILER_NO_SUMS | TRAILER_DIFFERENCE);
	assert_int_equal(t.db_sum_before, 0);
	assert_int_equal(t.db_sum_after, 0);
	trailer_free(&t);
	buf_free(&b);
}

static void objects_are_appended_and_a_ceiling_is_seen(void **state)
{
	struct chain c;
	struct buf b = new_buf(), alone = new_buf(), small = BUF(100);

	(void)state;
	chain_begin(&c, CODEC_ZST, 0);
	struct synth s = c.s;

	buf_add(&b, "front", 5);
	add(&c, &b, 3, false);
	c.s = s;
	add(&c, &alone, 3, false);
	assert_int_equal(b.len, alone.len + 5);
	assert_memory_equal(b.p + 5, alone.p, alone.len);
	c.s = s;
	add(&c, &small, 3, false);
	assert_false(buf_ok(&small));
	c.s = s;
	add(&c, &small, 3, false);
	assert_false(buf_ok(&small));
	buf_free(&b);
	buf_free(&alone);
	buf_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_size_and_codec_round_trips),
		cmocka_unit_test(times_never_decrease),
		cmocka_unit_test(a_transaction_may_span_objects),
		cmocka_unit_test(a_claim_ends_an_index_even_inside_a_transaction),
		cmocka_unit_test(objects_come_in_their_order_only),
		cmocka_unit_test(the_last_index_has_no_successor),
		cmocka_unit_test(a_chain_may_begin_inside_an_index),
		cmocka_unit_test(frames_beyond_the_stop_are_verified_not_delivered),
		cmocka_unit_test(an_error_of_the_sink_comes_through),
		cmocka_unit_test(flags_and_sums_follow_the_start),
		cmocka_unit_test(objects_are_appended_and_a_ceiling_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
