/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replicate/framer.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/segment_rig.h"
#include "tests/unit/tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PS 4096
#define LARGEST 65536U
#define FRAME (24 + PS)
#define HEADER 32
#define MIB ((uint64_t)1 << 20)
#define START_SUM 77
#define START_TIME 1000

static char *dir, *spool;

struct rig {
	uint32_t page_size;
	struct outbox *out;
	struct framer *f;
	struct err e;
};

static int begin(void **state)
{
	(void)state;
	dir = tmpdir_new();
	spool = file_join(dir, "spool");
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(spool);
	tmpdir_remove(dir);
	return 0;
}

static struct rig rig_limited(enum codec c, uint32_t page_size, uint64_t memory,
			      uint64_t on_disk)
{
	const struct framer_start s = { .generation = "0123456789abcdef",
					.session = 5,
					.codec = c,
					.page_size = page_size,
					.db_sum = START_SUM,
					.pages = 10,
					.time_ms = START_TIME };
	struct rig r = { .page_size = page_size,
			 .out = outbox_new(spool, memory, on_disk),
			 .e = ERR_INIT };

	r.f = framer_new(&s, r.out);
	return r;
}

static struct rig rig_of(enum codec c)
{
	return rig_limited(c, PS, 256 * MIB, 0);
}

static void rig_free(struct rig *r)
{
	framer_destroy(r->f);
	outbox_destroy(r->out);
}

/* n pages, the last one with the commit's mark if it has one. */
static int put_pages(struct rig *r, uint32_t n, uint32_t commit)
{
	for (uint32_t i = 1; i <= n; i++)
		if (framer_page(r->f, i, i == n ? commit : 0, page(r->page_size, i, n),
				&r->e) < 0)
			return -1;
	return 0;
}

static int commit(struct rig *r, uint32_t n, int64_t time_ms, uint64_t db_sum)
{
	return put_pages(r, n, 20) < 0 ? -1
				       : framer_commit(r->f, time_ms, db_sum, 20, &r->e);
}

static void assert_pos(struct wal_pos got, uint32_t index, uint64_t offset)
{
	assert_int_equal(got.index, index);
	assert_int_equal(got.offset, offset);
}

/* The oldest segment: where it lies, what it ends with; then it is read as the next of the chain, and forgotten. */
struct want {
	uint32_t index;
	uint64_t from, to;
	uint32_t commits;
	uint64_t db_sum;
	int64_t time_ms;
};

static void take(struct rig *r, enum codec c, struct reading *chain, const struct want *w)
{
	struct outbox_item *it = outbox_peek(r->out, &r->e);
	char key[LAYOUT_KEY_MAX];

	assert_non_null(it);
	assert_pos(it->pos, w->index, w->from);
	assert_pos(it->end, w->index, w->to);
	assert_int_equal(it->commits, w->commits);
	assert_int_equal(it->db_sum, w->db_sum);
	assert_int_equal(it->time_ms, w->time_ms);
	layout_segment_key("0123456789abcdef", it->pos, c, key);
	assert_string_equal(it->key, key);
	read_ok(chain, c, it->pos, &it->bytes);
	assert_true(chain->has);
	assert_string_equal(chain->t.generation, "0123456789abcdef");
	assert_int_equal(chain->t.session, 5);
	assert_int_equal(chain->t.db_sum_after, w->db_sum);
	assert_int_equal(chain->t.time_ms, w->time_ms);
	assert_pos(chain->chain.pos, w->index, w->to);
	outbox_pop(r->out);
}

static struct reading *new_chain(uint32_t page_size)
{
	struct reading *c = mem_alloc(sizeof(*c));

	reading_init(c, (struct wal_pos){ 0, 0 }, page_size);
	c->step = 1 << 20;
	return c;
}

static void a_new_one_stands_at_the_beginning_and_makes_nothing_of_nothing(void **state)
{
	struct rig r = rig_of(CODEC_ZST);

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_pos(framer_pos(r.f), 0, 0);
		assert_pos(framer_sent(r.f), 0, 0);
		assert_int_equal(framer_bytes(r.f), 0);
		assert_int_equal(framer_pending(r.f), 0);
		assert_int_equal(framer_time_ms(r.f), START_TIME);
		assert_int_equal(framer_cut(r.f, &r.e), 0);
		assert_int_equal(framer_next_index(r.f, &r.e), 0);
		assert_int_equal(outbox_count(r.out), 0);
	}
	rig_free(&r);
}

static void commits_wait_for_a_cut_and_travel_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(BOTH) / sizeof(BOTH[0]); i++) {
		const uint64_t first = HEADER + 3 * FRAME, second = first + FRAME;
		struct rig r = rig_of(BOTH[i]);
		struct reading *chain = new_chain(PS);

		assert_int_equal(commit(&r, 1, 2000, 11), 0);
		assert_int_equal(commit(&r, 2, 3000, 12), 0);
		assert_int_equal(framer_pending(r.f), 2);
		assert_int_equal(outbox_count(r.out), 0);
		assert_pos(framer_sent(r.f), 0, 0);
		assert_int_equal(framer_bytes(r.f), first);
		assert_int_equal(framer_cut(r.f, &r.e), 0);
		assert_int_equal(framer_pending(r.f), 0);
		assert_pos(framer_pos(r.f), 0, first);
		assert_pos(framer_sent(r.f), 0, first);
		assert_int_equal(commit(&r, 1, 4000, 13), 0);
		assert_int_equal(framer_time_ms(r.f), 4000);
		assert_int_equal(framer_cut(r.f, &r.e), 0);
		assert_int_equal(framer_bytes(r.f), second);

		take(&r, BOTH[i], chain, &(struct want){ 0, 0, first, 2, 12, 3000 });
		assert_int_equal(chain->t.db_sum_before, START_SUM);
		take(&r, BOTH[i], chain, &(struct want){ 0, first, second, 1, 13, 4000 });
		assert_int_equal(chain->t.db_sum_before, 12);
		assert_int_equal(chain->seen.n, 4);
		assert_int_equal(chain->seen.commit[0], 20);
		assert_int_equal(chain->seen.commit[1], 0);
		assert_int_equal(chain->seen.commit[2], 20);
		assert_int_equal(outbox_count(r.out), 0);
		free(chain);
		rig_free(&r);
	}
}

static void times_never_decrease_from_one_segment_to_the_next(void **state)
{
	static const struct {
		int64_t given, want;
	} cases[] = { { 500, START_TIME },
		      { 2000, 2000 },
		      { 1500, 2000 },
		      { INT64_MIN, 2000 },
		      { 2001, 2001 } };
	struct rig r = rig_of(CODEC_ZST);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(commit(&r, 1, cases[i].given, i), 0);
		assert_int_equal(framer_time_ms(r.f), cases[i].want);
		assert_int_equal(framer_cut(r.f, &r.e), 0);
		assert_int_equal(outbox_peek(r.out, &r.e)->time_ms, cases[i].want);
		outbox_pop(r.out);
	}
	rig_free(&r);
}

static void the_next_index_begins_at_its_offset_0(void **state)
{
	const uint64_t len = HEADER + FRAME;
	struct rig r = rig_of(CODEC_LZ4);
	struct reading *chain = new_chain(PS);

	(void)state;
	assert_int_equal(commit(&r, 1, 2000, 11), 0);
	assert_int_equal(framer_next_index(r.f, &r.e), 0); /* and a cut */
	assert_pos(framer_pos(r.f), 1, 0);
	assert_pos(framer_sent(r.f), 0, len); /* not offset 0 of the next one */
	assert_int_equal(framer_next_index(r.f, &r.e), 0);
	assert_pos(framer_pos(r.f), 1, 0);
	assert_int_equal(commit(&r, 1, 3000, 12), 0);
	assert_int_equal(framer_cut(r.f, &r.e), 0);
	take(&r, CODEC_LZ4, chain, &(struct want){ 0, 0, len, 1, 11, 2000 });
	take(&r, CODEC_LZ4, chain, &(struct want){ 1, 0, len, 1, 12, 3000 });
	assert_int_equal(framer_bytes(r.f), 2 * len);
	free(chain);
	rig_free(&r);
}

/* Whole transactions only: the one that reaches 8 MiB still belongs to the index. */
static void an_index_ends_by_itself_at_8_mib(void **state)
{
	const uint32_t just_below = (uint32_t)((8 * MIB - HEADER - 1) / FRAME);
	const uint64_t len = HEADER + (uint64_t)(just_below + 100) * FRAME;
	struct rig r = rig_of(CODEC_ZST);
	struct reading *chain = new_chain(PS);

	(void)state;
	assert_int_equal(commit(&r, just_below, 2000, 11), 0);
	assert_int_equal(framer_pending(r.f), 1);
	assert_int_equal(outbox_count(r.out), 0);
	assert_int_equal(commit(&r, 100, 3000, 12), 0);
	assert_int_equal(framer_pending(r.f), 0);
	assert_int_equal(outbox_count(r.out), 1);
	assert_pos(framer_pos(r.f), 1, 0);
	assert_pos(framer_sent(r.f), 0, len);
	take(&r, CODEC_ZST, chain, &(struct want){ 0, 0, len, 2, 12, 3000 });
	free(chain);
	rig_free(&r);
}

static void a_large_transaction_travels_in_parts_of_16_mib(void **state)
{
	const uint32_t frame = 24 + LARGEST;
	const uint32_t part = (uint32_t)((16 * MIB + frame - 1) / frame), rest = 50;
	const uint64_t small = HEADER + frame;
	const uint64_t middle = small + (uint64_t)part * frame;
	const uint64_t last = middle + (uint64_t)rest * frame;
	struct rig r = rig_limited(CODEC_ZST, LARGEST, 256 * MIB, 0);
	struct reading *chain = new_chain(LARGEST);

	(void)state;
	assert_int_equal(commit(&r, 1, 2000, 11), 0);
	assert_int_equal(framer_cut(r.f, &r.e), 0);
	take(&r, CODEC_ZST, chain, &(struct want){ 0, 0, small, 1, 11, 2000 });
	chain->seen.n = 0;
	assert_int_equal(commit(&r, part + rest, 3000, 12), 0);
	assert_int_equal(outbox_count(r.out), 2);
	assert_pos(framer_pos(r.f), 1, 0); /* behind it the index ends */

	/* The part ends inside the transaction: what it says is the last whole commit. */
	take(&r, CODEC_ZST, chain, &(struct want){ 0, small, middle, 0, 11, 2000 });
	assert_true(chain->t.flags & TRAILER_OPEN);
	assert_int_equal(chain->chain.open_frames, part);
	chain->seen.n = 0;
	take(&r, CODEC_ZST, chain, &(struct want){ 0, middle, last, 1, 12, 3000 });
	assert_false(chain->t.flags & TRAILER_OPEN);
	assert_int_equal(chain->chain.open_frames, 0);
	free(chain);
	rig_free(&r);
}

static void a_transaction_under_way_is_not_pending(void **state)
{
	struct rig r = rig_of(CODEC_ZST);

	(void)state;
	assert_int_equal(put_pages(&r, 3, 0), 0);
	assert_int_equal(framer_pending(r.f), 0);
	assert_int_equal(framer_bytes(r.f), HEADER + 3 * FRAME);
	assert_int_equal(framer_page(r.f, 9, 20, page(PS, 9, 1), &r.e), 0);
	assert_int_equal(framer_commit(r.f, 2000, 11, 20, &r.e), 0);
	assert_int_equal(framer_pending(r.f), 1);
	rig_free(&r);
}

static void a_full_outbox_is_the_end_of_the_generation(void **state)
{
	struct rig r = rig_limited(CODEC_ZST, PS, 1000, 3000);
	int n = 0;

	(void)state;
	while (commit(&r, 1, 2000, 11) == 0 && framer_cut(r.f, &r.e) == 0)
		assert_true(++n < 10);
	assert_int_equal(r.e.code, ERR_EXISTS);
	assert_string_equal(r.e.slug, "spool_full");
	assert_int_equal(outbox_count(r.out), n);
	rig_free(&r);
}

/* Litestream's names have eight digits of offset. */
static void more_than_3_gib_do_not_fit_into_an_lz4_path(void **state)
{
	const uint8_t *zeros = mem_alloc(LARGEST);
	struct rig r = rig_limited(CODEC_LZ4, LARGEST, 256 * MIB, 0);
	uint32_t n = 0;

	(void)state;
	while (framer_page(r.f, ++n, 0, zeros, &r.e) == 0)
		assert_true(n < 60000);
	assert_int_equal(r.e.code, ERR_USAGE);
	assert_string_equal(r.e.slug, "transaction_too_large");
	assert_string_equal(r.e.hint, "set `compression: zst`, or split the transaction");
	assert_int_equal(n, (3072 * MIB - HEADER) / (24 + LARGEST) + 2);
	rig_free(&r);
	free((void *)(uintptr_t)zeros);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_one_stands_at_the_beginning_and_makes_nothing_of_nothing),
		CASE(commits_wait_for_a_cut_and_travel_together),
		CASE(times_never_decrease_from_one_segment_to_the_next),
		CASE(the_next_index_begins_at_its_offset_0),
		CASE(an_index_ends_by_itself_at_8_mib),
		CASE(a_large_transaction_travels_in_parts_of_16_mib),
		CASE(a_transaction_under_way_is_not_pending),
		CASE(a_full_outbox_is_the_end_of_the_generation),
		CASE(more_than_3_gib_do_not_fit_into_an_lz4_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
